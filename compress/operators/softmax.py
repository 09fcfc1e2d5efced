"""Softmax, bit-exact to TFLite's kernels: of int8 in fixed point, of int16 with tables.

Sources, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/activations.cc and
internal/quantization_util.cc (parameters).
"""

from __future__ import annotations

from collections.abc import Mapping

from compress.arithmetic.fixedpoint import named_multiplier
from compress.arithmetic.softmax_int8 import SOFTMAX_INTEGER_BITS, SoftmaxParameters, softmax_rows
from compress.arithmetic.softmax_int16 import STEP_OF_EXPONENT, softmax_int16_rows
from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer
from compress.operator_interface.checks import check_same_shape
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import Softmax
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.types import DType, Graph, IntArray

# Output units per one, and zero point, by the types of input and output.
_UNITS: Mapping[tuple[DType, DType], tuple[int, int]] = {
    ("int8", "int8"): (2**8, -(2**7)),
    ("int8", "int16"): (2**16, -(2**15)),
    ("int16", "int16"): (2**15, 0),
}
_LARGEST_SHIFT = 15  # a difference of int16, at most 65535, stays within int32


def softmax_parameters(graph: Graph, op: Softmax) -> SoftmaxParameters:
    """Parameters of TFLite's SOFTMAX (beta 1) of int8.

    Raises UnsupportedLayer for an input scale of 2**-26 or less.
    """
    scale = graph.tensors[op.input].scale
    real = min(scale * 2 ** (31 - SOFTMAX_INTEGER_BITS), 2**31 - 1.0)
    if real <= 1:
        raise UnsupportedLayer(f"{op.name}: input scale {scale:g} is not above 2**-26")
    multiplier, shift = named_multiplier(op.name, real)
    radius = (2**SOFTMAX_INTEGER_BITS - 1) * 2 ** (31 - SOFTMAX_INTEGER_BITS) >> shift
    return SoftmaxParameters(multiplier, shift, -radius)


def _check(graph: Graph, op: Softmax) -> None:
    x, out = graph.tensors[op.input], graph.tensors[op.output]
    check_same_shape(op.name, x, out)
    if (x.dtype, out.dtype) not in _UNITS:
        raise UnsupportedLayer(f"{op.name}: there is no softmax of {x.dtype} to {out.dtype}")
    units, zero_point = _UNITS[x.dtype, out.dtype]
    if out.zero_point != zero_point or abs(out.scale * units - 1) > 1e-3:
        raise UnsupportedLayer(
            f"{op.name}: output must have scale 1/{units}, zero point {zero_point}"
        )
    if x.dtype == "int16":
        if x.zero_point != 0:
            raise UnsupportedLayer(f"{op.name}: int16 with zero point {x.zero_point}, must be 0")
        exponent_multiplier(graph, op)
    else:
        softmax_parameters(graph, op)


def exponent_multiplier(graph: Graph, op: Softmax) -> tuple[int, int]:
    """(multiplier, shift) from an int16 input's scale to steps of the table of exponentials.

    Raises UnsupportedLayer for a scale with which the largest difference would leave int32.
    """
    scale = graph.tensors[op.input].scale
    multiplier, shift = named_multiplier(op.name, scale / STEP_OF_EXPONENT)
    if shift > _LARGEST_SHIFT:
        largest = 2.0**_LARGEST_SHIFT * STEP_OF_EXPONENT
        raise UnsupportedLayer(f"{op.name}: input scale {scale:g}, must be below {largest:g}")
    return multiplier, shift


def _kernel(graph: Graph, op: Softmax) -> Kernel:
    if graph.tensors[op.input].dtype == "int16":
        return _int16_kernel(graph, op)
    parameters, item = softmax_parameters(graph, op), graph.tensors[op.output].item
    return lambda x: softmax_rows(x.reshape(-1, x.shape[-1]), parameters, item).reshape(x.shape)


def _int16_kernel(graph: Graph, op: Softmax) -> Kernel:
    factor, single = exponent_multiplier(graph, op), graph.other_precision

    def run_op(x: IntArray) -> IntArray:
        rows = x.reshape(-1, x.shape[-1])
        return softmax_int16_rows(rows, *factor, single_precision=single).reshape(x.shape)

    return run_op


def _import(node: ImportNode) -> Softmax:
    beta = node.stored.options.get("Beta", 1.0)
    if beta != 1.0:
        raise UnsupportedLayer(f"{node.label}: beta {beta}, must be 1")
    return Softmax(node.label, node.input, node.output)


def _export(context: ExportContext, op: Softmax) -> None:
    context.add(BuiltinOperator.SOFTMAX, (op.input,), op.output, {"Beta": 1.0})


FAMILY = Family(
    operators=(
        Operator(
            op=Softmax,
            check=_check,
            kernel=_kernel,
            export=_export,
            on_int16=True,
            converts=True,
            int16_zero_points=True,
        ),
    ),
    builtins=(Builtin(BuiltinOperator.SOFTMAX, 2, _import, "SoftmaxOptions", ("Beta",)),),
    limits=(
        "Over the last axis of at most 4,095 values; beta 1. From int8 to int8 with scale 1/256 "
        "and zero point -128 or to int16 with 1/65536 and -32768; from int16, with a scale below "
        "5, to int16 with 1/32768 and 0."
    ),
)
