"""The closed union of integer operators: what a `Graph` may hold.

Semantics are those of the TensorFlow Lite int8 quantization specification
(https://ai.google.dev/edge/litert/models/quantization_spec); layouts are NHWC with batch 1. Tensors
are referred to by their index in `Graph.tensors`. `compress.integer.reference` executes each
operator, and its `match` on `Op` ends in `assert_never`; `hil.kernels.registry` maps it to C, and a
test asserts that every operator is registered there.
"""

from dataclasses import dataclass
from enum import Enum


class Activation(Enum):
    """Fused activation, a clamp of the quantized output (`fixedpoint.clamp_range`)."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"
    RELU_N1_TO_1 = "relu_n1_to_1"


class Function(Enum):
    """Element-wise functions without fixed-point form of their own: tables of 256 values."""

    LEAKY_RELU = "leaky_relu"
    HARD_SWISH = "hard_swish"
    LOGISTIC = "logistic"
    TANH = "tanh"


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
    """input of K elements * weights (N,K) + bias int32 (N,) -> output (1,N).

    The weights have one scale, or one per unit (axis 0).
    """

    name: str
    input: int
    weights: int
    bias: int
    output: int
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class Add:
    """Element-wise sum or, with `subtract`, left - right; each tensor has its own scale.

    left and output have one shape. right has it, too, or repeats: without leading ones its shape
    is how left's ends, (1,1,1,C) or a single element, say. With `constant`, right is a constant.
    """

    name: str
    left: int
    right: int
    output: int
    activation: Activation = Activation.NONE
    subtract: bool = False
    constant: bool = False


@dataclass(frozen=True, slots=True)
class Mul:
    """Element-wise product; shapes and `constant` as those of `Add`."""

    name: str
    left: int
    right: int
    output: int
    activation: Activation = Activation.NONE
    constant: bool = False


@dataclass(frozen=True, slots=True)
class AveragePool2D:
    """Mean over the window's in-bounds elements; output has the input's scale and zero point."""

    name: str
    input: int
    output: int
    filter: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding = Padding()
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class MaxPool2D:
    """Maximum over the window's in-bounds elements; output has the input's scale and zero point."""

    name: str
    input: int
    output: int
    filter: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding = Padding()
    activation: Activation = Activation.NONE


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
    """Change scale and zero point, then clamp: TFLite's QUANTIZE, RELU, ... by `activation`."""

    name: str
    input: int
    output: int
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class Lookup:
    """output = function(input), element by element; `alpha` is LEAKY_RELU's slope below zero."""

    name: str
    input: int
    output: int
    function: Function
    alpha: float = 0.0


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean over consecutive axes, which the output may keep with extent 1 or drop."""

    name: str
    input: int
    output: int
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pad:
    """The input with before[i] and after[i] elements of `value` around it along each axis i.

    Only for padding that no convolution or pool could take over.
    """

    name: str
    input: int
    output: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    value: int


@dataclass(frozen=True, slots=True)
class Concatenate:
    """The inputs one after the other along `axis`; all have the output's scale and zero point."""

    name: str
    inputs: tuple[int, ...]
    output: int
    axis: int


Op = (
    Conv2D
    | DepthwiseConv2D
    | FullyConnected
    | Add
    | Mul
    | AveragePool2D
    | MaxPool2D
    | Reshape
    | Softmax
    | Requantize
    | Lookup
    | Mean
    | Pad
    | Concatenate
)

# These may write their output over an input of the same size that nobody reads afterwards.
ElementWise = Add | Mul | Softmax | Requantize | Lookup


def inputs_of(op: Op) -> tuple[int, ...]:
    """Indices of the activation tensors `op` reads (constants not among them)."""
    if isinstance(op, Add | Mul):
        return (op.left,) if op.constant else (op.left, op.right)
    return op.inputs if isinstance(op, Concatenate) else (op.input,)


def constants_of(op: Op) -> tuple[int, ...]:
    """Indices of the constant tensors `op` reads."""
    if isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected):
        return (op.weights, op.bias)
    if isinstance(op, Add | Mul) and op.constant:
        return (op.right,)
    return ()
