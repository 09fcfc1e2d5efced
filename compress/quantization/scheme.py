"""Bit widths by layer, and the grids that quantization-aware training has learned.

A genome states bit widths for the layers of the original network. Later stages may have removed
layers or replaced them; `Scheme` looks the widths up by name for the network as it is now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compress.errors import Infeasible
from compress.genome import Quantize
from compress.types import Array

WEIGHT_BITS = (8, 4, 2)
ACTIVATION_BITS = (8, 16)


@dataclass(frozen=True, slots=True)
class LayerBits:
    """Bit widths of one weighted layer; `activations` holds for its input and its output."""

    weights: int
    activations: int


@dataclass(frozen=True, slots=True)
class Scheme:
    """The bit widths of `spec`, by name of the original network's weighted layers.

    `layers` are these names, in the order of execution. Raises Infeasible for bit widths that are
    not allowed, and unless there is one width for all layers or one per layer.
    """

    spec: Quantize
    layers: tuple[str, ...]

    def __post_init__(self) -> None:
        self._check("weights", self.spec.weight_bits, WEIGHT_BITS)
        self._check("activations", self.spec.activation_bits, ACTIVATION_BITS)

    def of(self, name: str) -> LayerBits:
        """The bit widths of the layer `name` of the present network.

        A layer that the original network does not have ("conv.pointwise") takes those of the
        layer that it replaces: the longest original name ("conv") that its dotted name begins
        with. If there is none, it takes the first layer's.
        """
        sources = [known for known in self.layers if f"{name}.".startswith(f"{known}.")]
        index = self.layers.index(max(sources, key=len)) if sources else 0
        return LayerBits(
            _entry(self.spec.weight_bits, index), _entry(self.spec.activation_bits, index)
        )

    def _check(self, what: str, bits: tuple[int, ...], allowed: tuple[int, ...]) -> None:
        if len(bits) not in (1, len(self.layers)):
            raise Infeasible(
                f"{len(bits)} bit widths of {what} for {len(self.layers)} layers: "
                f"{', '.join(self.layers)}"
            )
        names = self.layers if len(bits) > 1 else ("all layers",)
        wrong = [f"{n}: {b}" for n, b in zip(names, bits, strict=True) if b not in allowed]
        if wrong:
            raise Infeasible(
                f"bits of {what}: {', '.join(wrong)}; allowed are {', '.join(map(str, allowed))}"
            )


def _entry(bits: tuple[int, ...], index: int) -> int:
    return bits[index] if len(bits) > 1 else bits[0]


@dataclass(frozen=True, slots=True)
class Grid:
    """A quantization grid of signed integers of `bits`: real = scale * (integer - zero_point)."""

    scale: float
    zero_point: int
    bits: int

    @property
    def lowest(self) -> int:
        return -(1 << self.bits - 1)

    @property
    def highest(self) -> int:
        return (1 << self.bits - 1) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """Step sizes learned in training (LSQ), which lowering uses in place of calibrated ones.

    `grids` are those of activations by value name. `peaks` are the magnitudes that the largest
    integer weight represents, by run of a layer (`compress.quantization.grids.call_names`): float32
    (channels,), or (1,) per tensor, with the batch-norm folded in. Entries that do not fit the
    network (unknown names, other channel counts or bit widths) are ignored.
    """

    grids: Mapping[str, Grid] = field(default_factory=dict)
    peaks: Mapping[str, Array] = field(default_factory=dict)
