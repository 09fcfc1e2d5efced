"""A known signal for tests of front ends on a device: loud and quiet, extreme, and silent."""

from __future__ import annotations

import numpy as np

from compress.features.integer import IntegerFrontEnd
from compress.types import Array

_FRAMES = 8
_LOWEST, _HIGHEST = -(1 << 15), (1 << 15) - 1


def golden_samples(front_end: IntegerFrontEnd) -> Array:
    """Samples int16 (N, channels) of up to 8 frames, always the same.

    A fifth each: noise of the full scale, a square wave between the extremes, noise of three
    counts, a rising tone, and zeros with one impulse.
    """
    frames = min(front_end.frames, _FRAMES)
    count = front_end.window_samples + (frames - 1) * front_end.stride_samples
    shape = (-(-count // 5), front_end.channels)
    rng = np.random.default_rng(0)
    time = np.arange(shape[0])[:, None] + np.zeros(shape)
    impulse = np.zeros(shape)
    impulse[shape[0] // 2] = _HIGHEST
    parts = (
        rng.integers(_LOWEST, _HIGHEST, shape, endpoint=True),
        np.where(time % 32 < 16, _HIGHEST, _LOWEST),
        rng.integers(-3, 3, shape, endpoint=True),
        np.rint(12_000 * np.sin(2 * np.pi * time * (0.02 + time / shape[0] / 8))),
        impulse,
    )
    samples: Array = np.concatenate(parts).astype(np.int16)
    return samples[:count]
