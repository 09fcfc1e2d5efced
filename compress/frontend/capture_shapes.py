"""Capture of operations that only change shapes and orders, or join values."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from compress.errors import UnsupportedLayer
from compress.frontend.layout import layer_axis, moved, permuted
from compress.frontend.reader import Reader, View, label, wide
from compress.tracing.trace import shape_of


def identity(reader: Reader, node: fx.Node, x: fx.Node, *args: Any, **kwargs: Any) -> None:
    """An operation that has no effect when the network is not trained."""
    reader.views[node.name] = reader.view(x, node, any_batch=True)


def reshape(reader: Reader, node: fx.Node, x: fx.Node, *args: Any, **kwargs: Any) -> None:
    """Flatten, reshape, view, squeeze, unsqueeze, unflatten: the traced shape says it all."""
    reader.look(node, x)


def permute(reader: Reader, node: fx.Node, x: fx.Node, *dims: Any, **kwargs: Any) -> None:
    """Permutation of axes; elements move where a layer reads them in another order."""
    given = kwargs.get("dims", dims)
    axes = given[0] if len(given) == 1 and not isinstance(given[0], int) else given
    _permute(reader, node, x, tuple(axes))


def transpose(reader: Reader, node: fx.Node, x: fx.Node, dim0: int, dim1: int) -> None:
    """Exchange of two axes."""
    axes = list(range(len(shape_of(node))))
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    _permute(reader, node, x, tuple(axes))


def _permute(reader: Reader, node: fx.Node, x: fx.Node, axes: tuple[int, ...]) -> None:
    """A permutation, which may move the samples, as to (L, N, C) for a recurrent layer."""
    source = reader.view(x, node, any_batch=True)
    rank, batch = len(source.shape), source.batch
    axes = tuple(axis % rank for axis in axes)
    # The other axes by their position in `source.shape`, which has the samples first.
    others = [1 + axis - (axis > batch) for axis in axes if axis != batch]
    order = permuted(source.order, source.shape, (0, *others))
    shape = tuple(source.shape[axis] for axis in (0, *others))
    moved_to = axes.index(batch)
    # A layer that is made of the view has its own axes: it is not the traced value.
    name = f"{node.name}_samples_first" if moved_to else node.name
    reader.views[node.name] = View(
        source.value, source.stored, shape, order, label(node), name, moved_to
    )


def shuffle(reader: Reader, node: fx.Node, x: fx.Node, module: nn.Module) -> None:
    """PixelShuffle, PixelUnshuffle and ChannelShuffle: other orders of elements."""
    rearrange(reader, node, x, module)


def pixel_shuffle(reader: Reader, node: fx.Node, x: fx.Node, upscale_factor: int) -> None:
    """(N, C * r * r, H, W) as (N, C, H * r, W * r)."""
    rearrange(reader, node, x, nn.PixelShuffle(upscale_factor))


def pixel_unshuffle(reader: Reader, node: fx.Node, x: fx.Node, downscale_factor: int) -> None:
    """(N, C, H * r, W * r) as (N, C * r * r, H, W)."""
    rearrange(reader, node, x, nn.PixelUnshuffle(downscale_factor))


def rearrange(
    reader: Reader, node: fx.Node, x: fx.Node, function: Callable[[Tensor], Tensor]
) -> None:
    """A function that returns the elements of each sample in another order."""
    source = reader.view(x, node)
    numbers = torch.arange(math.prod(source.shape[1:]), dtype=torch.float64)
    sources = function(numbers.reshape(1, *source.shape[1:])).flatten().numpy().astype(np.int64)
    reader.look(node, x, moved(source.order, sources))


def concatenate(
    reader: Reader, node: fx.Node, tensors: Any, dim: int = 0, axis: int | None = None
) -> None:
    """torch.cat of values along any axis but that of the batch."""
    parts = [reader.view(part, node) for part in tensors]
    shape = shape_of(node)
    in_rows = all(part.in_rows for part in parts)
    along = layer_axis(dim if axis is None else axis, len(shape), in_rows)
    if along == 0 or len(shape) > 4:
        raise UnsupportedLayer(f"{label(node)}: joins the samples of batches")
    vectors = len(shape) == 2
    reader.emit(node, "concat", parts, any_order=vectors, in_rows=in_rows, axis=along)
    if vectors:
        offsets = np.cumsum([0, *(part.shape[1] for part in parts[:-1])])
        orders = [part.order + start for part, start in zip(parts, offsets, strict=True)]
        reader.views[node.name].order = reader.orders[node.name] = np.concatenate(orders)


def stack(reader: Reader, node: fx.Node, tensors: Any, dim: int = 0) -> None:
    """torch.stack of vectors, series or maps along a new axis."""
    shape = shape_of(node)
    along = dim % len(shape)
    if along == 0 or len(shape) > 4:
        raise UnsupportedLayer(
            f"{label(node)}: stacks {wide(shape)} along axis {along}; allowed are axes from 1 on, "
            "and up to 4 of them"
        )
    parts = [reader.view(part, node) for part in tensors]
    one = tuple(1 if axis == along else n for axis, n in enumerate(shape))
    views = [replace(part, shape=one, name=f"{part.name}_of_{node.name}") for part in parts]
    axis = layer_axis(along, len(shape), in_rows=True)
    reader.emit(node, "concat", views, in_rows=True, axis=axis)
