"""What the makers of forms share: modules that call a function, and weighted layers.

A maker returns a module with the form in it that reads values of a shape.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

Shape = tuple[int, ...]  # (C, H, W), (C, L) or (K,): without the batch
Maker = Callable[[Any, Shape, Random], nn.Module]


class Applied(nn.Module):
    """`function(self, x)`, with the modules and constants that it uses."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            if isinstance(part, nn.Module):
                self.add_module(name, part)
            else:
                self.register_buffer(name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def called(form: Any, *args: Any, **options: Any) -> nn.Module:
    """A module of this class, or one that calls the function or method."""
    if isinstance(form, type):
        made: nn.Module = form(*args, **options)
        return made
    return Applied(lambda _, x: apply(form, x, *args, **options))


def apply(form: Any, x: Tensor, *args: Any, **options: Any) -> Any:
    """The function, or the method of this name, of x."""
    return (
        getattr(x, form)(*args, **options) if isinstance(form, str) else form(x, *args, **options)
    )


def weighted(shape: Shape, width: int, kernel: int = 1, groups: int = 1) -> Any:
    """A Linear, Conv1d or Conv2d on values of this shape that keeps all extents but the first."""
    if len(shape) == 1:
        return nn.Linear(shape[0], width)
    kind = nn.Conv2d if len(shape) == 3 else nn.Conv1d
    return kind(shape[0], width, kernel, padding=kernel // 2, groups=groups)


def random_signs(shape: Shape, low: float, high: float) -> Tensor:
    """Numbers of either sign, whose magnitudes are from low to high."""
    signs = torch.randint(0, 2, shape) * 2 - 1
    return signs * torch.empty(shape).uniform_(low, high)


def plain(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """The form without options."""
    return called(form)
