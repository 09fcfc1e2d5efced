"""The float network between torch and integers: a list of layers in NHWC, NumPy only.

`compress.frontend.capture` writes it one layer per traced operation, `compress.frontend.fuse`
shortens it, `compress.quantization.fake_quantize` turns it into the integer `Graph`.
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
    """One layer: reads the values named `inputs`, makes the value named `output`.

    Values are named after the traced operation that made them, so that a range recorded while
    running the traced network belongs to exactly one value here. `shape` is the output's: (1, H,
    W, C) or (1, K). `weight`: conv (Cout, kh, kw, Cin), depthwise (1, kh, kw, Cout), linear
    (N, K); batch_norm keeps its scale in `weight` (C,) and its shift in `bias` (C,).
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
