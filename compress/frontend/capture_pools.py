"""Capture of pools and padding."""

from typing import Any

from torch import fx

from compress.errors import UnsupportedLayer
from compress.frontend.capture_weighted import Pair, pair
from compress.frontend.layers import LayerKind
from compress.frontend.reader import Reader, View, label, wide
from compress.ops import Padding
from compress.tracing.trace import shape_of


def max_pool(
    reader: Reader,
    node: fx.Node,
    x: fx.Node,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> None:
    """MaxPool2d and MaxPool1d; with ceil_mode the windows reach further beyond the end."""
    source = reader.view(x, node)
    rank = len(source.shape)
    if pair(dilation, rank) != (1, 1) or return_indices:
        raise UnsupportedLayer(
            f"{label(node)}: a pool with dilation or indices has no integer kernel; "
            "leave both at their defaults"
        )
    window = pair(kernel_size, rank)
    steps = window if stride is None else pair(stride, rank)
    sides = pair(padding, rank, 0)
    reader.emit(
        node,
        "max_pool",
        [source],
        filter=window,
        stride=steps,
        padding=_window_padding(node, source, window, steps, sides),
    )


def average_pool(
    reader: Reader,
    node: fx.Node,
    x: fx.Node,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> None:
    """AvgPool2d and AvgPool1d. Where the mean counts padding, zeros are put around the map first.

    Otherwise it is the mean of the elements inside, for which TFLite knows SAME padding alone.
    """
    source = reader.view(x, node)
    rank = len(source.shape)
    if divisor_override is not None:
        raise UnsupportedLayer(
            f"{label(node)}: divisor_override has no integer kernel; leave it at its default and "
            "multiply the result"
        )
    window = pair(kernel_size, rank)
    steps = window if stride is None else pair(stride, rank)
    sides = pair(padding, rank, 0)
    if any(sides) and count_include_pad:
        source = reader.padded(node, source, Padding(sides[0], sides[0], sides[1], sides[1]))
        sides = (0, 0)
    around = _window_padding(node, source, window, steps, sides)
    if around not in (Padding(), _same_padding(source, window, steps)):
        advice = "count_include_pad=True" if any(sides) else "ceil_mode=False"
        raise UnsupportedLayer(
            f"{label(node)}: a mean of the elements inside this padding has no integer kernel; "
            f"use {advice}"
        )
    reader.emit(node, "average_pool", [source], filter=window, stride=steps, padding=around)


def _window_padding(node: fx.Node, source: View, window: Pair, steps: Pair, sides: Pair) -> Padding:
    """Padding of `sides` elements, and as much more behind as the output of `node` needs."""
    ends = []
    for axis in (0, 1):
        extent, outputs = _extents(source.shape)[axis], _extents(shape_of(node))[axis]
        needed = (outputs - 1) * steps[axis] + window[axis] - extent - sides[axis]
        ends.append(max(sides[axis], needed))
    return Padding(sides[0], ends[0], sides[1], ends[1])


def _same_padding(source: View, window: Pair, steps: Pair) -> Padding:
    """TFLite's SAME: ceil(extent / stride) outputs, the odd element of padding behind."""
    sides = []
    for extent, taps, step in zip(_extents(source.shape), window, steps, strict=True):
        total = max(0, (-(-extent // step) - 1) * step + taps - extent)
        sides += [total // 2, total - total // 2]
    return Padding(*sides)


def _extents(shape: tuple[int, ...]) -> Pair:
    """Height and width of a map or series in torch."""
    return (1, shape[2]) if len(shape) == 3 else (shape[2], shape[3])


def adaptive_average_pool(reader: Reader, node: fx.Node, x: fx.Node, output_size: Any) -> None:
    """AdaptiveAvgPool2d and 1d to a size that divides the input's."""
    _adaptive_pool(reader, node, reader.view(x, node), "average_pool")


def adaptive_max_pool(
    reader: Reader, node: fx.Node, x: fx.Node, output_size: Any, return_indices: bool = False
) -> None:
    """AdaptiveMaxPool2d and 1d to a size that divides the input's."""
    if return_indices:
        raise UnsupportedLayer(f"{label(node)}: indices of a pool; leave return_indices at False")
    _adaptive_pool(reader, node, reader.view(x, node), "max_pool")


def _adaptive_pool(reader: Reader, node: fx.Node, source: View, kind: LayerKind) -> None:
    before, after = _extents(source.shape), _extents(shape_of(node))
    if any(n % m for n, m in zip(before, after, strict=True)):
        raise UnsupportedLayer(
            f"{label(node)}: pools {before[0]}x{before[1]} to {after[0]}x{after[1]}, in windows "
            "of several sizes; choose a size that divides the input's, such as 1"
        )
    window = (before[0] // after[0], before[1] // after[1])
    reader.emit(node, kind, [source], filter=window, stride=window)


def constant_pad(
    reader: Reader,
    node: fx.Node,
    x: fx.Node,
    pad: Any,
    mode: str = "constant",
    value: float | None = None,
) -> None:
    """Padding of a map or series with a constant."""
    source, widths = reader.view(x, node), tuple(pad)
    rank = len(source.shape)
    most = 2 * (rank - 2)
    if mode != "constant":
        raise UnsupportedLayer(f"{label(node)}: padding mode {mode!r}; allowed is 'constant'")
    if rank not in (3, 4) or any(widths[most + 2 :]) or min(widths, default=0) < 0:
        raise UnsupportedLayer(
            f"{label(node)}: padding {widths} of {wide(source.shape)}; allowed are widths from 0 "
            "on, along channels, height and width of maps and series"
        )
    left, right, top, bottom = (*widths[:most], 0, 0, 0, 0)[:4]
    before, behind = (*widths[most:], 0, 0)[:2]
    if ((before or behind) and not (left or right or top or bottom)) or not (before or behind):
        reader.emit(
            node,
            "pad",
            [source],
            padding=Padding(top, bottom, left, right),
            before=before,
            behind=behind,
            value=float(value or 0.0),
        )
        return
    raise UnsupportedLayer(
        f"{label(node)}: padding {widths} of channels and of positions at once; pad twice"
    )


def pad_module(reader: Reader, node: fx.Node, x: fx.Node, padding: Any, value: float = 0.0) -> None:
    """ZeroPad2d, ConstantPad2d and the same for series."""
    constant_pad(reader, node, x, padding, value=value)
