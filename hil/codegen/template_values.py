"""The records that the C templates fill in: layers, shapes, constants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from compress.types import Array
from hil.types import Step

_VALUES_PER_LINE = {"int8_t": 19, "int32_t": 8, "uint32_t": 8}


@dataclass(frozen=True, slots=True)
class Dims:
    """A cmsis_nn_dims constant, named by its value so that equal shapes share one."""

    n: int
    h: int
    w: int
    c: int

    @property
    def name(self) -> str:
        return f"dims_{self.n}x{self.h}x{self.w}x{self.c}"


@dataclass(frozen=True, slots=True)
class Constant:
    """A const array in flash: its values as lines of C."""

    name: str
    type: str
    elements: int
    comment: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator as the templates see it. `shapes` are None for kernels that take no dims."""

    step: Step
    kind: str
    comment: str
    parameters: Mapping[str, Any]
    input_dims: Dims | None = None
    filter_dims: Dims | None = None
    output_dims: Dims | None = None
    constants: tuple[Constant, ...] = ()

    @property
    def shapes(self) -> tuple[Dims, ...]:
        return tuple(d for d in (self.input_dims, self.filter_dims, self.output_dims) if d)


def constant(step: Step, suffix: str, c_type: str, values: Array, note: str = "") -> Constant:
    """An array that belongs to a layer, named after it: layer3_weights, say."""
    flat: npt.NDArray[Any] = values.reshape(-1)
    per_line = _VALUES_PER_LINE[c_type]
    form = "0x{:08x}" if c_type == "uint32_t" else "{}"
    texts = [form.format(value) for value in flat.tolist()]
    lines = tuple(", ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line))
    comment = f"{step.index} {safe(step.op.name)}{note}"
    return Constant(f"{symbol(step)}_{suffix}", c_type, len(texts), comment, lines)


def symbol(step: Step) -> str:
    """What the C names of a layer's constants begin with."""
    return f"layer{step.index}"


def safe(text: str) -> str:
    """`text` as it may stand in a C comment: names come from outside."""
    return re.sub(r"[^A-Za-z0-9_.:;/ =-]|/(?=\*)|/$", "_", text)


def size_text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
