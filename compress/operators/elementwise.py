"""Add and Mul: sums, differences and products of two activations or of one and a constant.

Sources, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/add.cc, sub.cc and mul.cc,
internal/reference/integer_ops/add.h and mul.h.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compress.arithmetic.fixedpoint import (
    Int64Array,
    clamp_range,
    multiply_by_quantized_multiplier,
    named_multiplier,
    scale_ratio,
)
from compress.arithmetic.intervals import Bounds, corners
from compress.arithmetic.tables import Kernel, every_value, table_index
from compress.errors import UnsupportedLayer
from compress.operator_interface.checks import require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.operators.binary import (
    check_operands,
    cut_constant_operand,
    import_operands,
    operand_ties,
    with_repeated_right,
)
from compress.ops import Add, Mul, Op
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator, TensorType
from compress.tflite_records.import_node import ImportNode
from compress.tflite_records.options import activation_option
from compress.types import DType, Graph, IntArray

ADD_LEFT_SHIFT = 20  # of int8
ADD_LEFT_SHIFT_INT16 = 15
# An int8 minus a zero point has 8 bits and a sign, a product of two 16; one of two int16 has 30:
# more shift leaves int32.
_MUL_LARGEST_SHIFTS: Mapping[DType, int] = {"int8": 15, "int16": 0}


@dataclass(frozen=True, slots=True)
class AddParameters:
    """output = clamp(output_offset + M_out((M_1(in1 + off1) + M_2(in2 + off2)))).

    The inputs are shifted left by `left_shift` before M_1 and M_2 (20 on int8, 15 on int16). All
    is int32 and each M is `multiply_by_quantized_multiplier`, on int16 too. `*_shift` > 0 shifts
    left (none does here). For a difference, M_2 is negative; for a reversed one, M_1.
    """

    left_shift: int
    input1_offset: int
    input1_multiplier: int
    input1_shift: int
    input2_offset: int
    input2_multiplier: int
    input2_shift: int
    output_offset: int
    output_multiplier: int
    output_shift: int
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class MulParameters:
    """output = clamp(output_offset + M((in1 + off1) * (in2 + off2))); `shift` > 0 shifts left."""

    input1_offset: int
    input2_offset: int
    multiplier: int
    shift: int
    output_offset: int
    lo: int
    hi: int


def add_parameters(graph: Graph, op: Add) -> AddParameters:
    """Parameters of TFLite's int8 and int16 ADD and SUB.

    On int16 they are those for scales that need not be powers of two (`pot_scale_int16` false).
    Raises UnsupportedLayer if the output scale is too small.
    """
    left, right, out = graph.tensors[op.left], graph.tensors[op.right], graph.tensors[op.output]
    left_shift = ADD_LEFT_SHIFT_INT16 if out.dtype == "int16" else ADD_LEFT_SHIFT
    twice_max = 2.0 * max(left.scale, right.scale)
    real_output = twice_max / (2**left_shift * out.scale)
    if real_output >= 1:
        raise UnsupportedLayer(
            f"{op.name}: output scale {out.scale:g} is too small for inputs of {twice_max / 2:g}"
        )
    lo, hi = clamp_range(out, op.activation)
    left_multiplier, left_places = named_multiplier(op.name, left.scale / twice_max)
    right_multiplier, right_places = named_multiplier(op.name, right.scale / twice_max)
    output_multiplier, output_places = named_multiplier(op.name, real_output)
    return AddParameters(
        left_shift=left_shift,
        input1_offset=-left.zero_point,
        input1_multiplier=-left_multiplier if op.reverse else left_multiplier,
        input1_shift=left_places,
        input2_offset=-right.zero_point,
        input2_multiplier=right_multiplier if op.reverse == op.subtract else -right_multiplier,
        input2_shift=right_places,
        output_offset=out.zero_point,
        output_multiplier=output_multiplier,
        output_shift=output_places,
        lo=lo,
        hi=hi,
    )


def mul_parameters(graph: Graph, op: Mul) -> MulParameters:
    """Parameters of TFLite's int8 and int16 MUL (scales in single precision).

    Raises UnsupportedLayer where a shifted product would leave int32.
    """
    left, right, out = graph.tensors[op.left], graph.tensors[op.right], graph.tensors[op.output]
    ratio = scale_ratio(graph, (left.scale, right.scale), out.scale)
    multiplier, shift = named_multiplier(op.name, ratio)
    if shift > _MUL_LARGEST_SHIFTS[out.dtype]:
        raise UnsupportedLayer(f"{op.name}: output scale {out.scale:g} is too small")
    lo, hi = clamp_range(out, op.activation)
    return MulParameters(
        input1_offset=-left.zero_point,
        input2_offset=-right.zero_point,
        multiplier=multiplier,
        shift=shift,
        output_offset=out.zero_point,
        lo=lo,
        hi=hi,
    )


def _check_add(graph: Graph, op: Add) -> None:
    check_operands(graph, op)
    require(op.subtract or not op.reverse, op.name, "a reversed sum")
    add_parameters(graph, op)


def _check_mul(graph: Graph, op: Mul) -> None:
    check_operands(graph, op)
    mul_parameters(graph, op)


def _add_kernel(graph: Graph, op: Add) -> Kernel:
    p, out = add_parameters(graph, op), graph.tensors[op.output]

    def scaled(operand: int, offset: int, multiplier: int, shift: int) -> Int64Array:
        values = (every_value(graph.tensors[operand].dtype) + offset) << p.left_shift
        return multiply_by_quantized_multiplier(values, multiplier, shift)

    table1 = scaled(op.left, p.input1_offset, p.input1_multiplier, p.input1_shift)
    table2 = scaled(op.right, p.input2_offset, p.input2_multiplier, p.input2_shift)

    def run_op(left: IntArray, right: IntArray) -> IntArray:
        sums = table1[table_index(left)] + table2[table_index(right)]
        sums = multiply_by_quantized_multiplier(sums, p.output_multiplier, p.output_shift)
        return np.clip(sums + p.output_offset, p.lo, p.hi).astype(out.item)

    return with_repeated_right(graph, op, run_op)


def _mul_kernel(graph: Graph, op: Mul) -> Kernel:
    p, item = mul_parameters(graph, op), graph.tensors[op.output].item

    def run_op(left: IntArray, right: IntArray) -> IntArray:
        products = (left.astype(np.int64) + p.input1_offset) * (
            right.astype(np.int64) + p.input2_offset
        )
        values = multiply_by_quantized_multiplier(products, p.multiplier, p.shift)
        return np.clip(values + p.output_offset, p.lo, p.hi).astype(item)

    return with_repeated_right(graph, op, run_op)


def _add_bounds(graph: Graph, op: Add, operands: Sequence[Bounds]) -> Bounds:
    """A sum rises with both operands, a difference falls with the one that is subtracted."""
    kernel, left = _add_kernel(graph, op), operands[0]
    if op.reverse:
        left = Bounds(lowest=left.highest, highest=left.lowest)
    if op.constant:
        return Bounds(kernel(left.lowest), kernel(left.highest))
    right = operands[1]
    if op.subtract and not op.reverse:
        right = Bounds(lowest=right.highest, highest=right.lowest)
    return Bounds(kernel(left.lowest, right.lowest), kernel(left.highest, right.highest))


def _mul_bounds(graph: Graph, op: Mul, operands: Sequence[Bounds]) -> Bounds:
    return corners(_mul_kernel(graph, op), operands)


def _import(node: ImportNode) -> tuple[Op, ...]:
    before, left, right, constant, swapped = import_operands(node)
    activation = node.activation()
    if node.stored.code == BuiltinOperator.MUL:
        return (*before, Mul(node.label, left, right, node.output, activation, constant))
    int16 = node.type_of(node.output) == TensorType.INT16
    scales = [s for i in (left, right, node.output) for s in node.tensors[i].scales]
    if int16 and node.stored.options.get("PotScaleInt16") and all(map(_is_power_of_two, scales)):
        raise UnsupportedLayer(f"{node.label}: int16 arithmetic for scales of powers of two")
    subtract = node.stored.code == BuiltinOperator.SUB
    reverse = subtract and swapped
    add = Add(node.label, left, right, node.output, activation, subtract, constant, reverse)
    return (*before, add)


def _is_power_of_two(scale: float) -> bool:
    """As CheckedLog2 of TFLite's internal/quantization_util.cc; other scales are general ones."""
    if not (math.isfinite(scale) and scale > 0):
        return False
    exponent = math.log2(scale)
    return abs(exponent - round(exponent)) < 1e-3


def _export_add(context: ExportContext, op: Add) -> None:
    options = activation_option(op.activation)
    if context.reads_int16(op):
        options["PotScaleInt16"] = False
    code = BuiltinOperator.SUB if op.subtract else BuiltinOperator.ADD
    operands = (op.right, op.left) if op.reverse else (op.left, op.right)
    context.add(code, operands, op.output, options)


def _export_mul(context: ExportContext, op: Mul) -> None:
    options = activation_option(op.activation)
    context.add(BuiltinOperator.MUL, (op.left, op.right), op.output, options)


FAMILY = Family(
    operators=(
        Operator(
            op=Add,
            check=_check_add,
            kernel=_add_kernel,
            export=_export_add,
            bounds=_add_bounds,
            ties=operand_ties,
            cut=cut_constant_operand,
            on_int16=True,
        ),
        Operator(
            op=Mul,
            check=_check_mul,
            kernel=_mul_kernel,
            export=_export_mul,
            bounds=_mul_bounds,
            ties=operand_ties,
            cut=cut_constant_operand,
            on_int16=True,
        ),
    ),
    builtins=(
        Builtin(
            BuiltinOperator.ADD,
            2,
            _import,
            "AddOptions",
            ("FusedActivationFunction", "PotScaleInt16"),
        ),
        Builtin(
            BuiltinOperator.SUB,
            2,
            _import,
            "SubOptions",
            ("FusedActivationFunction", "PotScaleInt16"),
        ),
        Builtin(BuiltinOperator.MUL, 2, _import, "MulOptions", ("FusedActivationFunction",)),
    ),
    limits=(
        "Operands may be repeated along any axes, and one may be a constant. ADD and SUB on "
        "int16 with scales of powers of two (`pot_scale_int16`) are refused."
    ),
)
