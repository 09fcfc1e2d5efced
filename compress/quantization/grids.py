"""The integer grid of each value of a network: bits from the scheme, scales from ranges.

Fake quantization and lowering both take their grids from here, so that training and the integer
graph agree. NumPy only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from compress.frontend.layers import Layer
from compress.ops import Padding
from compress.quantization.ranges import Histogram, calibrated_range, grid_for_range
from compress.quantization.scheme import Grid, Learned, Scheme

WEIGHTED = ("conv", "depthwise", "linear")
# Kinds of layer whose output has the input's scale and zero point, but for the means below.
SAME_SCALE = ("average_pool", "max_pool", "reshape")
# The largest ratio of a mean's own scale to its input's with which it keeps its own. Over the whole
# map it gains a bit and the faster kernel. Over smaller windows it costs flash, as it becomes a
# depthwise convolution: there three of eight bits have to be at stake.
_WHOLE_MAP_RATIO = 1 / 2
_WINDOW_RATIO = 1 / 8


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


def over_whole_map(layer: Layer, input_shape: tuple[int, ...]) -> bool:
    """True for a pool whose window is the whole map of `input_shape` (1, H, W, C)."""
    return layer.filter == input_shape[1:3]


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
    _means: Mapping[str, Grid] = field(init=False)

    def __post_init__(self) -> None:
        root, means = {self.source: self.source}, dict[str, Grid]()
        object.__setattr__(self, "bits", value_bits(self.layers, self.source, self.scheme))
        object.__setattr__(self, "_root", root)
        object.__setattr__(self, "_means", means)
        for layer in self.layers:  # in execution order: a mean asks for the grid of its input
            own = self._own_mean_grid(layer)
            shared = layer.kind in SAME_SCALE and own is None
            root[layer.output] = root[layer.inputs[0]] if shared else layer.output
            if own is not None:
                means[layer.output] = own

    def root(self, value: str) -> str:
        """The value whose grid `value` shares: itself, or the input of its pool or reshape.

        A mean that keeps few bits on its input's grid is its own root.
        """
        return self._root[value]

    def _own_mean_grid(self, layer: Layer) -> Grid | None:
        """The grid of a mean whose values would lose bits on the grid of its input; else None.

        A mean over a map in which few values are large is small: rounded to its input's step, the
        signal is lost. A step below 1 / count of the input's would show nothing more. Means on
        int16 have bits enough, and no kernel with an output scale takes the padding of a pool.
        """
        count, bits = math.prod(layer.filter), self.bits[layer.output]
        if layer.kind != "average_pool" or layer.padding != Padding() or count == 1 or bits != 8:
            return None
        # A mean that drops its axes is traced as one value, and captured as a pool and a reshape.
        reshaped = (other.output for other in self.layers if other.inputs == (layer.output,))
        names = (layer.output, *reshaped)
        seen = next(self.histograms[name] for name in names if name in self.histograms)
        if seen.low == seen.high == 0.0:
            return None
        spec, step = self.scheme.spec, self.of(layer.inputs[0]).scale
        low, high = calibrated_range(seen, spec, bits)
        wider = max(1.0, step / count / grid_for_range((low, high), bits, spec.symmetric).scale)
        own = grid_for_range((low * wider, high * wider), bits, spec.symmetric)
        shape = next((o.shape for o in self.layers if o.output == layer.inputs[0]), ())
        largest = _WHOLE_MAP_RATIO if over_whole_map(layer, shape) else _WINDOW_RATIO
        return own if own.scale <= step * largest else None

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
        if root in self._means:
            return self._means[root]
        ends = calibrated_range(self.histograms[root], spec, wanted)
        return grid_for_range(ends, wanted, spec.symmetric)

    def _probabilities(self) -> set[str]:
        return {layer.output for layer in self.layers if layer.kind == "softmax"}


def calibrated_values(layers: tuple[Layer, ...], source: str) -> set[str]:
    """Names of the values that need a histogram: those that may have a grid of their own."""
    means = {layer.output for layer in layers if layer.kind == "average_pool"}
    shared = [layer for layer in layers if layer.kind in SAME_SCALE and layer.output not in means]
    reshaped = {layer.output for layer in shared if layer.inputs[0] in means}
    return {source, *(layer.output for layer in layers)} - {s.output for s in shared} | reshaped
