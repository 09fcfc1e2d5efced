"""The float network between torch and the integer graph: a list of NHWC layers in NumPy.

`compress.frontend.capture` makes it with one layer per traced operation, `compress.frontend.fuse`
merges layers, `compress.quantization.lower` converts it to the integer `Graph`.
"""

from dataclasses import dataclass
from typing import Literal

from compress.ops import Activation, Function, Padding
from compress.types import Array

LayerKind = Literal[
    "conv",
    "depthwise",
    "linear",
    "batch_norm",
    "affine",
    "activation",
    "clip",
    "lookup",
    "add",
    "mul",
    "concat",
    "average_pool",
    "max_pool",
    "pad",
    "reshape",
    "softmax",
]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer, which reads the values named `inputs` and writes the value named `output`.

    A value has the name of the traced operation that computes it, so that a range recorded in the
    traced network belongs to exactly one value here; values that share the scale of another one
    may have names of their own. `node` is the traced operation that reads the inputs. `shape` is
    that of the output, (1, H, W, C) or (1, K); a series (N, C, L) of torch is (1, 1, L, C).

    `weight` is (Cout, kh, kw, Cin / groups) for conv, (1, kh, kw, Cout) for depthwise and (N, K)
    for linear; column j of a linear weight is column `order[j]` of torch's, if there is an order.
    batch_norm and affine multiply each channel by `weight` (C,) and add `bias` (C,); channel j of a
    batch_norm is channel `order[j]` of torch's, if there is an order. add and mul with one input
    have their constant operand, of the output's shape, in `weight`. `constant` is the traced
    operation that makes the constant of an add, mul or affine layer, if it has several elements.

    `limits` are the lowest and highest value of an output that is clipped, besides `activation`.
    `function` and `alpha` are those of a lookup. `axis` is that of a concat, in NHWC. `value` is
    what pad fills with. With `subtract`, add computes the first input minus the second. `norms`
    names the batch_norm and affine layers that have been folded into this one.
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
    alpha: float = 0.0
    axis: int = 0
    value: float = 0.0
    subtract: bool = False
    constant: str = ""
    order: Array | None = None
    norms: tuple[str, ...] = ()
