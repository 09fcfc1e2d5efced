"""Operators that a user supplies: a C function and its reference in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from compress.ops.op import Op


@dataclass(frozen=True, slots=True, eq=False)
class Operand:
    """An operand of a custom operator: real value = scale * (quantized value - zero_point).

    `values` are int8, int16 or int32 of shape `shape`; None for an output, to be computed.
    """

    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int
    values: npt.NDArray[Any] | None = None


# (inputs in the file's order, outputs without values, the operator's options as bytes) -> the
# values of each output, of its shape and type.
Reference = Callable[[Sequence[Operand], Sequence[Operand], bytes], Sequence[npt.NDArray[Any]]]


@dataclass(frozen=True, slots=True, eq=False)
class CustomOperator:
    """A definition: the `code` by which files name the operator, its reference, its C function.

    `source` is C11 text that defines the function `function` of the type in firmware/custom.h.
    """

    code: str
    reference: Reference
    function: str
    source: str


@dataclass(frozen=True, slots=True)
class Custom(Op):
    """A custom operator; `order` has the file's positions of `inputs`, then of `parameters`."""

    inputs: tuple[int, ...]
    parameters: tuple[int, ...]
    outputs: tuple[int, ...]
    order: tuple[int, ...]
    options: bytes
    definition: CustomOperator

    @property
    def reads(self) -> tuple[str, ...]:
        return ("inputs",)

    @property
    def constants(self) -> tuple[str, ...]:
        return ("parameters",)

    @property
    def writes(self) -> tuple[str, ...]:
        return ("outputs",)

    @property
    def operands(self) -> tuple[int, ...]:
        """Indices of all tensors that it reads, in the file's order."""
        indices = np.array((*self.inputs, *self.parameters))
        return tuple(int(index) for index in indices[np.argsort(self.order)])
