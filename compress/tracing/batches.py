"""Samples as tensors: a tuple of one for each input, in the order of the parameters of forward."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from compress.inputs import parts_of, shapes_of
from compress.types import Array, InputShape

Batch = tuple[Tensor, ...]


def tensors_of(x: Array) -> Batch:
    """The samples x as a tensor (N, *shape) for each input; that of a single one shares memory."""
    return tuple(torch.from_numpy(np.ascontiguousarray(part)) for part in parts_of(x))


def copies_of(x: Array) -> Batch:
    """As `tensors_of`, for networks that may change their input in place."""
    return tuple(torch.tensor(part) for part in parts_of(x))


def chosen(batch: Batch, indices: Tensor) -> Batch:
    """The samples of these indices."""
    return tuple(values[indices] for values in batch)


def made_batch(make: Callable[[tuple[int, ...]], Tensor], samples: int, shape: InputShape) -> Batch:
    """A batch of so many samples, each tensor made by `make` of its shape: torch.zeros, ..."""
    return tuple(make((samples, *extents)) for extents in shapes_of(shape))


def parameters_of(module: nn.Module) -> tuple[str, ...]:
    """The names of the parameters of the module's forward."""
    return tuple(inspect.signature(module.forward).parameters)
