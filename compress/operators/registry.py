"""The table of all operators, by type, and of all builtin operators, by code.

A new family is a module of this room and an entry of `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compress.movement import broadcasting, padding, rearranging, shape, slicing
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.operators import (
    convolution,
    custom,
    dense,
    elementwise,
    extremes,
    lookup,
    matmul,
    pooling,
    prelu,
    reduction,
    requantize,
    resizing,
    softmax,
    transposed_convolution,
)
from compress.ops import Op
from compress.recurrent import lstm, recurrence, svdf

FAMILIES: tuple[Family, ...] = (
    convolution.FAMILY,
    dense.FAMILY,
    matmul.FAMILY,
    elementwise.FAMILY,
    extremes.FAMILY,
    pooling.FAMILY,
    reduction.FAMILY,
    shape.FAMILY,
    slicing.FAMILY,
    rearranging.FAMILY,
    broadcasting.FAMILY,
    padding.FAMILY,
    softmax.FAMILY,
    requantize.FAMILY,
    lookup.FAMILY,
    custom.FAMILY,
    resizing.FAMILY,
    prelu.FAMILY,
    transposed_convolution.FAMILY,
    lstm.FAMILY,
    svdf.FAMILY,
    recurrence.FAMILY,
)
OPERATORS: Mapping[type[Op], Operator[Any]] = {
    operator.op: operator for family in FAMILIES for operator in family.operators
}
BUILTINS: Mapping[int, Builtin] = {
    builtin.code: builtin for family in FAMILIES for builtin in family.builtins
}


def operator_of(op: Op) -> Operator[Any]:
    """The functions of the operator's type."""
    return OPERATORS[type(op)]
