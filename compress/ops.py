"""The integer operators that a `Graph` may hold: a closed union of dataclasses.

Semantics are those of the TensorFlow Lite int8 quantization specification
(https://ai.google.dev/edge/litert/models/quantization_spec); layouts are NHWC with batch 1. Tensors
are referred to by their index in `Graph.tensors`. `compress.operators` has the check, reference,
TFLite import and export of each operator, `hil.kernels` its C kernels; a test of either registry
asserts that every operator is in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum


class Activation(Enum):
    """Fused activation, a clamp of the quantized output (`fixedpoint.clamp_range`)."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"
    RELU_N1_TO_1 = "relu_n1_to_1"


class Function(Enum):
    """Element-wise functions that run as a table of 256 values."""

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

    left and output have one shape. right has the same shape or is repeated: without leading ones
    its shape is a suffix of left's, for example (1,1,1,C) or a single element. With `constant`,
    right is a constant.
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
    """Element-wise product; shapes and `constant` as in `Add`."""

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
    """The same elements in the same order with another shape; costs nothing on the device."""

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
    """Change of scale, zero point or type, then a clamp: TFLite's QUANTIZE, RELU, RELU6, ..."""

    name: str
    input: int
    output: int
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class Lookup:
    """output = function(input), element-wise; `alpha` is the slope of LEAKY_RELU below zero."""

    name: str
    input: int
    output: int
    function: Function
    alpha: float = 0.0


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean over consecutive axes; the output keeps them with extent 1 or drops them."""

    name: str
    input: int
    output: int
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pad:
    """The input with before[i] and after[i] elements of `value` around it along each axis i.

    Used only for padding that no convolution or pool can do itself.
    """

    name: str
    input: int
    output: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    value: int


@dataclass(frozen=True, slots=True)
class Concatenate:
    """Concatenation along `axis`; inputs and output share scale and zero point."""

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

# Operators that multiply by constant weights.
Weighted = Conv2D | DepthwiseConv2D | FullyConnected
# Operators that may write their output over an input of the same size with no later reader.
ElementWise = Add | Mul | Softmax | Requantize | Lookup


def inputs_of(op: Op) -> tuple[int, ...]:
    """Indices of the activation tensors that `op` reads, without its constants."""
    if isinstance(op, Add | Mul):
        return (op.left,) if op.constant else (op.left, op.right)
    return op.inputs if isinstance(op, Concatenate) else (op.input,)


def constants_of(op: Op) -> tuple[int, ...]:
    """Indices of the constant tensors that `op` reads."""
    if isinstance(op, Weighted):
        return (op.weights, op.bias)
    if isinstance(op, Add | Mul) and op.constant:
        return (op.right,)
    return ()


def renumbered(op: Op, index: Mapping[int, int]) -> Op:
    """`op` with each tensor index replaced by its entry in `index`."""
    out = index[op.output]
    if isinstance(op, Weighted):
        x, weights, bias = index[op.input], index[op.weights], index[op.bias]
        return replace(op, input=x, weights=weights, bias=bias, output=out)
    if isinstance(op, Add | Mul):
        return replace(op, left=index[op.left], right=index[op.right], output=out)
    if isinstance(op, Concatenate):
        return replace(op, inputs=tuple(index[i] for i in op.inputs), output=out)
    return replace(op, input=index[op.input], output=out)
