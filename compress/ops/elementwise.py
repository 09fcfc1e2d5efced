"""Operators that compute each element, or each row, by itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from compress.ops.op import Activation, Op


class Function(Enum):
    """Element-wise functions of one operand; on int8 they run as a table of 256 values.

    On int16 there are LEAKY_RELU, LOGISTIC and TANH. RSQRT is 1 / sqrt. RESCALE, the change of
    scale that a concatenation on uint8 makes, is in networks of that quantization
    (`Graph.uint8`) only.
    """

    LEAKY_RELU = "leaky_relu"
    HARD_SWISH = "hard_swish"
    LOGISTIC = "logistic"
    TANH = "tanh"
    ABS = "abs"
    ELU = "elu"
    EXP = "exp"
    RSQRT = "rsqrt"
    RESCALE = "rescale"


@dataclass(frozen=True, slots=True)
class Add(Op):
    """Element-wise sum; with `subtract`, left - right; with `reverse` also, right - left.

    Each tensor has its own scale. left and output have one shape. right has the same shape or is
    repeated along consecutive axes (those of extent 1 left out): (1,1,1,C), (1,H,1,C), (1,H,W,1)
    or a single element, for example. With `constant`, right is a constant.
    """

    left: int
    right: int
    output: int
    activation: Activation = Activation.NONE
    subtract: bool = False
    constant: bool = False
    reverse: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        return ("left",) if self.constant else ("left", "right")

    @property
    def constants(self) -> tuple[str, ...]:
        return ("right",) if self.constant else ()


@dataclass(frozen=True, slots=True)
class Mul(Op):
    """Element-wise product; shapes and `constant` as in `Add`."""

    left: int
    right: int
    output: int
    activation: Activation = Activation.NONE
    constant: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        return ("left",) if self.constant else ("left", "right")

    @property
    def constants(self) -> tuple[str, ...]:
        return ("right",) if self.constant else ()


@dataclass(frozen=True, slots=True)
class Minimum(Op):
    """The lesser of two elements; all share one scale. Shapes and `constant` as in `Add`."""

    left: int
    right: int
    output: int
    constant: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        return ("left",) if self.constant else ("left", "right")

    @property
    def constants(self) -> tuple[str, ...]:
        return ("right",) if self.constant else ()


@dataclass(frozen=True, slots=True)
class Maximum(Op):
    """The greater of two elements; otherwise as `Minimum`."""

    left: int
    right: int
    output: int
    constant: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        return ("left",) if self.constant else ("left", "right")

    @property
    def constants(self) -> tuple[str, ...]:
        return ("right",) if self.constant else ()


@dataclass(frozen=True, slots=True)
class Requantize(Op):
    """Change of scale, zero point or type, then a clamp: TFLite's QUANTIZE, RELU, RELU6, ..."""

    input: int
    output: int
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class Lookup(Op):
    """output = function(input), element-wise; `alpha` is the slope of LEAKY_RELU below zero."""

    input: int
    output: int
    function: Function
    alpha: float = 0.0


@dataclass(frozen=True, slots=True)
class Table(Op):
    """output = table[input + 128], element-wise on int8, for any function of one operand.

    `table` is a constant int8 (256,): the outputs for the inputs -128 .. 127, in that order.
    """

    input: int
    table: int
    output: int

    @property
    def constants(self) -> tuple[str, ...]:
        return ("table",)


@dataclass(frozen=True, slots=True)
class Prelu(Op):
    """The input where it is not negative, elsewhere the product with the constant `alpha`.

    alpha has the input's shape or is repeated, as the right operand of `Add`.
    """

    input: int
    alpha: int
    output: int

    @property
    def constants(self) -> tuple[str, ...]:
        return ("alpha",)


@dataclass(frozen=True, slots=True)
class Softmax(Op):
    """Softmax (beta 1) over the last axis.

    From int8 to int8 with scale 1/256 and zero point -128, or to int16 with scale 1/65536 and zero
    point -32768; from int16 to int16 with scale 1/32768 and zero point 0.
    """

    input: int
    output: int
