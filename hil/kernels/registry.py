"""The operator families; `choice` chooses among the kernels of one.

Families have the names of those in `compress.operators`, which defines what they compute;
`movement` and `elementwise` have the kernels of several.
"""

from __future__ import annotations

from typing import Any

from compress.ops import Op
from hil.kernel_interface.operator_kernels import OperatorKernels
from hil.kernels import (
    convolution,
    custom,
    dense,
    elementwise,
    lookup,
    movement,
    padding,
    pooling,
    prelu,
    reduction,
    requantize,
    resizing,
    shape,
    softmax,
    transposed_convolution,
)
from hil.recurrent import lstm, recurrence, svdf

FAMILIES: tuple[tuple[OperatorKernels[Any], ...], ...] = (
    convolution.OPERATORS,
    dense.OPERATORS,
    elementwise.OPERATORS,
    pooling.OPERATORS,
    reduction.OPERATORS,
    shape.OPERATORS,
    movement.OPERATORS,
    padding.OPERATORS,
    softmax.OPERATORS,
    requantize.OPERATORS,
    lookup.OPERATORS,
    custom.OPERATORS,
    resizing.OPERATORS,
    prelu.OPERATORS,
    transposed_convolution.OPERATORS,
    lstm.OPERATORS,
    svdf.OPERATORS,
    recurrence.OPERATORS,
)
_BY_TYPE = {operator.op: operator for family in FAMILIES for operator in family}


def kernels_of(op: Op) -> OperatorKernels[Any]:
    """The record of the operator's type."""
    return _BY_TYPE[type(op)]
