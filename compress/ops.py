"""The closed union of integer operators: what a `Graph` may hold.

Semantics are those of the TensorFlow Lite int8 quantization specification
(https://ai.google.dev/edge/litert/models/quantization_spec); layouts are NHWC with batch 1.
Tensors are referred to by their index in `Graph.tensors`. `compress.reference` executes each
operator, `hil.kernels` maps it to C: both `match` on `Op` and end in `assert_never`, so a new
operator is a type error until every place knows it.
"""

from dataclasses import dataclass
from enum import Enum


class Activation(Enum):
    """Fused activation: a clamp of the quantized output (see `compress.fixedpoint.clamp_range`)."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"


@dataclass(frozen=True, slots=True)
class Padding:
    """Explicit padding in elements; the padded value is the input's zero point."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


@dataclass(frozen=True, slots=True)
class Conv2D:
    """input (1,H,W,Cin) * weights (Cout,kh,kw,Cin) + bias int32 (Cout,) -> (1,H',W',Cout)."""

    name: str
    input: int
    weights: int
    bias: int
    output: int
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class DepthwiseConv2D:
    """input (1,H,W,C) * weights (1,kh,kw,C*multiplier) + bias int32 -> (1,H',W',C*multiplier)."""

    name: str
    input: int
    weights: int
    bias: int
    output: int
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class FullyConnected:
    """input of K elements * weights (N,K), one scale, + bias int32 (N,) -> output (1,N)."""

    name: str
    input: int
    weights: int
    bias: int
    output: int
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class Add:
    """Element-wise sum of two tensors of equal shape, each with its own scale."""

    name: str
    left: int
    right: int
    output: int
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class AveragePool2D:
    """Mean over the window's in-bounds elements; output has the input's scale and zero point."""

    name: str
    input: int
    output: int
    filter: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding = Padding()


@dataclass(frozen=True, slots=True)
class MaxPool2D:
    """Maximum over the window's in-bounds elements; output has the input's scale and zero point."""

    name: str
    input: int
    output: int
    filter: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding = Padding()


@dataclass(frozen=True, slots=True)
class Reshape:
    """Same elements, same order, another shape: costs nothing on the device."""

    name: str
    input: int
    output: int


@dataclass(frozen=True, slots=True)
class Softmax:
    """Softmax (beta 1) over the last axis; output scale 1/256, zero point -128."""

    name: str
    input: int
    output: int


@dataclass(frozen=True, slots=True)
class Requantize:
    """Change scale and zero point, then clamp: TFLite's QUANTIZE, RELU or RELU6 by `activation`."""

    name: str
    input: int
    output: int
    activation: Activation = Activation.NONE


Op = (
    Conv2D
    | DepthwiseConv2D
    | FullyConnected
    | Add
    | AveragePool2D
    | MaxPool2D
    | Reshape
    | Softmax
    | Requantize
)


def inputs_of(op: Op) -> tuple[int, ...]:
    """Indices of the activation tensors `op` reads (constants not among them)."""
    return (op.left, op.right) if isinstance(op, Add) else (op.input,)


def constants_of(op: Op) -> tuple[int, ...]:
    """Indices of the constant tensors `op` reads."""
    if isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected):
        return (op.weights, op.bias)
    return ()
