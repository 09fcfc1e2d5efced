"""Padding and pools."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from compress.errors import UnsupportedLayer
from compress.model_files.network_builder import NetworkBuilder
from compress.model_files.values import Constant, Extents, Value

Pads = tuple[tuple[int, int], ...]  # (before, after) of each axis of a map or series

_MAX_POOLS: dict[int, type[nn.Module]] = {1: nn.MaxPool1d, 2: nn.MaxPool2d}
_AVERAGE_POOLS: dict[int, type[nn.Module]] = {1: nn.AvgPool1d, 2: nn.AvgPool2d}
_WHOLE: dict[tuple[str, int], type[nn.Module]] = {
    ("max", 3): nn.AdaptiveMaxPool1d,
    ("max", 4): nn.AdaptiveMaxPool2d,
    ("average", 3): nn.AdaptiveAvgPool1d,
    ("average", 4): nn.AdaptiveAvgPool2d,
}

_REDUCERS: dict[str, Callable[..., Any]] = {
    "mean": torch.mean,
    "sum": torch.sum,
    "max": torch.amax,
    "min": torch.amin,
}


def same_pads(
    extents: Extents, window: Extents, stride: Extents, dilation: Extents, odd_before: bool = False
) -> Pads:
    """Padding for ceil(extent / stride) outputs; the odd element goes after the map.

    With `odd_before`, as in SAME_LOWER of ONNX, it goes before.
    """
    pads = []
    for extent, taps, step, spread in zip(extents, window, stride, dilation, strict=True):
        total = max(0, (math.ceil(extent / step) - 1) * step + (taps - 1) * spread + 1 - extent)
        small, large = total // 2, total - total // 2
        pads.append((large, small) if odd_before else (small, large))
    return tuple(pads)


def symmetric(pads: Pads) -> Extents | None:
    """The padding of each axis if it is the same before and after; else None."""
    if any(before != after for before, after in pads):
        return None
    return tuple(before for before, _ in pads)


def zeros_around(b: NetworkBuilder, node: fx.Node, pads: Pads) -> fx.Node:
    """`node` with zeros around the map or series."""
    widths = [width for pair in reversed(pads) for width in pair]
    return b.call(functional.pad, node, widths)


def padding_around(
    b: NetworkBuilder, x: Value | Constant, pads: Pads, mode: str = "constant", value: float = 0.0
) -> Value:
    """Padding of every axis of the file's tensor; `mode` is torch's."""
    if isinstance(x, Constant):
        raise UnsupportedLayer(f"{b.label}: pads a constant")
    by_axis = [pads[x.axes.index(axis)] for axis in range(x.rank)]
    widths = [width for pair in reversed(by_axis) for width in pair]
    while len(widths) >= 2 and widths[-2:] == [0, 0]:
        widths = widths[:-2]
    if not widths:
        return x
    if len(widths) == 2 * x.rank:
        raise UnsupportedLayer(f"{b.label}: pads the samples of a batch")
    if mode == "constant":
        return Value(b.call(functional.pad, x.node, widths, mode, value), x.axes)
    return Value(b.call(functional.pad, x.node, widths, mode), x.axes)


def pool(
    b: NetworkBuilder, kind: str, x: Value | Constant, window: Extents, stride: Extents, pads: Pads,
    outputs: Extents, counts_padding: bool = False,
) -> Value:  # fmt: skip
    """The maximum or the mean (`kind` "max" or "average") of windows.

    `outputs` are the extents that the file means: with rounding up, windows reach beyond the end.
    Means are over elements inside the map, or over the whole windows if padding counts.
    """
    node = b.native(x)
    if counts_padding and kind == "average" and symmetric(pads) is None:
        node, pads = zeros_around(b, node, pads), ((0, 0),) * len(pads)
    before = tuple(first for first, _ in pads)
    pools = _MAX_POOLS if kind == "max" else _AVERAGE_POOLS
    if len(window) not in pools:
        raise UnsupportedLayer(f"{b.label}: pools {len(window)} axes; allowed are 1 and 2")
    extents = b.node_shape(node)[2:]
    taken = tuple(
        (extent + 2 * first - taps) // step + 1
        for extent, first, taps, step in zip(extents, before, window, stride, strict=True)
    )
    up = taken != outputs
    options = () if kind == "max" else (counts_padding,)
    dilation = (1,) if kind == "max" else ()
    made = pools[len(window)](window, stride, before, *dilation, *_flags(kind, up), *options)
    result = b.module(made, node)
    if b.node_shape(result)[2:] != outputs:
        raise UnsupportedLayer(
            f"{b.label}: pads {pads} for {outputs} outputs, which no pool of torch does; pad alike "
            "on both sides"
        )
    return b.of_native(result)


def _flags(kind: str, up: bool) -> tuple[bool, ...]:
    """return_indices and ceil_mode of a max pool, ceil_mode of an average pool."""
    return (False, up) if kind == "max" else (up,)


def pool_of_all(b: NetworkBuilder, kind: str, x: Value | Constant) -> Value:
    """The maximum or mean over all of a map or series, whose axes stay with extent 1."""
    node = b.native(x)
    made = _WHOLE.get((kind, len(b.node_shape(node))))
    if made is None:
        raise UnsupportedLayer(f"{b.label}: pools {len(b.node_shape(node)) - 2} axes")
    return b.of_native(b.module(made(1), node))


def reduced(b: NetworkBuilder, x: Value | Constant, kind: str, axes: Extents, keeps: bool) -> Value:
    """A mean, sum, maximum or minimum (`kind` as torch calls it) over axes of the file's tensor."""
    if isinstance(x, Constant):
        raise UnsupportedLayer(f"{b.label}: reduces a constant")
    axes = tuple(axis % x.rank for axis in axes) or tuple(range(x.rank))
    dims = tuple(sorted(x.axes[axis] for axis in axes))
    if 0 in dims:
        raise UnsupportedLayer(f"{b.label}: reduces over the samples of a batch")
    node = b.call(_REDUCERS[kind], x.node, dims, keeps)
    if keeps:
        return Value(node, x.axes)
    left = [x.axes[axis] for axis in range(x.rank) if axis not in axes]
    return Value(node, tuple(sorted(left).index(axis) for axis in left))
