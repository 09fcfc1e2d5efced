"""Hypothesis strategies that draw operators that move elements, or compare them."""

from __future__ import annotations

from hypothesis import strategies as st

from helpers.graph_builder import GraphBuilder


@st.composite
def parts_of(draw: st.DrawFn, extent: int) -> tuple[int, int, int]:
    """(begin, stride, extent of the output) of a slice along an axis, often all of it."""
    if draw(st.booleans()):
        return (0, 1, extent)
    begin = draw(st.integers(0, extent - 1))
    stride = draw(st.sampled_from([1, 2, 3, -1, -2]))
    longest = (begin if stride < 0 else extent - 1 - begin) // abs(stride) + 1
    return (begin, stride, draw(st.integers(1, longest)))


def _first_of(b: GraphBuilder, source: int, axes: set[int]) -> int:
    """The first elements along some axes."""
    shape = b.tensors[source].shape
    parts = [(0, 1, 1 if axis in axes else n) for axis, n in enumerate(shape)]
    if all(size == n for (_, _, size), n in zip(parts, shape, strict=True)):
        return source  # a slice of all would be a Reshape
    return b.strided_slice(source, parts[1:])


def draw_repeated(draw: st.DrawFn, b: GraphBuilder, source: int) -> int:
    """`source` or a part of it that repeats over it."""
    axes = draw(st.sampled_from([(), (1, 2), (1,), (2,), (3,), (2, 3), (1, 2, 3)]))
    return _first_of(b, source, set(axes))


def draw_movement(draw: st.DrawFn, b: GraphBuilder, source: int, kind: str) -> int:
    """Draw one operator of `kind` reading `source` (1, H, W, C) and append it."""
    shape = b.tensors[source].shape
    match kind:
        case "strided_slice":
            parts = [draw(parts_of(extent)) for extent in shape[1:]]
            if all(part == (0, 1, n) for part, n in zip(parts, shape[1:], strict=True)):
                parts[0] = (shape[1] - 1, -1, 1)  # all of it would be a Reshape
                if shape[1] == 1:
                    return b.reshape(source, shape[1:])
            return b.strided_slice(source, parts)
        case "transpose":
            orders = [(0, 1, 3, 2), (0, 2, 1, 3), (0, 2, 3, 1), (0, 3, 1, 2), (0, 3, 2, 1)]
            order = draw(st.sampled_from(orders))
            moving = [axis for axis in order if shape[axis] != 1]
            if moving == sorted(moving):  # a Reshape
                return b.reshape(source, tuple(shape[axis] for axis in order[1:]))
            return b.transpose(source, order)
        case "gather":
            axis = draw(st.integers(1, 3))
            indices = st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=9)
            return b.gather(source, axis, draw(indices))
        case "broadcast_to":
            axes = draw(st.sets(st.integers(1, 3), min_size=1))
            one = _first_of(b, source, axes)
            counts = [draw(st.integers(1, 5)) if i in axes else n for i, n in enumerate(shape)]
            if tuple(counts) == b.tensors[one].shape:
                return b.reshape(one, tuple(counts[1:]))
            return b.broadcast_to(one, tuple(counts[1:]))
        case _:
            raise ValueError(kind)


def draw_comparison(draw: st.DrawFn, b: GraphBuilder, source: int, kind: str) -> int:
    """Draw a minimum or maximum of `source` and a part of it, its reverse or a constant."""
    x = b.tensors[source]
    axes = draw(st.sampled_from([(1, 2), (1,), (2,), (3,), (2, 3), (1, 2, 3), ()]))
    shape = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
    if draw(st.booleans()):
        right = b.constant(draw(st.sampled_from([shape, ()])), x.scale, x.zero_point, x.dtype)
    else:
        right = b.strided_slice(source, [(n - 1, -1, n) for n in shape[1:]])
    return b.minimum(source, right) if kind == "minimum" else b.maximum(source, right)
