"""The integer grid of each value of a network: bits from the scheme, scales from ranges.

Fake quantization and lowering both take their grids from here, so that training and the integer
graph agree. NumPy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compress.frontend.layers import Layer
from compress.quantization.ranges import Histogram, calibrated_range, grid_for_range
from compress.quantization.scheme import Grid, Learned, Scheme

WEIGHTED = ("conv", "depthwise", "linear")
# Kinds of layer whose output has the input's scale and zero point.
SAME_SCALE = ("average_pool", "max_pool", "reshape")


def weighted_layer_names(layers: tuple[Layer, ...]) -> tuple[str, ...]:
    """Names of the weighted layers (conv, depthwise, linear), each once, in execution order."""
    return tuple(dict.fromkeys(layer.name for layer in layers if layer.kind in WEIGHTED))


def value_bits(layers: tuple[Layer, ...], source: str, scheme: Scheme) -> dict[str, int]:
    """The bit width (8 or 16) of each value by name.

    The network's input `source` has 8 bits. Any other value has the bits that its layer computes
    with: of a weighted layer the scheme's activation bits, of an addition those of its widest
    input, of softmax 8, of any other layer those of its input.
    """
    bits = {source: 8}
    for layer in layers:
        match layer.kind:
            case "conv" | "depthwise" | "linear":
                bits[layer.output] = scheme.of(layer.name).activations
            case "softmax":
                bits[layer.output] = 8
            case _:
                bits[layer.output] = max(bits[value] for value in layer.inputs)
    return bits


@dataclass(frozen=True, eq=False)
class Grids:
    """The grids of all values that the fused `layers` read or write.

    `histograms` are those of the values that `calibrated_values` names. Where training has
    `learned` a value's grid, that grid replaces the calibrated one in the value's own bits; a
    conversion to fewer bits is always calibrated.
    """

    layers: tuple[Layer, ...]
    source: str
    scheme: Scheme
    histograms: Mapping[str, Histogram]
    learned: Learned = field(default_factory=Learned)
    bits: Mapping[str, int] = field(init=False)
    _root: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        root = {self.source: self.source}
        for layer in self.layers:
            shared = layer.kind in SAME_SCALE
            root[layer.output] = root[layer.inputs[0]] if shared else layer.output
        object.__setattr__(self, "bits", value_bits(self.layers, self.source, self.scheme))
        object.__setattr__(self, "_root", root)

    def root(self, value: str) -> str:
        """The value whose grid `value` shares: itself, or the input of its pool or reshape."""
        return self._root[value]

    def of(self, value: str, bits: int | None = None) -> Grid:
        """The grid of `value`, in its own bits or converted to `bits`.

        The output of softmax has the grid that TFLite prescribes: scale 1/256, zero point -128.
        """
        root, own = self._root[value], self.bits[value]
        wanted = bits or own
        if wanted > own:
            # int8 to int16 is (q - zero_point) << 7, which is exact: 255 << 7 is within int16.
            return Grid(self.of(value).scale / 128.0, 0, 16)
        if root in self._probabilities():
            return Grid(1.0 / 256.0, -128, 8)
        known, spec = self.learned.grids.get(root), self.scheme.spec
        if known is not None and known.bits == wanted == own:
            return known
        ends = calibrated_range(self.histograms[root], spec, wanted)
        return grid_for_range(ends, wanted, spec.symmetric)

    def _probabilities(self) -> set[str]:
        return {layer.output for layer in self.layers if layer.kind == "softmax"}


def calibrated_values(layers: tuple[Layer, ...], source: str) -> set[str]:
    """Names of the values that need a histogram: those that share no other value's grid."""
    return {source, *(layer.output for layer in layers if layer.kind not in SAME_SCALE)}
