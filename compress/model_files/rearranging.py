"""Operations that move, join or repeat elements. Axes are those of the file's tensors."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from compress.errors import UnsupportedLayer
from compress.model_files.network_builder import NetworkBuilder
from compress.model_files.values import Constant, Extents, Value


def activation(b: NetworkBuilder, x: Value | Constant) -> Value:
    """`x`. Raises UnsupportedLayer for a constant."""
    if isinstance(x, Constant):
        raise UnsupportedLayer(f"{b.label}: rearranges a constant that cannot be folded")
    return x


def reshaped(b: NetworkBuilder, x: Value | Constant, target: Sequence[int]) -> Value:
    """The elements in the file's order with another shape, in which the batch stays an axis.

    `target` has the file's batch; -1 is what is left.
    """
    value = activation(b, x)
    before = b.shape(value)
    after = _whole_shape(b, before, target)
    batch = _batch_axis(b, before, value.batch, after)
    rest = (*after[:batch], *after[batch + 1 :])
    axes = (*range(1, batch + 1), 0, *range(batch + 1, len(after)))
    kept = [n for axis, n in enumerate(before) if n > 1 and axis != value.batch]
    if kept == [n for n in rest if n > 1]:
        return _ones_moved(b, value, after, batch)
    order = (value.batch, *(axis for axis in range(value.rank) if axis != value.batch))
    inner = value.transposed(order)
    if batch == 0 and len(after) == 2 and inner.axes != tuple(range(inner.rank)):
        node = b.call(torch.flatten, b.node(value, order), 1)
        return Value(node, (0, 1), unflattened=inner)
    node = b.node(value, order)
    merged = _merged_axes(b.node_shape(node)[1:], rest)
    if merged is not None:
        node = b.call(torch.flatten, node, 1 + merged[0], 1 + merged[1])
    else:
        node = b.call(torch.reshape, node, (-1, *rest))
    return Value(node, axes)


def _merged_axes(before: Extents, after: Extents) -> tuple[int, int] | None:
    """The first and last axis that become one in `after`, if nothing else changes."""
    extra = len(before) - len(after)
    for first in range(len(after)) if extra > 0 else ():
        last = first + extra
        whole = math.prod(before[first : last + 1])
        if after == (*before[:first], whole, *before[last + 1 :]):
            return first, last
    return None


def _whole_shape(b: NetworkBuilder, before: Extents, target: Sequence[int]) -> Extents:
    """`target` with the extent that -1 stands for."""
    known = math.prod(n for n in target if n != -1)
    if list(target).count(-1) > 1 or min(target, default=1) < -1:
        raise UnsupportedLayer(f"{b.label}: reshapes to {list(target)}")
    whole = math.prod(before)
    return tuple(whole // max(1, known) if n == -1 else n for n in target)


def _batch_axis(b: NetworkBuilder, before: Extents, batch: int, after: Extents) -> int:
    """The axis of the new shape that is the batch. Raises UnsupportedLayer if there is none."""
    candidates = (batch, *(axis for axis in range(len(after)) if axis != batch))
    for axis in candidates:
        if axis < len(after) and after[axis] == b.batch:
            left = math.prod(after[:axis]) == math.prod(before[:batch])
            if left and math.prod(after[axis + 1 :]) == math.prod(before[batch + 1 :]):
                return axis
    raise UnsupportedLayer(
        f"{b.label}: reshape of {before} to {after} mixes the samples of a batch of {b.batch}"
    )


def _ones_moved(b: NetworkBuilder, value: Value, after: Extents, batch: int) -> Value:
    """A reshape that only adds and drops axes of extent 1, in a file of batch 1."""
    before = b.shape(value)
    if before == after and batch == value.batch:
        return value
    gone = tuple(a for a, n in enumerate(before) if n == 1 and a != value.batch)
    made = squeezed(b, value, gone) if gone else value
    added = tuple(a for a, n in enumerate(after) if n == 1 and a != batch)
    return unsqueezed(b, made, added) if added else made


def squeezed(b: NetworkBuilder, x: Value | Constant, axes: Sequence[int]) -> Value:
    """Without the axes, which have extent 1."""
    value = activation(b, x)
    dropped = {axis % value.rank for axis in axes}
    dims = tuple(sorted(value.axes[axis] for axis in dropped))
    if 0 in dims:
        raise UnsupportedLayer(f"{b.label}: drops the axis of the samples of a batch")
    left = [value.axes[axis] for axis in range(value.rank) if axis not in dropped]
    if len(left) == 2:
        node = b.call(torch.flatten, value.node, 1)
    else:
        node = b.call(torch.squeeze, value.node, dims)
    return Value(node, tuple(sorted(left).index(axis) for axis in left))


def unsqueezed(b: NetworkBuilder, x: Value | Constant, axes: Sequence[int]) -> Value:
    """With new axes of extent 1 at these places of the new shape."""
    value = activation(b, x)
    rank = value.rank + len(axes)
    for place in sorted(axis % rank for axis in axes):
        # In front of the axis that follows in the file, but never in front of the batch.
        dim = max(1, value.axes[place]) if place < value.rank else value.rank
        moved = [axis + (axis >= dim) for axis in value.axes]
        node = b.call(torch.unsqueeze, value.node, dim)
        value = Value(node, (*moved[:place], dim, *moved[place:]))
    return value


def concatenated(b: NetworkBuilder, values: Sequence[Value | Constant], axis: int) -> Value:
    """The values one behind the other along an axis."""
    first, *others = (activation(b, value) for value in values)
    dim = first.axes[axis % first.rank]
    if dim == 0:
        raise UnsupportedLayer(f"{b.label}: joins the samples of batches")
    order = tuple(first.axes.index(place) for place in range(first.rank))
    nodes = [first.node, *(b.node(other.transposed(order)) for other in others)]
    return Value(b.call(torch.cat, nodes, dim) if others else first.node, first.axes)


def split(b: NetworkBuilder, x: Value | Constant, sizes: Sequence[int], axis: int) -> list[Value]:
    """Parts of these extents along an axis."""
    value = activation(b, x)
    dim = value.axes[axis % value.rank]
    if dim == 0:
        raise UnsupportedLayer(f"{b.label}: splits the samples of a batch")
    parts = b.call(torch.split, value.node, list(sizes), dim)
    return [
        Value(b.call(operator.getitem, parts, index), value.axes) for index in range(len(sizes))
    ]


def slice_of(b: NetworkBuilder, x: Value | Constant, items: Sequence[slice | int]) -> Value:
    """Indexing with a slice for each axis, or a number, which drops the axis."""
    value = activation(b, x)
    places: list[slice | int] = [slice(None)] * value.rank
    for axis, item in enumerate(items):
        place = value.axes[axis]
        extent = b.node_shape(value.node)[place]
        if place == 0:
            if isinstance(item, int) or item.indices(b.batch) != (0, b.batch, 1):
                raise UnsupportedLayer(f"{b.label}: takes some samples out of a batch")
        elif isinstance(item, int):
            places[place] = item
        elif item.step is not None and item.step < 0:
            raise UnsupportedLayer(f"{b.label}: a slice backwards; use torch.flip before export")
        elif item.indices(extent) != (0, extent, 1):
            places[place] = slice(*item.indices(extent))
    if all(place == slice(None) for place in places):
        return value
    while places[-1] == slice(None):
        places.pop()
    node = b.call(operator.getitem, value.node, tuple(places))
    gone = {place for place, item in enumerate(places) if isinstance(item, int)}
    left = [axis for axis in value.axes if axis not in gone]
    return Value(node, tuple(sorted(left).index(axis) for axis in left))


def taken(b: NetworkBuilder, x: Value | Constant, indices: Any, axis: int) -> Value:
    """The elements at constant `indices` (an array) along an axis."""
    value = activation(b, x)
    axis %= value.rank
    items: list[slice | int] = [slice(None)] * value.rank
    if indices.ndim == 0:
        items[axis] = int(indices)
        return slice_of(b, value, items)
    extent = b.shape(value)[axis]
    places = [int(i) % extent for i in indices.ravel()]
    first, step = places[0], (places[1] - places[0]) if len(places) > 1 else 1
    if indices.ndim != 1 or step < 1 or places != list(range(first, places[-1] + 1, step)):
        raise UnsupportedLayer(
            f"{b.label}: gathers {places[:8]} along axis {axis}; allowed are one index, and "
            "indices at one distance, in rising order"
        )
    items[axis] = slice(first, places[-1] + 1, step)
    return slice_of(b, value, items)


def resized(
    b: NetworkBuilder, x: Value | Constant, extents: Extents, mode: str, aligned: bool
) -> Value:
    """A map or series at other extents; `mode` "nearest" or "linear" as torch computes them."""
    node = b.native(x)
    before = b.node_shape(node)[2:]
    kinds = {("linear", 1): "linear", ("linear", 2): "bilinear"}
    named = mode if mode == "nearest" else kinds.get((mode, len(before)))
    if named is None or len(before) != len(extents):
        raise UnsupportedLayer(f"{b.label}: resizes {len(before)} axes, {mode}")
    if before == extents:
        return b.of_native(node)
    factors = [after / old for after, old in zip(extents, before, strict=True)]
    whole = all(factor.is_integer() for factor in factors)
    corners = aligned if mode == "linear" else None
    if whole:
        factor: Any = factors[0] if len(set(factors)) == 1 else tuple(factors)
        made = nn.Upsample(scale_factor=factor, mode=named, align_corners=corners)
    else:
        made = nn.Upsample(size=extents, mode=named, align_corners=corners)
    return b.of_native(b.module(made, node))


def expanded(b: NetworkBuilder, x: Value | Constant, shape: Sequence[int]) -> Value:
    """The value repeated along axes of extent 1, with the batch as it is."""
    value = activation(b, x)
    before = b.shape(value)
    lifted = (*(1,) * (value.rank - len(shape)), *shape)
    if len(lifted) != value.rank or lifted[value.batch] not in (1, b.batch):
        raise UnsupportedLayer(f"{b.label}: expands {before} to {tuple(shape)}")
    wanted = [max(n, m) for n, m in zip(before, lifted, strict=True)]
    if tuple(wanted) == before:
        return value
    places = [-1] * value.rank
    for axis, extent in enumerate(wanted):
        if axis != value.batch:
            places[value.axes[axis]] = extent
    return Value(b.call("expand", value.node, *places), value.axes)
