"""The integer grid of each value of a network: bits from the scheme, scales from ranges.

Fake quantization and lowering both take their grids from here, so that training and the integer
graph agree. NumPy only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from compress.frontend.layers import Layer
from compress.ops import Function, Padding
from compress.quantization.ranges import Histogram, calibrated_range, grid_for_range
from compress.quantization.scheme import Grid, Learned, Scheme

WEIGHTED = ("conv", "depthwise", "transposed", "linear")
# Kinds of layer whose output has the input's scale and zero point, but for pads with another value
# than zero and for the means below.
SAME_SCALE = (
    "average_pool",
    "max_pool",
    "pad",
    "reshape",
    "transpose",
    "slice",
    "gather",
    "reduce_max",
    "reduce_min",
    "resize_nearest",
    "resize_bilinear",
)
# Of these, the ones whose output elements are input elements or zeros.
MOVES = tuple(kind for kind in SAME_SCALE if kind not in ("average_pool", "resize_bilinear"))
# Kinds of layer whose inputs have the scale of the output.
_ONE_SCALE = ("concat", "minimum", "maximum")
# Kinds of layer that have no kernel on int16.
_ON_INT8 = (*_ONE_SCALE, "softmax", "clip", "lookup", "table", "prelu", "mul", "matmul")
# The output grids that TFLite prescribes: scale 1/256, zero point -128, or scale 1/128.
_PROBABILITY, _SIGNED_SHARE = Grid(1.0 / 256.0, -128, 8), Grid(1.0 / 128.0, 0, 8)
# The states of a recurrent layer, which lie within -1 .. 1.
_STATES = Grid(1.0 / 32768.0, 0, 16)
# The largest ratio of a mean's own scale to its input's with which it keeps its own. Over the whole
# map it gains a bit and the faster kernel. Over smaller windows it costs flash, as it becomes a
# depthwise convolution: there three of eight bits have to be at stake.
_WHOLE_MAP_RATIO = 1 / 2
_WINDOW_RATIO = 1 / 8


def weighted_layer_names(layers: tuple[Layer, ...]) -> tuple[str, ...]:
    """Names of the weighted layers (`WEIGHTED`), each once, in execution order."""
    return tuple(dict.fromkeys(layer.name for layer in layers if layer.kind in WEIGHTED))


def call_names(layers: tuple[Layer, ...]) -> dict[str, str]:
    """A name for each run of a weighted layer, by its output value.

    The first run has the layer's name, later ones of the same layer have a number too ("conv:2").
    Fusing keeps the order of runs, so that the names are the same before and after it.
    """
    runs: Counter[str] = Counter()
    names = {}
    for layer in layers:
        if layer.kind in WEIGHTED:
            runs[layer.name] += 1
            number = runs[layer.name]
            names[layer.output] = layer.name if number == 1 else f"{layer.name}:{number}"
    return names


def value_bits(
    layers: tuple[Layer, ...], sources: tuple[str, ...], scheme: Scheme
) -> dict[str, int]:
    """The bit width (8 or 16) of each value by name.

    The network's inputs `sources` have 8 bits. Any other value has the bits that its layer computes
    with: of a wide or recurrent layer 16, of a weighted layer the scheme's activation bits, of a
    layer without kernels on int16 and of one with limits 8, of any other layer those of its widest
    input.
    """
    bits = dict.fromkeys(sources, 8)
    shapes = {layer.output: layer.shape for layer in layers}
    for layer in layers:
        repeats = any(shapes.get(value, layer.shape) != layer.shape for value in layer.inputs)
        if layer.wide:
            bits[layer.output] = 16
        elif layer.kind in _ON_INT8 or layer.limits is not None or layer.value != 0.0:
            bits[layer.output] = 8
        elif layer.kind in WEIGHTED:
            bits[layer.output] = scheme.of(layer.name).activations
        elif layer.kind == "recurrent":
            bits[layer.output] = _STATES.bits
        elif layer.kind == "add" and (repeats or layer.weight is not None):
            bits[layer.output] = 8
        else:
            bits[layer.output] = max(bits[value] for value in layer.inputs)
    return bits


def over_whole_map(layer: Layer, input_shape: tuple[int, ...]) -> bool:
    """True for a pool whose window is the whole map of `input_shape` (1, H, W, C)."""
    return layer.filter == input_shape[1:3]


def keeps_scale(layer: Layer) -> bool:
    """True if the layer's output has its input's scale, unless it is a mean with one of its own."""
    return layer.kind in SAME_SCALE and layer.value == 0.0


def fixed_grid(layer: Layer) -> Grid | None:
    """The grid that the layer's kind or its limits prescribe for its output, if they do.

    A grid whose ends are the limits clips to them, to half a step exactly.
    """
    if layer.kind == "softmax" or layer.function is Function.LOGISTIC:
        return _PROBABILITY
    if layer.kind == "recurrent":
        return _STATES
    if layer.function is Function.TANH:
        return _SIGNED_SHARE
    return None if layer.limits is None else grid_for_range(layer.limits, 8, False)


@dataclass(frozen=True, eq=False)
class Grids:
    """The grids of all values that the fused `layers` read or write.

    `outputs` are the values that the network returns. `histograms` are those of the values that
    `calibrated_values` names. Where training has `learned` a value's grid, that grid replaces the
    calibrated one in the value's own bits; a conversion to fewer bits is always calibrated.
    """

    layers: tuple[Layer, ...]
    sources: tuple[str, ...]
    scheme: Scheme
    histograms: Mapping[str, Histogram]
    learned: Learned = field(default_factory=Learned)
    outputs: tuple[str, ...] = ()
    bits: Mapping[str, int] = field(init=False)
    _parent: Mapping[str, str] = field(init=False)
    _fixed: Mapping[str, Grid] = field(init=False)
    _means: Mapping[str, Grid] = field(init=False)

    def __post_init__(self) -> None:
        means = dict[str, Grid]()
        object.__setattr__(self, "bits", value_bits(self.layers, self.sources, self.scheme))
        parents = _parents(self.layers, self.bits, self.outputs)
        object.__setattr__(self, "_parent", parents)
        object.__setattr__(self, "_means", means)
        fixed = {layer.output: grid for layer in self.layers if (grid := fixed_grid(layer))}
        object.__setattr__(self, "_fixed", fixed)
        for layer in self.layers:  # in execution order: a mean asks for the grid of its input
            if layer.kind == "average_pool":
                own = self._own_mean_grid(layer)
                if own is None:
                    parents[layer.output] = layer.inputs[0]
                else:
                    means[layer.output] = own

    def root(self, value: str) -> str:
        """The value whose grid `value` shares.

        It is the value itself, the input of its pool, padding or reshape, or the concatenation
        (or extreme) that alone reads it. A mean that keeps few bits on its input's grid is its own
        root.
        """
        while value in self._parent:
            value = self._parent[value]
        return value

    def is_fixed(self, value: str) -> bool:
        """True if the grid of `value` is prescribed, and so neither calibrated nor learned."""
        return self.root(value) in self._fixed

    def _own_mean_grid(self, layer: Layer) -> Grid | None:
        """The grid of a mean whose values would lose bits on the grid of its input; else None.

        A mean over a map in which few values are large is small: rounded to its input's step, the
        signal is lost. A step below 1 / count of the input's would show nothing more. Means on
        int16 have bits enough, and no kernel with an output scale takes the padding of a pool.
        """
        count, bits = math.prod(layer.filter), self.bits[layer.output]
        if layer.kind != "average_pool" or layer.padding != Padding() or count == 1 or bits != 8:
            return None
        seen = self.histograms[layer.output]
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
        """The grid of `value`, in its own bits or converted to `bits`."""
        root, own = self.root(value), self.bits[value]
        wanted = bits or own
        if wanted > own:
            # int8 to int16 is (q - zero_point) << 7, which is exact: 255 << 7 is within int16.
            return Grid(self.of(value).scale / 128.0, 0, 16)
        fixed = self._fixed.get(root)
        if fixed is not None and fixed.bits == wanted:
            return fixed
        known, spec = self.learned.grids.get(root), self.scheme.spec
        if known is not None and known.bits == wanted == own:
            return known
        if root in self._means:
            return self._means[root]
        ends = calibrated_range(self.histograms[root], spec, wanted)
        return grid_for_range(ends, wanted, spec.symmetric)

    def read_by(self, layer: Layer, value: str) -> Grid:
        """The grid in which `layer` reads `value`: that of its output where both must be equal.

        A recurrent layer reads any.
        """
        if layer.kind == "recurrent":
            return self.of(value)
        if layer.kind in _ONE_SCALE or (layer.kind == "pad" and not keeps_scale(layer)):
            return self.of(layer.output)
        return self.of(value, self.bits[layer.output])


def _parents(
    layers: tuple[Layer, ...], bits: Mapping[str, int], outputs: tuple[str, ...]
) -> dict[str, str]:
    """The values whose grids values share, by name; those of means are not decided here.

    The inputs of a concatenation get its grid where nothing else reads them, and they are no
    `outputs` of the network: TFLite wants one scale, and its range covers theirs. Others are
    converted. So it is with the greater or lesser of
    two values: what is cut off at an end of the output's range would have been that end.
    """
    makers = {layer.output: layer for layer in layers}
    readers: dict[str, set[str]] = {output: {""} for output in outputs}
    for layer in layers:
        for value in layer.inputs:
            readers.setdefault(value, set()).add(layer.output)
    parents = {
        layer.output: layer.inputs[0]
        for layer in layers
        if keeps_scale(layer) and layer.kind != "average_pool"
    }
    for layer in layers:
        for value in layer.inputs if layer.kind in _ONE_SCALE else ():
            reader = layer.output
            while len(readers[value]) == 1 and bits[value] == 8 and value in makers:
                maker = makers[value]
                if not keeps_scale(maker):
                    if fixed_grid(maker) is None:
                        parents[value] = reader
                    break
                if maker.kind not in MOVES:
                    break
                (value,) = maker.inputs

    return parents


def calibrated_values(layers: tuple[Layer, ...], sources: tuple[str, ...]) -> set[str]:
    """Names of the values that need a histogram: those that may have a grid of their own."""
    shared = {o.output for o in layers if keeps_scale(o) and o.kind != "average_pool"}
    return {*sources, *(layer.output for layer in layers)} - shared
