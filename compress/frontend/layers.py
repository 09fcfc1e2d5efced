"""The float network between torch and the integer graph: a list of NHWC layers in NumPy.

`compress.frontend.capture` makes it with one layer per traced operation, `compress.frontend.fuse`
merges layers, `compress.quantization.lower` converts it to the integer `Graph`.
"""

from dataclasses import dataclass
from typing import Literal

from compress.ops import Activation, Padding
from compress.types import Array

LayerKind = Literal[
    "conv",
    "depthwise",
    "linear",
    "batch_norm",
    "activation",
    "add",
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
    traced network belongs to exactly one value here. `shape` is that of the output, (1, H, W, C) or
    (1, K). The shape of `weight` is (Cout, kh, kw, Cin) for conv, (1, kh, kw, Cout) for depthwise,
    (N, K) for linear; batch_norm has its scale in `weight` (C,) and its shift in `bias` (C,).
    """

    name: str
    kind: LayerKind
    inputs: tuple[str, ...]
    output: str
    shape: tuple[int, ...]
    weight: Array | None = None
    bias: Array | None = None
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    filter: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    activation: Activation = Activation.NONE
