"""Capture of operations that take a part of a value: indexing, splits, narrowing, flips."""

import math
from typing import Any

import numpy as np
from torch import Tensor, fx

from compress.errors import UnsupportedLayer
from compress.frontend.layout import Shape, layer_axis
from compress.frontend.reader import Reader, View, array, label, wide
from compress.tracing.trace import shape_of

# (first element, step, elements) along an axis.
Part = tuple[int, int, int]


def index(reader: Reader, node: fx.Node, x: Any, item: Any) -> None:
    """Indexing by numbers, slices, None and the dots; of a split, the part of that number."""
    if isinstance(x, fx.Node) and x.name in reader.parts:
        source, parts = reader.parts[x.name]
        if not isinstance(item, int):
            raise UnsupportedLayer(f"{label(node)}: takes several parts of {x.name} at once")
        axis, first, count = parts[item]
        _slice(reader, node, source, {axis: (first, 1, count)})
        return
    _index(reader, node, x, list(item) if isinstance(item, tuple) else [item])


def _index(reader: Reader, node: fx.Node, x: Any, items: list[Any]) -> None:
    source = reader.view(x, node, any_batch=True)
    if source.batch:
        _slice(reader, node, source, _parts_of_moved(reader, node, x, items))
        return
    if any(isinstance(part, list | Tensor) for part in items):
        _gather_items(reader, node, source, items)
        return
    if not all(part is None or part is ... or isinstance(part, int | slice) for part in items):
        raise UnsupportedLayer(
            f"{label(node)}: an index that is computed; allowed are numbers, slices of numbers and "
            "lists of numbers"
        )
    _slice(reader, node, source, _parts(source.shape, items))


def _parts(shape: Shape, items: list[Any]) -> dict[int, Part]:
    """The part of each axis that the index names; the rest is taken whole."""
    named = sum(part is not None and part is not ... for part in items)
    parts: dict[int, Part] = {}
    axis = 0
    for item in items:
        if item is ...:
            axis += len(shape) - named
        elif isinstance(item, slice):
            first, stop, step = item.indices(shape[axis])
            parts[axis] = (first, step, len(range(first, stop, step)))
            axis += 1
        elif item is not None:
            parts[axis] = (int(item) % shape[axis], 1, 1)
            axis += 1
    return parts


def _parts_of_moved(reader: Reader, node: fx.Node, x: Any, items: list[Any]) -> dict[int, Part]:
    """The part of each axis of a value whose samples torch does not have first, as (L, N, C).

    One number along each axis before that of the samples, so that they are first in the result.
    """
    source = reader.view(x, node, any_batch=True)
    batch, rank = source.batch, len(source.shape)
    first = items[:batch]
    if len(first) < batch or not all(type(item) is int for item in first):
        reader.view(x, node)  # refuses it
    if not all(isinstance(item, int | slice) for item in items):
        reader.view(x, node)
    axes = [*range(1, batch + 1), 0, *range(batch + 1, rank)]  # torch's, by those of `source.shape`
    parts = _parts(tuple(source.shape[axis] for axis in axes), items)
    return {axes[axis]: part for axis, part in parts.items()}


def _slice(reader: Reader, node: fx.Node, source: View, parts: dict[int, Part]) -> None:
    """The part of `source`, which `node` may see with other axes of extent 1."""
    shape = source.shape
    parts = {axis: part for axis, part in parts.items() if part != (0, 1, shape[axis])}
    if not parts:
        reader.views[node.name] = View(
            source.value, source.stored, shape_of(node), source.order, label(node), node.name
        )
        return
    if 0 in parts or 0 in shape_of(node):
        what = "samples out of a batch" if 0 in parts else "no element"
        raise UnsupportedLayer(f"{label(node)}: takes {what}")
    if len(shape) > 4:
        raise UnsupportedLayer(
            f"{label(node)}: takes {wide(shape_of(node))} out of {wide(shape)}; allowed are up to "
            "4 axes"
        )
    kept = tuple(parts[axis][2] if axis in parts else n for axis, n in enumerate(shape))
    in_rows, rank = source.in_rows, len(shape)
    begin, step = [0] * max(rank, 4 if rank > 2 else 2), [1] * max(rank, 4 if rank > 2 else 2)
    for axis, (first, stride, _) in parts.items():
        here = layer_axis(axis, rank, in_rows)
        begin[here], step[here] = first, stride
    reader.emit(
        node, "slice", [source], in_rows=in_rows, shape=kept, begin=tuple(begin), step=tuple(step)
    )


def _gather_items(reader: Reader, node: fx.Node, source: View, items: list[Any]) -> None:
    """Indexing with one list of numbers, and whole axes."""
    lists = [axis for axis, part in enumerate(items) if isinstance(part, list | Tensor)]
    others = [part for part in items if not isinstance(part, list | Tensor)]
    if len(lists) != 1 or any(part != slice(None) for part in others):
        raise UnsupportedLayer(
            f"{label(node)}: an index of several kinds; allowed is one list of numbers, along one "
            "axis"
        )
    _gather(reader, node, source, lists[0], items[lists[0]])


def index_select(reader: Reader, node: fx.Node, x: fx.Node, dim: int, index: Any) -> None:
    """Elements of constant numbers along an axis."""
    source = reader.view(x, node)
    _gather(reader, node, source, dim % len(source.shape), index)


def _gather(reader: Reader, node: fx.Node, source: View, axis: int, numbers: Any) -> None:
    given = array(numbers) if isinstance(numbers, Tensor) else np.array(numbers)
    if isinstance(numbers, fx.Node) or given.ndim != 1 or given.dtype == bool or axis == 0:
        raise UnsupportedLayer(
            f"{label(node)}: positions that are computed, or of samples; allowed is a list of "
            "numbers along one axis"
        )
    rank, extent = len(source.shape), source.shape[axis]
    if rank > 4:
        raise UnsupportedLayer(f"{label(node)}: takes elements out of {rank} axes; at most 4")
    indices = tuple(int(number) % extent for number in given.tolist())
    here = layer_axis(axis, rank, source.in_rows)
    reader.emit(node, "gather", [source], in_rows=source.in_rows, axis=here, indices=indices)


def narrow(reader: Reader, node: fx.Node, x: fx.Node, dim: int, start: int, length: int) -> None:
    """`length` elements along an axis."""
    source = reader.view(x, node)
    axis = dim % len(source.shape)
    _slice(reader, node, source, {axis: (start % source.shape[axis], 1, length)})


def select(reader: Reader, node: fx.Node, x: fx.Node, dim: int, index: int) -> None:
    """One element along an axis, which is dropped."""
    axis = dim % len(reader.view(x, node, any_batch=True).shape)
    _index(reader, node, x, [*[slice(None)] * axis, index])


def flip(reader: Reader, node: fx.Node, x: fx.Node, *dims: Any) -> None:
    """Elements in reverse order along axes."""
    source = reader.view(x, node)
    given = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    shape = source.shape
    parts = {axis % len(shape): shape[axis] for axis in given}
    _slice(reader, node, source, {axis: (n - 1, -1, n) for axis, n in parts.items()})


def split(
    reader: Reader, node: fx.Node, x: fx.Node, split_size_or_sections: Any, dim: int = 0
) -> None:
    """Parts of a size, the last one perhaps smaller, or of several sizes."""
    source = reader.view(x, node)
    extent, sizes = source.shape[dim], split_size_or_sections
    if isinstance(sizes, int):
        sizes = [min(sizes, extent - first) for first in range(0, extent, sizes)]
    _split(reader, node, source, dim, list(sizes))


def chunk(reader: Reader, node: fx.Node, x: fx.Node, chunks: int, dim: int = 0) -> None:
    """A number of equal parts, the last one perhaps smaller."""
    source = reader.view(x, node)
    split(reader, node, x, math.ceil(source.shape[dim] / chunks), dim)


def unbind(reader: Reader, node: fx.Node, x: fx.Node, dim: int = 0) -> None:
    """Parts of one element, whose axis is dropped."""
    source = reader.view(x, node)
    _split(reader, node, source, dim, [1] * source.shape[dim])


def _split(reader: Reader, node: fx.Node, source: View, dim: int, sizes: list[int]) -> None:
    axis = dim % len(source.shape)
    if axis == 0:
        raise UnsupportedLayer(f"{label(node)}: splits the samples of a batch")
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    parts = [(axis, first, size) for first, size in zip(starts, sizes, strict=True)]
    reader.parts[node.name] = (source, parts)
