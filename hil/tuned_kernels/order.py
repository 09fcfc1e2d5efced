"""Kernels that come before others of a layer where nothing is timed, by what timing has shown.

The order in which `hil.tuned_kernels.registry` lists kernels is that of their speed on most shapes.
These are the exceptions that `benchmarks/listed_order.py` found: kernels that take less flash and
hardly more cycles, and shapes for which another kernel is faster.
"""

from __future__ import annotations

from compress.ops import AveragePool2D, Conv2D, DepthwiseConv2D, FullyConnected, Op
from compress.types import Graph
from hil.tuned.cores import has_mve, is_scalar
from hil.types import Board, Memory

# The kernel by pairs of units takes 700 bytes less, and up to twice the cycles: for so many
# multiplications in all layers of a network, at most 2,000 cycles more.
_MOST_PAIRED_MACS = 2048
# A panel of weights is filled for the pixels whose windows are within 4 KB: for fewer than 8, be it
# by longer windows or by a smaller map, expanding all weights once is faster.
_MOST_FILLED_TAPS, _LEAST_FILLED_PIXELS = 256, 8
# The portable depthwise kernel skips taps in the padding, others multiply by it. It is faster where
# less than this share of the taps is on the input, by core: with DSP instructions or without.
_LEAST_INSIDE_DSP, _LEAST_INSIDE_SCALAR = 0.55, 0.80


def early_kernels(
    graph: Graph, op: Op, board: Board, saves: Memory, has_smaller_form: bool
) -> tuple[str, ...]:
    """The names of the kernels that come first, best first; none for most layers.

    `has_smaller_form` is true if the layer's weights are stored in a form that has to be expanded.
    """
    match op:
        case DepthwiseConv2D():
            return _early_depthwise(graph, op, board)
        case AveragePool2D() if saves == "flash":
            return ("average_pool_short",)
        case Conv2D() if saves == "flash" and has_smaller_form and _fills_panels(graph, op):
            return ("conv_short_sparse",)
        case FullyConnected() if saves == "flash" and not has_smaller_form:
            return ("fully_connected_pairs_s8",) if _has_small_units(graph) else ()
    return ()


def _early_depthwise(graph: Graph, op: DepthwiseConv2D, board: Board) -> tuple[str, ...]:
    """Filters of 3x3 have kernels of their own, and MVE has masks for the padding."""
    _, rows, columns, _ = graph.tensors[op.weights].shape
    if has_mve(board) or rows * columns <= 9:
        return ()
    least = _LEAST_INSIDE_SCALAR if is_scalar(board) else _LEAST_INSIDE_DSP
    if _share_inside(graph, op) < least:
        return ("depthwise_s8",)
    return ("depthwise_rows", "depthwise_scalar", "depthwise_s8")


def _share_inside(graph: Graph, op: DepthwiseConv2D) -> float:
    """The share of all taps of all windows that is on the input, not in the padding (0..1)."""
    sizes = graph.tensors[op.input].shape[1:3]
    outputs = graph.tensors[op.output].shape[1:3]
    taps = graph.tensors[op.weights].shape[1:3]
    share = 1.0
    for axis, before in enumerate((op.padding.top, op.padding.left)):
        positions = (
            output * op.stride[axis] - before + tap * op.dilation[axis]
            for output in range(outputs[axis])
            for tap in range(taps[axis])
        )
        inside = sum(0 <= position < sizes[axis] for position in positions)
        share *= inside / (outputs[axis] * taps[axis])
    return share


def _fills_panels(graph: Graph, op: Conv2D) -> bool:
    filters, (_, height, width, _) = graph.tensors[op.weights], graph.tensors[op.output].shape
    taps = filters.elements // filters.shape[0]
    return taps <= _MOST_FILLED_TAPS and height * width >= _LEAST_FILLED_PIXELS


def _has_small_units(graph: Graph) -> bool:
    """True if all fully connected layers together are a trifle."""
    layers = [op for op in graph.ops if isinstance(op, FullyConnected)]
    macs = (
        graph.tensors[op.weights].elements
        * (graph.tensors[op.input].elements // graph.tensors[op.weights].shape[1])
        for op in layers
    )
    return sum(macs) <= _MOST_PAIRED_MACS
