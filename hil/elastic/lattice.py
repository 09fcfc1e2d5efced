"""The shapes of an elastic network's sub-networks: channels of each group, and dropped blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log, prod
from random import Random

import numpy as np

from compress.genome import Pick, Prune
from hil.types import Floats

MULTIPLE = 4  # of channels, as pruning rounds them (`compress.pruning.prune`)
_STEPS = (-2, -1, 1, 2)  # of MULTIPLE, by which a mutation moves a width
_MOVED = 0.35  # probability that a mutation moves a width
_TOGGLED = 0.1  # probability that it drops or restores one block


@dataclass(frozen=True, slots=True)
class Shape:
    """A sub-network: channels of each dependency group, and indices of the dropped blocks."""

    widths: tuple[int, ...]
    drop: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Lattice:
    """All shapes with at least the share `narrowest` of each group's `channels`.

    Widths are multiples of `MULTIPLE`, or all channels. Any of `blocks` may be dropped.
    """

    channels: tuple[int, ...]
    narrowest: float
    blocks: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """The number of shapes."""
        widths = prod(len(self.options(group)) for group in range(len(self.channels)))
        return int(widths) << len(self.blocks)

    @property
    def widest(self) -> Shape:
        return Shape(self.channels)

    def options(self, group: int) -> tuple[int, ...]:
        """The widths that a group may have, rising."""
        most = self.channels[group]
        least = max(MULTIPLE, MULTIPLE * round(self.narrowest * most / MULTIPLE))
        return tuple(sorted({*range(least, most, MULTIPLE), most}))

    def pick(self, shape: Shape) -> Pick:
        """The stage that picks the sub-network."""
        return Pick(self._keep(shape), shape.drop)

    def prune(self, shape: Shape) -> Prune:
        """The stage that prunes any network to the shape, without training."""
        return Prune(self._keep(shape), drop=shape.drop, epochs=0)

    def uniform(self, share: float) -> Shape:
        """The shape with the widths nearest to the same share of each group."""
        groups = range(len(self.channels))
        return Shape(tuple(self._near(g, share * self.channels[g]) for g in groups))

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
        return Shape(widths, drop)

    def designs(self, count: int, seed: int) -> tuple[Shape, ...]:
        """So many shapes with all blocks whose widths fill the lattice evenly, and one per block.

        A Latin hypercube (McKay et al. 1979, doi:10.1080/00401706.1979.10489755): each group's
        widths are spread evenly over the shapes, in an order of their own.
        """
        rng = np.random.default_rng(seed)
        columns = []
        for group in range(len(self.channels)):
            options = self.options(group)
            places = ((np.arange(count) + 0.5) / count * len(options)).astype(int)
            columns.append([options[place] for place in rng.permutation(places)])
        whole = [Shape(tuple(map(int, widths))) for widths in zip(*columns, strict=True)]
        lacking = [replace(self.uniform(0.75), drop=(block,)) for block in self.blocks]
        return tuple(dict.fromkeys([*whole, *lacking]))

    def crossed(self, rng: Random, mother: Shape, father: Shape) -> Shape:
        """A child with each width, and each block's presence, of either parent."""
        widths = tuple(map(rng.choice, zip(mother.widths, father.widths, strict=True)))
        drop = (b for b in self.blocks if b in rng.choice((mother, father)).drop)
        return Shape(widths, tuple(drop))

    def mutated(self, rng: Random, shape: Shape) -> Shape:
        """The shape with some widths moved by a step or two, and now and then a block toggled."""
        widths = tuple(
            self._near(group, width + MULTIPLE * rng.choice(_STEPS))
            if rng.random() < _MOVED
            else width
            for group, width in enumerate(shape.widths)
        )
        drop = set(shape.drop)
        if self.blocks and rng.random() < _TOGGLED * len(self.blocks):
            drop ^= {rng.choice(self.blocks)}
        return Shape(widths, tuple(sorted(drop)))

    def place(self, shape: Shape) -> Floats:
        """The shape as a point: logarithms of its shares of channels, and 1 per dropped block."""
        shares = zip(shape.widths, self.channels, strict=True)
        return np.array(
            [
                *(log(width / most) for width, most in shares),
                *(float(block in shape.drop) for block in self.blocks),
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

    def _keep(self, shape: Shape) -> tuple[float, ...]:
        return tuple(w / most for w, most in zip(shape.widths, self.channels, strict=True))

    def _near(self, group: int, width: float) -> int:
        return min(self.options(group), key=lambda option: (abs(option - width), option))
