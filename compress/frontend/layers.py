"""The float network between torch and the integer graph: a list of NHWC layers in NumPy.

`compress.frontend.capture` makes it with one layer per traced operation, `compress.frontend.fuse`
merges layers, `compress.quantization.lower` converts it to the integer `Graph`.
"""

from dataclasses import dataclass
from typing import Literal

from compress.ops import Activation, Function, Padding, RecurrentKind
from compress.types import Array

LayerKind = Literal[
    "conv",
    "depthwise",
    "transposed",
    "linear",
    "batch_norm",
    "affine",
    "activation",
    "clip",
    "lookup",
    "table",
    "prelu",
    "add",
    "mul",
    "minimum",
    "maximum",
    "matmul",
    "concat",
    "average_pool",
    "max_pool",
    "mean",
    "sum",
    "reduce_max",
    "reduce_min",
    "pad",
    "reshape",
    "transpose",
    "slice",
    "gather",
    "broadcast",
    "resize_nearest",
    "resize_bilinear",
    "softmax",
    "recurrent",
]
# How positions of two sizes of a map correspond: their corners coincide, or the centers of their
# corner pixels, or positions are those of pixel centers.
Centers = Literal["corner", "aligned", "half_pixel"]


@dataclass(frozen=True, slots=True)
class Pointwise:
    """A function of one number, by its name in `compress.frontend.pointwise`, and its parameters.

    With `inputs` it is a function of their values. It becomes a table of 256 values.
    """

    name: str
    parameters: tuple[float, ...] = ()
    inputs: tuple["Pointwise", ...] = ()


@dataclass(frozen=True, slots=True)
class Movement:
    """The elements of a value in another order: seen as `extents`, with axes in the order `axes`.

    Axis i of the result is axis axes[i] of `extents`; neither has the batch.
    """

    extents: tuple[int, ...]
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Gates:
    """The weights of a recurrent layer, float32, by gate in torch's order.

    `input_weights` (gates, U, I), `recurrent_weights` (gates, U, U), both biases (gates, U).
    """

    kind: RecurrentKind
    input_weights: Array
    recurrent_weights: Array
    input_biases: Array
    recurrent_biases: Array


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer, which reads the values named `inputs` and writes the value named `output`.

    A value has the name of the traced operation that computes it, so that a range recorded in the
    traced network belongs to exactly one value here; values that share the scale of another one
    may have names of their own. `node` is the traced operation that reads the inputs. `shape` is
    that of the output, (1, H, W, C) or (1, K); a series (N, C, L) of torch is (1, 1, L, C).

    `weight` is (Cout, kh, kw, Cin / groups) for conv and transposed, (1, kh, kw, Cout) for
    depthwise and (N, K) for linear; column j of a linear weight is column `order[j]` of torch's, if
    there is an order.
    batch_norm and affine multiply each channel by `weight` (C,) and add `bias` (C,); channel j of a
    batch_norm or prelu is channel `order[j]` of torch's, if there is an order. add, mul, minimum
    and maximum with one input have their constant operand, of the output's shape, in `weight`.
    `constant` is the traced operation that makes the constant of such a layer or of an affine one,
    if it has several elements.

    recurrent maps a sequence in rows (1, 1, L, I) to the states of all steps (1, 1, L, U) or, with
    an output (1, 1, 1, U) or (1, U), to the last one; its weights are in `gates`.

    `limits` are the lowest and highest value of an output that is clipped, besides `activation`.
    `function` and `alpha` are those of a lookup, `pointwise` that of a table. `axis` is that of a
    concat or gather, `axes` those of a reduction, in NHWC. `value` is what pad fills with; `behind`
    and `before` are the channels that it adds. A slice begins at `begin` and has steps of `step`
    along each axis of its input; a gather takes the `indices`. With `subtract`, add computes the
    first input minus the second; with `transposed`, matmul reads its second input with its last two
    axes exchanged. The padding of a transposed convolution is
    what is cut off.
    `norms` names the batch_norm and affine layers that have been folded into this one. A `wide`
    layer has int16 outputs in any scheme.
    """

    name: str
    kind: LayerKind
    inputs: tuple[str, ...]
    output: str
    shape: tuple[int, ...]
    node: str = ""
    weight: Array | None = None
    bias: Array | None = None
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    filter: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    activation: Activation = Activation.NONE
    limits: tuple[float, float] | None = None
    function: Function | None = None
    pointwise: Pointwise | None = None
    alpha: float = 0.0
    axis: int = 0
    axes: tuple[int, ...] = ()
    value: float = 0.0
    before: int = 0
    behind: int = 0
    begin: tuple[int, ...] = ()
    step: tuple[int, ...] = ()
    indices: tuple[int, ...] = ()
    movement: Movement | None = None
    centers: Centers = "corner"
    subtract: bool = False
    transposed: bool = False
    constant: str = ""
    order: Array | None = None
    norms: tuple[str, ...] = ()
    wide: bool = False
    gates: Gates | None = None
