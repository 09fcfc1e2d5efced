"""Which bits each layer gets, and what quantization-aware training has learned of ranges.

A genome states bit widths for the original network; stages since may have removed layers or made
new ones out of them. `Scheme` answers by name for the network as it is now.
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
    """Bit widths of one weighted layer; `activations` are those it reads and makes."""

    weights: int
    activations: int


@dataclass(frozen=True, slots=True)
class Scheme:
    """`spec` for the original network's weighted layers, `layers`, in the order of execution.

    Raises Infeasible for bit widths that are not allowed, and where there is neither one width
    nor one per layer.
    """

    spec: Quantize
    layers: tuple[str, ...]

    def __post_init__(self) -> None:
        self._check("weights", self.spec.weight_bits, WEIGHT_BITS)
        self._check("activations", self.spec.activation_bits, ACTIVATION_BITS)

    def of(self, name: str) -> LayerBits:
        """Bits of the layer called `name` now.

        One that the original did not have ("conv.pointwise") takes those of the layer it was made
        of: the longest original name ("conv") that its dotted name begins with. If there is none,
        it takes the first layer's.
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
    """The integers of a value: real = scale * (integer - zero_point), of `bits` with sign."""

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
    """Step sizes that training has found (LSQ), which lowering uses instead of calibrating.

    `grids` are those of activations by value name, `peaks` the largest representable weight by
    layer name: float32 (channels,), or (1,) per tensor, batch-norm folded. Entries of values,
    layers, channel counts or bit widths that a network does not have are ignored.
    """

    grids: Mapping[str, Grid] = field(default_factory=dict)
    peaks: Mapping[str, Array] = field(default_factory=dict)
