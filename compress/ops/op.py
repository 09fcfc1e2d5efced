"""The base class of all integer operators, and the tensors that an operator refers to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any


class Activation(Enum):
    """Fused activation, a clamp of the quantized output (`fixedpoint.clamp_range`)."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"
    RELU_N1_TO_1 = "relu_n1_to_1"


@dataclass(frozen=True, slots=True)
class Op:
    """An integer operator of a `Graph`; tensors are referred to by their index in its `tensors`.

    `reads`, `constants` and `writes` name the fields that hold the activations that are read, the
    constants, and the activations that are written: an index, a tuple of indices, or None for an
    operand that is absent.
    """

    name: str

    @property
    def reads(self) -> tuple[str, ...]:
        return ("input",)

    @property
    def constants(self) -> tuple[str, ...]:
        return ()

    @property
    def writes(self) -> tuple[str, ...]:
        return ("output",)

    @property
    def states(self) -> tuple[tuple[str, str], ...]:
        """Pairs of fields: a state that is read, and the one that may be written over it."""
        return ()


def inputs_of(op: Op) -> tuple[int, ...]:
    """Indices of the activation tensors that `op` reads, without its constants."""
    return _indices(op, op.reads)


def constants_of(op: Op) -> tuple[int, ...]:
    """Indices of the constant tensors that `op` reads."""
    return _indices(op, op.constants)


def outputs_of(op: Op) -> tuple[int, ...]:
    """Indices of the activation tensors that `op` writes."""
    return _indices(op, op.writes)


def activations_of(op: Op) -> tuple[int, ...]:
    """Indices of the activation tensors that `op` reads, then of those that it writes."""
    return (*inputs_of(op), *outputs_of(op))


def states_of(op: Op) -> dict[int, int]:
    """For each state that `op` writes, the index of the one that it may be written over."""
    return {getattr(op, written): getattr(op, read) for read, written in op.states}


def renumbered(op: Op, index: Mapping[int, int]) -> Op:
    """`op` with each tensor index replaced by its entry in `index`."""
    moved: dict[str, Any] = {}
    for name in (*op.reads, *op.constants, *op.writes):
        value = getattr(op, name)
        if isinstance(value, tuple):
            moved[name] = tuple(index[i] for i in value)
        elif value is not None:
            moved[name] = index[value]
    return replace(op, **moved)


def _indices(op: Op, names: tuple[str, ...]) -> tuple[int, ...]:
    found: list[int] = []
    for name in names:
        value = getattr(op, name)
        if value is not None:
            found += value if isinstance(value, tuple) else (value,)
    return tuple(found)
