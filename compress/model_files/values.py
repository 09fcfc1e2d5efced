"""The values of a model file while its network is built: activations and constants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import fx

from compress.errors import UnsupportedLayer
from compress.types import Array

Extents = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """An activation: axis i of the file's tensor is axis `axes[i]` of what `node` computes.

    Axis 0 of a node is always the batch. A transpose in the file only changes `axes`: so a file in
    NHWC becomes a network in NCHW. `unflattened` is the map that this vector was flattened from,
    if its own axes were not those of the file: a Linear can read it with its columns permuted.
    """

    node: fx.Node
    axes: Extents
    unflattened: Value | None = None

    @property
    def rank(self) -> int:
        return len(self.axes)

    @property
    def batch(self) -> int:
        """The axis of the file's tensor that is the batch."""
        return self.axes.index(0)

    def transposed(self, order: Extents) -> Value:
        """The value with its axis `order[i]` as axis i."""
        return Value(self.node, tuple(self.axes[axis] for axis in order))


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A value that does not depend on the network's input.

    `at_next` is its value for a batch that is larger by one, if that differs: shapes are computed
    from the batch. `name` is that of the file's tensor.
    """

    data: Array
    at_next: Array | None = None
    name: str = ""

    def fixed(self, label: str) -> Array:
        """The value. Raises UnsupportedLayer, naming `label`, if it depends on the batch."""
        if self.at_next is not None:
            raise UnsupportedLayer(f"{label}: computes with the number of samples of a batch")
        return self.data

    def integers(self, label: str) -> list[int]:
        """The values, whole numbers, as a list. Raises as `fixed`."""
        return whole_numbers(self.fixed(label), label)


def whole_numbers(values: Array, label: str) -> list[int]:
    """The values as integers. Raises UnsupportedLayer, naming `label`, for others."""
    if values.dtype.kind not in "iu":
        raise UnsupportedLayer(f"{label}: {values.dtype} where whole numbers are expected")
    return [int(value) for value in np.ravel(values)]


def inverse(order: Extents) -> Extents:
    """The permutation that undoes `order`."""
    return tuple(order.index(axis) for axis in range(len(order)))
