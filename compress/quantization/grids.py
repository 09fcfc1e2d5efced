"""Which integers hold each value of a network: bits by the scheme, scales by ranges. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compress.frontend.layers import Layer
from compress.quantization.ranges import Histogram, calibrated_range, grid
from compress.quantization.scheme import Grid, Learned, Scheme

WEIGHTED = ("conv", "depthwise", "linear")
# Kinds of layer whose output has the input's scale and zero point.
SAME_SCALE = ("average_pool", "max_pool", "reshape")


def weighted_layer_names(layers: tuple[Layer, ...]) -> tuple[str, ...]:
    """Names of the weighted layers (conv, depthwise, linear), each once, in their order."""
    return tuple(dict.fromkeys(layer.name for layer in layers if layer.kind in WEIGHTED))


def value_bits(layers: tuple[Layer, ...], source: str, scheme: Scheme) -> dict[str, int]:
    """Bits of each value, which are those its layer runs with; the input `source` has 8.

    A weighted layer runs with its own, an addition with those of its widest input, softmax with
    8, all others with those of their input.
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
    """The grid of each value that the fused `layers` read or make.

    `seen` are histograms of the values that `ranged` names. A `learned` grid stands for the value
    in its own bits; what it is converted to is calibrated.
    """

    layers: tuple[Layer, ...]
    source: str
    scheme: Scheme
    seen: Mapping[str, Histogram]
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
        """The value whose grid `value` shares: itself, or what a pool or reshape has read."""
        return self._root[value]

    def of(self, value: str, bits: int | None = None) -> Grid:
        """The grid of `value` in its own bits, or converted to `bits`."""
        root, own = self._root[value], self.bits[value]
        wanted = bits or own
        if wanted > own:
            # Loses nothing, however far the zero point: 255 << 7 is within int16.
            return Grid(self.of(value).scale / 128.0, 0, 16)
        if root in self._probabilities():
            return Grid(1.0 / 256.0, -128, 8)
        known, spec = self.learned.grids.get(root), self.scheme.spec
        if known is not None and known.bits == wanted == own:
            return known
        return grid(calibrated_range(self.seen[root], spec, wanted), wanted, spec.symmetric)

    def _probabilities(self) -> set[str]:
        return {layer.output for layer in self.layers if layer.kind == "softmax"}


def calibrated_values(layers: tuple[Layer, ...], source: str) -> set[str]:
    """Names of the values that have a range of their own, to be recorded."""
    return {source, *(layer.output for layer in layers if layer.kind not in SAME_SCALE)}
