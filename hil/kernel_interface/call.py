"""Values that the C templates fill in for the call of a kernel: numbers, shapes, constants.

`values` of a `Call` are what the macro of the same name in `firmware/templates/layers.c.j2` uses.
Constants keep TensorFlow Lite's layouts (OHWI, 1HWC, NK), which are also CMSIS-NN's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from compress.types import Array, Tensor
from hil.types import Step

Words = npt.NDArray[np.uint32]

_VALUES_PER_LINE = {
    "int8_t": 19,
    "uint8_t": 19,
    "int16_t": 13,
    "uint16_t": 13,
    "int32_t": 8,
    "uint32_t": 8,
}


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


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A const array in flash of C type `type`, which is one of `_VALUES_PER_LINE`.

    `lines` are its values as C: made when they are asked for, as kernels are compared by calls of
    which most are never rendered.
    """

    name: str
    type: str
    values: npt.NDArray[Any]
    comment: str

    @property
    def elements(self) -> int:
        return int(self.values.size)

    @property
    def lines(self) -> tuple[str, ...]:
        per_line = _VALUES_PER_LINE[self.type]
        form = "0x{:08x}" if self.type == "uint32_t" else "{}"
        texts = [form.format(value) for value in self.values.reshape(-1).tolist()]
        return tuple(", ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line))


@dataclass(frozen=True, slots=True)
class Instance:
    """A function assembled for one program: a source of firmware/tuned/instances with macros.

    `type` is its function type in tuned.h.
    """

    name: str
    type: str
    source: str
    macros: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """The call of one layer's kernel: a macro of `layers.c.j2` and what it fills in.

    `macro` "view" renders no call. Dims are None for kernels that take none. `window` (filter
    size, stride) and `storage` (form of the weights) are text for the comment above the call.
    """

    macro: str
    values: Mapping[str, Any]
    input_dims: Dims | None = None
    filter_dims: Dims | None = None
    output_dims: Dims | None = None
    constants: tuple[Constant, ...] = ()
    instances: tuple[Instance, ...] = ()
    window: tuple[str, ...] = ()
    storage: tuple[str, ...] = ()


def constant(step: Step, suffix: str, type_: str, values: Array, note: str = "") -> Constant:
    """The array of a layer's constants, named after the layer: layer3_weights, for example."""
    comment = f"{step.index} {safe(step.op.name)}{note}"
    return array(f"{symbol(step)}_{suffix}", type_, values, comment)


def array(name: str, type_: str, values: Array, comment: str) -> Constant:
    """A const array of C type `type_`."""
    return Constant(name, type_, values, comment)


def c_type(tensor: Tensor) -> str:
    """The C type of an activation's values."""
    return f"{np.dtype(tensor.item).name}_t"


def symbol(step: Step) -> str:
    """Prefix of the C names of a layer's constants."""
    return f"layer{step.index}"


def factor(multiplier: int, shift: int) -> dict[str, int]:
    """A fixed-point factor as our kernels take it: the shift split by direction, neither < 0."""
    return {
        "multiplier": multiplier,
        "left_shift": max(shift, 0),
        "right_shift": max(-shift, 0),
    }


def safe(text: str) -> str:
    """`text` with everything replaced that could end or break a C comment.

    Names of layers and tensors come from imported files.
    """
    return re.sub(r"[^A-Za-z0-9_.:;/ =-]|/(?=\*)|/$", "_", text)


def size_text(shape: tuple[int, ...]) -> str:
    """A shape as text: 3x5."""
    return "x".join(map(str, shape))


def stride_text(stride: tuple[int, int]) -> tuple[str, ...]:
    """Text about a stride (rows, columns); none where it is 1x1."""
    return () if stride == (1, 1) else (f"stride {size_text(stride)}",)
