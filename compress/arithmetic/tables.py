"""Reference kernels: functions from activations to an activation, and tables of one operand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from compress.arithmetic.fixedpoint import Int64Array, value_range
from compress.types import DType, IntArray

# Activations int8 or int16 (N, *shape[1:]) in, one per input of the operator; one such out, or a
# tuple of them for several outputs.
Kernel = Callable[..., Any]


def every_value(dtype: DType) -> Int64Array:
    """All values of int8 or int16 in the order of their unsigned representation: 0, 1 .. -2, -1."""
    lowest, highest = value_range(dtype)
    return np.roll(np.arange(lowest, highest + 1, dtype=np.int64), lowest)


def table_index(x: IntArray) -> IntArray:
    """The position in `every_value` of each element of x."""
    return x.view(f"u{x.itemsize}")


def table_kernel(table: IntArray) -> Kernel:
    """The kernel that looks each element up in `table`, whose order is that of `every_value`."""

    def run_op(x: IntArray) -> IntArray:
        looked_up: IntArray = table[table_index(x)]
        return looked_up

    return run_op
