"""Methods of the graph builder for operators that move elements, or compare them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from compress.ops import (
    BroadcastTo,
    Concatenate,
    Gather,
    Maximum,
    Minimum,
    Op,
    StridedSlice,
    Transpose,
)
from compress.types import DType, Tensor


class MovementBuilder:
    """Each method appends an operator and returns its output's index."""

    tensors: list[Tensor]
    ops: list[Op]

    @abstractmethod
    def _name(self, kind: str) -> str: ...

    @abstractmethod
    def _activation(
        self,
        name: str,
        shape: tuple[int, ...],
        scale: float,
        zero_point: int,
        dtype: DType = "int8",
    ) -> int: ...

    def concatenate(self, sources: tuple[int, ...], axis: int = 3) -> int:
        """Some of `sources` may be constants."""
        parts = [self.tensors[source] for source in sources]
        x, extent = parts[0], sum(part.shape[axis] for part in parts)
        out = self._moved(
            sources[0], "concatenate", (*x.shape[:axis], extent, *x.shape[axis + 1 :])
        )
        places = tuple(i for i, part in enumerate(parts) if part.data is not None)
        inputs = tuple(source for i, source in enumerate(sources) if i not in places)
        fixed = tuple(sources[place] for place in places)
        self.ops.append(Concatenate(self.tensors[out].name, inputs, out, axis, fixed, places))
        return out

    def strided_slice(self, source: int, parts: Sequence[tuple[int, int, int]]) -> int:
        """`parts`: (begin, stride, extent of the output) along each axis after the batch."""
        begin, stride, shape = zip((0, 1, 1), *parts, strict=True)
        out = self._moved(source, "strided_slice", shape)
        self.ops.append(StridedSlice(self.tensors[out].name, source, out, begin, stride))
        return out

    def transpose(self, source: int, permutation: tuple[int, ...]) -> int:
        shape = tuple(self.tensors[source].shape[axis] for axis in permutation)
        out = self._moved(source, "transpose", shape)
        self.ops.append(Transpose(self.tensors[out].name, source, out, permutation))
        return out

    def gather(self, source: int, axis: int, indices: Sequence[int]) -> int:
        x = self.tensors[source]
        shape = (*x.shape[:axis], len(indices), *x.shape[axis + 1 :])
        out = self._moved(source, "gather", shape)
        self.ops.append(Gather(self.tensors[out].name, source, out, axis, tuple(indices)))
        return out

    def broadcast_to(self, source: int, shape: tuple[int, ...]) -> int:
        """`shape` without the batch."""
        out = self._moved(source, "broadcast_to", (1, *shape))
        self.ops.append(BroadcastTo(self.tensors[out].name, source, out))
        return out

    def minimum(self, left: int, right: int) -> int:
        return self._compared(Minimum, "minimum", left, right)

    def maximum(self, left: int, right: int) -> int:
        return self._compared(Maximum, "maximum", left, right)

    def _compared(
        self, kind: type[Minimum] | type[Maximum], name: str, left: int, right: int
    ) -> int:
        out = self._moved(left, name, self.tensors[left].shape)
        constant = self.tensors[right].data is not None
        self.ops.append(kind(self.tensors[out].name, left, right, out, constant))
        return out

    def _moved(self, source: int, kind: str, shape: tuple[int, ...]) -> int:
        """An activation of the scale and type of `source`."""
        x = self.tensors[source]
        return self._activation(self._name(kind), shape, x.scale, x.zero_point, x.dtype)
