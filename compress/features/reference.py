"""The integer reference of front ends: what the generated C must give, bit for bit."""

from __future__ import annotations

import numpy as np

from compress.features.integer import IntegerFrontEnd, IntegerReadings
from compress.features.spectrum import frame_values
from compress.types import Array


def input_samples(front_end: IntegerFrontEnd) -> int:
    """The number of samples that an input of the network needs."""
    return front_end.window_samples + (front_end.frames - 1) * front_end.stride_samples


def frames_of(front_end: IntegerFrontEnd, samples: Array) -> Array:
    """All frames, of the input's type (frames, values), of samples int16 (N, channels)."""
    return front_end.quantization.apply(_values(front_end, samples))


def input_of(front_end: IntegerFrontEnd, samples: Array) -> Array:
    """The network's input, of its type (values of all frames,), of samples int16 (N, channels).

    N is at least `input_samples`; what is left is not used.
    """
    return _in_layout(front_end, frames_of(front_end, samples[: input_samples(front_end)]))


def stream_input(front_end: IntegerFrontEnd, samples: Array) -> Array:
    """The input after the samples int16 (N, channels) of a signal that was silence (0) before."""
    silence = np.zeros((front_end.window_samples, front_end.channels), np.int16)
    before = np.repeat(frames_of(front_end, silence), front_end.frames, axis=0)
    frames = np.concatenate([before, frames_of(front_end, samples)])
    return _in_layout(front_end, frames[-front_end.frames :])


def real_frames(front_end: IntegerFrontEnd, samples: Array, scale: float, zero: int) -> Array:
    """The frames as real numbers before they are rounded and limited to the input's type.

    `scale` and `zero` are the input's: what is computed is scale * (value - zero), float64.
    """
    quantization = front_end.quantization
    scaled = _values(front_end, samples) * quantization.multipliers + quantization.offsets
    return np.asarray(scale * (scaled / 2.0**quantization.shift - 0.5 - zero))


def _in_layout(front_end: IntegerFrontEnd, frames: Array) -> Array:
    """The values of frames (frames, values) in the order of the network's input."""
    return np.asarray(frames.T if front_end.planar else frames).reshape(-1)


def _values(front_end: IntegerFrontEnd, samples: Array) -> Array:
    """The values int64 (frames, values) before quantization."""
    if samples.dtype != np.int16 or samples.ndim != 2 or samples.shape[1] != front_end.channels:
        raise ValueError(
            f"samples {samples.dtype} of shape {samples.shape}: must be int16 (N, "
            f"{front_end.channels})"
        )
    if isinstance(front_end, IntegerReadings):
        return samples.astype(np.int64)
    window, stride = front_end.window_samples, front_end.stride_samples
    starts = np.arange(0, len(samples) - window + 1, stride)
    return frame_values(front_end, samples[starts[:, None] + np.arange(window), 0])
