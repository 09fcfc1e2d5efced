"""TransposeConv2D: our own kernels, with CMSIS-NN's signature of a convolution."""

from __future__ import annotations

from collections.abc import Iterator

from compress.ops import TransposeConv2D
from compress.types import Graph
from hil.kernel_interface.call import Call, Dims, size_text, stride_text
from hil.kernel_interface.operator_kernels import Kernel, OperatorKernels
from hil.kernels.weight_storage import stored_weights
from hil.kernels.weights import check_weights, expanded_bytes, weight_bytes, weighted_call
from hil.types import Board, Step


def _kernels(graph: Graph, op: TransposeConv2D, board: Board) -> Iterator[Kernel]:
    yield Kernel("transpose_conv_s8", 0, expanded_bytes(graph, op))


def _int16_kernels(graph: Graph, op: TransposeConv2D, board: Board) -> Iterator[Kernel]:
    yield Kernel("transpose_conv_s16", 0, expanded_bytes(graph, op))


def _call(graph: Graph, step: Step, op: TransposeConv2D) -> Call:
    tensors = graph.tensors
    weights = tensors[op.weights].shape
    return weighted_call(
        graph,
        step,
        op,
        macro="conv",
        values={"stride": op.stride, "padding": op.crop, "dilation": (1, 1)},
        dims=(Dims(*tensors[op.input].shape), Dims(*weights), Dims(*tensors[op.output].shape)),
        stored=stored_weights(graph, op),
        window=(f"filter {size_text(weights[1:3])}", *stride_text(op.stride)),
    )


OPERATORS = (
    OperatorKernels(
        op=TransposeConv2D,
        check=check_weights,
        kernels=_kernels,
        int16_kernels=_int16_kernels,
        call=_call,
        weight_bytes=weight_bytes,
    ),
)
