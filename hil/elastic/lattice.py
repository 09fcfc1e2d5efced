"""The shapes of an elastic network's sub-networks: channels of each group, dropped blocks, bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log, prod
from random import Random

import numpy as np

from compress.genome import Pick, Prune, Quantize
from hil.types import Floats

MULTIPLE = 4  # of channels, as pruning rounds them (`compress.pruning.prune`)
_STEPS = (-2, -1, 1, 2)  # of MULTIPLE, by which a mutation moves a width
_MOVED = 0.35  # probability that a mutation moves a width
_TOGGLED = 0.1  # probability that it drops or restores one block
_OTHER_BITS = 0.2  # probability that it draws the bits of a unit of layers anew


@dataclass(frozen=True, slots=True)
class Shape:
    """A sub-network: channels of each dependency group, and indices of the dropped blocks.

    `bits` are those of the weights of each unit of layers (`Lattice`), none where the elastic
    network has one width of bits.
    """

    widths: tuple[int, ...]
    drop: tuple[int, ...] = ()
    bits: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Lattice:
    """All shapes with at least the share `narrowest` of each group's `channels`.

    Widths are multiples of `MULTIPLE`, or all channels. Any of `blocks` may be dropped. With
    `bits`, falling, the weights of each unit of layers have one of these widths: `units` holds the
    unit of each weighted layer, by name in the order of execution, counted from 0. A unit is the
    layers that write the channels of a group, or a single other one.
    """

    channels: tuple[int, ...]
    narrowest: float
    blocks: tuple[int, ...] = ()
    bits: tuple[int, ...] = ()
    units: tuple[tuple[str, int], ...] = ()

    @property
    def size(self) -> int:
        """The number of shapes."""
        widths = prod(len(self.options(group)) for group in range(len(self.channels)))
        bits = prod(len(self.bits) for _ in range(self._unit_count))
        return int(widths * bits) << len(self.blocks)

    @property
    def widest(self) -> Shape:
        return Shape(self.channels, bits=self._alike(max(self.bits, default=8)))

    def options(self, group: int) -> tuple[int, ...]:
        """The widths that a group may have, rising."""
        most = self.channels[group]
        least = max(MULTIPLE, MULTIPLE * round(self.narrowest * most / MULTIPLE))
        return tuple(sorted({*range(least, most, MULTIPLE), most}))

    def pick(self, shape: Shape) -> Pick:
        """The stage that picks the sub-network."""
        return Pick(self._keep(shape), shape.drop, self.layer_bits(shape))

    def scheme(self, shape: Shape) -> Quantize:
        """The scheme of a shape without training: its bits, or int8 where it has none."""
        return Quantize(self.layer_bits(shape)) if shape.bits else Quantize()

    def layer_bits(self, shape: Shape) -> tuple[int, ...]:
        """The bits of each weighted layer; a single one if all are alike, none without bits."""
        if len(set(shape.bits)) <= 1:
            return shape.bits[:1]
        return tuple(shape.bits[unit] for _, unit in self.units)

    def bits_by_name(self, shape: Shape) -> dict[str, int]:
        """The bits of each weighted layer by name; none where the shape has none."""
        return {name: shape.bits[unit] for name, unit in self.units} if shape.bits else {}

    def prune(self, shape: Shape) -> Prune:
        """The stage that prunes any network to the shape, without training."""
        return Prune(self._keep(shape), drop=shape.drop, epochs=0)

    def uniform(self, share: float, bits: int | None = None) -> Shape:
        """The shape with the widths nearest to the same share of each group, all of these bits.

        By default they are the most bits.
        """
        groups = range(len(self.channels))
        widths = tuple(self._near(g, share * self.channels[g]) for g in groups)
        return Shape(widths, bits=self._alike(bits or max(self.bits, default=8)))

    def random(self, rng: Random) -> Shape:
        """Half of the time independent widths, else widths around a common share."""
        groups = range(len(self.channels))
        if rng.random() < 0.5:
            widths = tuple(rng.choice(self.options(group)) for group in groups)
        else:
            share = rng.uniform(self.narrowest, 1.0)
            widths = tuple(
                self._near(g, share * self.channels[g] + MULTIPLE * rng.choice((-2, -1, 0, 1, 2)))
                for g in groups
            )
        drop = tuple(b for b in self.blocks if rng.random() < 1 / (len(self.blocks) + 1))
        return Shape(widths, drop, self._random_bits(rng))

    def designs(self, count: int, seed: int) -> tuple[Shape, ...]:
        """So many shapes with all blocks whose widths fill the lattice evenly, and one per block.

        A Latin hypercube (McKay et al. 1979, doi:10.1080/00401706.1979.10489755): each group's
        widths are spread evenly over the shapes, in an order of their own. All weights have the
        most bits; with several, as many shapes with bits mixed in the same way follow.
        """
        rng = np.random.default_rng(seed)
        groups = range(len(self.channels))

        def spread(options: Sequence[int]) -> list[int]:
            places = ((np.arange(count) + 0.5) / count * len(options)).astype(int)
            return [int(options[place]) for place in rng.permutation(places)]

        def widths() -> list[tuple[int, ...]]:
            return list(zip(*(spread(self.options(group)) for group in groups), strict=True))

        most = self.widest.bits
        whole = [Shape(each, bits=most) for each in widths()]
        lacking = [replace(self.uniform(0.75), drop=(block,)) for block in self.blocks]
        mixed = []
        if self.bits:
            columns = zip(*(spread(self.bits) for _ in most), strict=True)
            mixed = [Shape(each, bits=b) for each, b in zip(widths(), columns, strict=True)]
        return tuple(dict.fromkeys([*whole, *lacking, *mixed]))

    def crossed(self, rng: Random, mother: Shape, father: Shape) -> Shape:
        """A child with each width, each unit's bits and each block's presence of either parent."""
        widths = tuple(map(rng.choice, zip(mother.widths, father.widths, strict=True)))
        drop = tuple(b for b in self.blocks if b in rng.choice((mother, father)).drop)
        bits = tuple(map(rng.choice, zip(mother.bits, father.bits, strict=True)))
        return Shape(widths, drop, bits)

    def mutated(self, rng: Random, shape: Shape) -> Shape:
        """The shape with some widths moved by a step or two, and now and then a block toggled.

        Now and then a unit of layers gets other bits.
        """
        widths = tuple(
            self._near(group, width + MULTIPLE * rng.choice(_STEPS))
            if rng.random() < _MOVED
            else width
            for group, width in enumerate(shape.widths)
        )
        drop = set(shape.drop)
        if self.blocks and rng.random() < _TOGGLED * len(self.blocks):
            drop ^= {rng.choice(self.blocks)}
        bits = tuple(
            rng.choice(self.bits) if rng.random() < _OTHER_BITS else width for width in shape.bits
        )
        return Shape(widths, tuple(sorted(drop)), bits)

    def place(self, shape: Shape) -> Floats:
        """The shape as a point: logarithms of its shares of channels, and 1 per dropped block.

        Logarithms of the shares of the most bits follow.
        """
        shares = zip(shape.widths, self.channels, strict=True)
        return np.array(
            [
                *(log(width / most) for width, most in shares),
                *(float(block in shape.drop) for block in self.blocks),
                *(log(width / max(self.bits)) for width in shape.bits),
            ]
        )

    def spread(self, shapes: Sequence[Shape], count: int) -> list[Shape]:
        """So many of the shapes, far from each other: the first, then always the farthest one."""
        points = np.array([self.place(shape) for shape in shapes])
        if len(points) <= count:
            return list(shapes)
        chosen = [0]
        away = np.linalg.norm(points - points[0], axis=1)
        while len(chosen) < count:
            chosen.append(int(away.argmax()))
            away = np.minimum(away, np.linalg.norm(points - points[chosen[-1]], axis=1))
        return [shapes[index] for index in chosen]

    @property
    def _unit_count(self) -> int:
        return len({unit for _, unit in self.units}) if self.bits else 0

    def _alike(self, bits: int) -> tuple[int, ...]:
        return (bits,) * self._unit_count

    def _random_bits(self, rng: Random) -> tuple[int, ...]:
        """Half of the time the same bits for all units; nothing is drawn without bits."""
        if not self.bits:
            return ()
        if rng.random() < 0.5:
            return self._alike(rng.choice(self.bits))
        return tuple(rng.choice(self.bits) for _ in range(self._unit_count))

    def _keep(self, shape: Shape) -> tuple[float, ...]:
        return tuple(w / most for w, most in zip(shape.widths, self.channels, strict=True))

    def _near(self, group: int, width: float) -> int:
        return min(self.options(group), key=lambda option: (abs(option - width), option))
