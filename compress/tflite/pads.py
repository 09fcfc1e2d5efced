"""Padding operators of a .tflite file that convolutions and pools can do themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from compress.integer.check import LARGEST_WINDOW
from compress.ops import Op, Pad, Padding, inputs_of


@dataclass(frozen=True, slots=True)
class Padded:
    """What a Pad's output stands for: tensor `source` with `padding` of `value` around it."""

    source: int
    padding: Padding
    value: int


def pad_of(source: int, sides: npt.NDArray[np.int32], value: int) -> Padded | None:
    """The Pad with these sides (axes, 2), if it is one that a window's padding can say."""
    spatial = sides.shape == (4, 2) and not sides[[0, 3]].any()
    if not spatial or sides.min() < 0:
        return None
    (top, bottom), (left, right) = sides[1:3].tolist()
    return Padded(source, Padding(top, bottom, left, right), value)


def fused(
    pad: Padded, padding: Padding, neutral: int, pool: tuple[int, int] | None
) -> Padding | None:
    """The padding of a convolution, or a maximum over the window `pool`, that also does `pad`.

    None where there is none: the padded value must be one that does not count, and no window of a
    maximum may lie wholly in the padding.
    """
    both = Padding(*map(sum, zip(astuple(pad.padding), astuple(padding), strict=True)))
    rows, columns = (LARGEST_WINDOW, LARGEST_WINDOW) if pool is None else (pool[0] - 1, pool[1] - 1)
    fits = max(both.top, both.bottom) <= rows and max(both.left, both.right) <= columns
    return both if pad.value == neutral and fits else None


def without_fused(ops: Sequence[Op], output: int) -> list[Op]:
    """`ops` without each Pad that nothing reads any more."""
    kept: list[Op] = []
    read = {output}
    for op in reversed(ops):
        if not isinstance(op, Pad) or op.output in read:
            kept.append(op)
            read.update(inputs_of(op))
    return kept[::-1]
