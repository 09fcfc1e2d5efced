"""SlidingWindows over an input: which bytes are still to be read when an output is written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hil.tuned.requantize import Int64Array

# Far behind the last pixel of any input.
_NONE = np.int64(2**40)


@dataclass(frozen=True, slots=True)
class SlidingWindows:
    """The windows of a convolution or pool; (rows, columns) each, of an input (rows, columns, C).

    `before` is the padding above and to the left.
    """

    inputs: tuple[int, int]
    outputs: tuple[int, int]
    window: tuple[int, int]
    stride: tuple[int, int]
    before: tuple[int, int]


def lead_bytes(windows: SlidingWindows, depth: int, channels: int, pixels: int = 1) -> int:
    """How many bytes before the input the output has to start, if it lies over it.

    Pixels of `depth` and `channels` bytes. The outputs of `pixels` windows at a time, or less at
    the end of a row, are written when all of these have been read. When those before pixel n are
    written, the windows of pixel n and after it are still to be read: the outputs must end before
    the first byte of these.
    """
    first = _first_pixels(windows) * depth
    still_read = np.minimum.accumulate(first[::-1])[::-1]
    places = np.arange(len(first))
    written = places[places % windows.outputs[1] % pixels == 0][1:]
    ends = written * channels - still_read[written]
    return max(0, int(ends.max(initial=0)))


def _first_pixels(windows: SlidingWindows) -> Int64Array:
    """For each output the first pixel of the input in its window; _NONE if there is none."""
    columns, axes = windows.inputs[1], (0, 1)
    starts = [
        np.arange(windows.outputs[axis], dtype=np.int64) * windows.stride[axis]
        - windows.before[axis]
        for axis in axes
    ]
    outside = [
        (starts[axis] >= windows.inputs[axis]) | (starts[axis] + windows.window[axis] <= 0)
        for axis in axes
    ]
    pixels = np.maximum(starts[0], 0)[:, None] * columns + np.maximum(starts[1], 0)
    none = outside[0][:, None] | outside[1]
    return np.where(none, _NONE, pixels).reshape(-1)
