"""Operators of two operands: our own kernels, which may write over an input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compress.operators.binary import Binary, operand_repetition
from compress.operators.elementwise import add_parameters, mul_parameters
from compress.ops import Add, Maximum, Minimum, Mul
from compress.types import Graph
from hil.kernel_interface.call import Call, c_type, constant, factor
from hil.kernel_interface.limits import check_constant
from hil.kernel_interface.operator_kernels import OperatorKernels, always
from hil.types import Step


def _check_operand(graph: Graph, op: Binary) -> None:
    if op.constant:
        dtype = graph.tensors[op.output].dtype
        check_constant(graph, op, op.right, dtype, any_zero_point=True)


def _add_call(graph: Graph, step: Step, op: Add) -> Call:
    a = add_parameters(graph, op)
    values = {
        "left_shift": a.left_shift,
        "left": (a.input1_offset, a.input1_multiplier, -a.input1_shift),
        "right": (a.input2_offset, a.input2_multiplier, -a.input2_shift),
        "sum": (a.output_offset, a.output_multiplier, -a.output_shift),
        "range": (a.lo, a.hi),
    }
    return _binary_call(graph, step, op, "add", values)


def _mul_call(graph: Graph, step: Step, op: Mul) -> Call:
    m = mul_parameters(graph, op)
    values = {
        "left_offset": m.input1_offset,
        "right_offset": m.input2_offset,
        "output_offset": m.output_offset,
        **factor(m.multiplier, m.shift),
        "range": (m.lo, m.hi),
    }
    return _binary_call(graph, step, op, "mul", values)


def _extreme_call(graph: Graph, step: Step, op: Minimum | Maximum) -> Call:
    return _binary_call(graph, step, op, "extreme", {})


def _binary_call(
    graph: Graph, step: Step, op: Binary, macro: str, values: Mapping[str, Any]
) -> Call:
    """The right operand is in the arena or, as a constant, in flash."""
    right, repeated = graph.tensors[op.right], operand_repetition(graph, op)
    values = {
        **values,
        "blocks": repeated.blocks,
        "repeats": repeated.repeats,
        "elements": repeated.elements,
        "operand": None,
    }
    if not op.constant:
        return Call(macro, values)
    if right.data is None:
        raise ValueError(f"{op.name}: {right.name} has no data")
    operand = constant(step, "operand", c_type(right), right.data)
    return Call(macro, {**values, "operand": operand.name}, constants=(operand,))


OPERATORS = (
    OperatorKernels(
        op=Add,
        check=_check_operand,
        kernels=always("add_s8"),
        int16_kernels=always("add_s16"),
        call=_add_call,
    ),
    OperatorKernels(
        op=Mul,
        check=_check_operand,
        kernels=always("mul_s8"),
        int16_kernels=always("mul_s16"),
        call=_mul_call,
    ),
    OperatorKernels(
        op=Minimum,
        check=_check_operand,
        kernels=always("minimum_s8"),
        int16_kernels=always("minimum_s16"),
        call=_extreme_call,
    ),
    OperatorKernels(
        op=Maximum,
        check=_check_operand,
        kernels=always("maximum_s8"),
        int16_kernels=always("maximum_s16"),
        call=_extreme_call,
    ),
)
