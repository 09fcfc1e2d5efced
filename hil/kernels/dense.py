"""FullyConnected: CMSIS-NN's kernels on int8, ours on int16 and for weights with a zero point.

BatchMatMul: our own kernel on int8.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from compress.arithmetic.fixedpoint import conv_multipliers
from compress.operators.matmul import matmul_parameters
from compress.ops import BatchMatMul, FullyConnected
from compress.types import Graph
from hil.kernel_interface.call import Call, Dims, factor
from hil.kernel_interface.operator_kernels import Kernel, OperatorKernels, always
from hil.kernels.cmsis_nn import cmsis_nn
from hil.kernels.weights import (
    check_weights,
    expanded_bytes,
    have_zero_point,
    stored_in,
    weight_bytes,
    weighted_call,
)
from hil.types import Board, Step


def _kernels(graph: Graph, op: FullyConnected, board: Board) -> Iterator[Kernel]:
    """Two functions; the second runs the layer as a 1x1 convolution of a single pixel.

    The first takes one scale for all units only. From CMSIS-NN 7.0.0 on, with MVE, it also wants
    the weights summed beforehand.
    """
    room = expanded_bytes(graph, op)
    if have_zero_point(graph, op):
        yield Kernel("convolve_offset_s8", 0, room)
        return
    one_scale = len(graph.tensors[op.weights].scales) == 1
    if one_scale and not (cmsis_nn().since_7 and "mve" in board.features):
        yield Kernel("arm_fully_connected_s8", 0, room)
    yield Kernel("arm_convolve_1x1_s8_fast", 0, room)


def _int16_kernels(graph: Graph, op: FullyConnected, board: Board) -> Iterator[Kernel]:
    yield Kernel("convolve_s16", 0, expanded_bytes(graph, op))


def _call(graph: Graph, step: Step, op: FullyConnected) -> Call:
    """Weights that are expanded in slices get the output's dims of each slice in the macro.

    Rows of the input are a batch of the first function and the height of the convolutions.
    """
    units, depth = graph.tensors[op.weights].shape
    rows = graph.tensors[op.input].elements // depth
    stored = stored_in(graph, step, op)
    one_scale = step.kernel == "arm_fully_connected_s8"
    batch, height = (rows, 1) if one_scale else (1, rows)
    sliced = stored is not None and stored.sliced
    output_dims = None if sliced else Dims(batch, height, 1, units)
    values: dict[str, Any]
    if one_scale:
        filter_dims = Dims(depth, 1, 1, units)
        values = {"scale": conv_multipliers(graph, op)[0]}
    else:
        filter_dims = Dims(units, 1, 1, depth)
        values = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}
    return weighted_call(
        graph,
        step,
        op,
        macro="fully_connected" if one_scale else "conv",
        values=values,
        dims=(Dims(batch, height, 1, depth), filter_dims, output_dims),
        stored=stored,
        per_channel=not one_scale,
    )


def _matmul_call(graph: Graph, step: Step, op: BatchMatMul) -> Call:
    """The kernel walks the right matrix by steps: `along` its columns and `across` them."""
    p, left = matmul_parameters(graph, op), graph.tensors[op.left].shape
    rows, depth = left[-2:]
    columns = graph.tensors[op.output].shape[-1]
    values = {
        "left_offset": p.left_offset,
        "right_offset": p.right_offset,
        "output_offset": p.output_offset,
        **factor(p.multiplier, p.shift),
        "batches": math.prod(left[:-2]),
        "rows": rows,
        "depth": depth,
        "columns": columns,
        "along": 1 if op.transposed else columns,
        "across": depth if op.transposed else 1,
    }
    return Call("matmul", values)


OPERATORS = (
    OperatorKernels(op=BatchMatMul, kernels=always("batch_matmul_s8"), call=_matmul_call),
    OperatorKernels(
        op=FullyConnected,
        check=check_weights,
        kernels=_kernels,
        int16_kernels=_int16_kernels,
        call=_call,
        weight_bytes=weight_bytes,
        any_extent=True,
    ),
)
