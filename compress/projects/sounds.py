"""WAV files as samples: one second at 16 kHz, as MFCC features or as the raw signal."""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from compress.tasks.mfcc import CLIP_SAMPLES, COEFFICIENTS, FRAMES, SAMPLE_RATE_HZ, mfcc
from compress.types import Array

SOUND_SUFFIXES = (".wav",)
_CHUNK = 256  # clips at a time: the frames of a clip take eight times its memory


def values_of(features: str) -> int:
    """The number of values of a sample."""
    return math.prod(_shape(features))


def _shape(features: str) -> tuple[int, ...]:
    return (1, FRAMES, COEFFICIENTS) if features == "mfcc" else (1, CLIP_SAMPLES)


def read_sounds(files: Sequence[Path], features: str, bad: list[str]) -> Array:
    """Samples float32: MFCC (N, 1, 49, 10) of `compress.tasks.mfcc`, or the signal (N, 1, 16000).

    Signals are the mean of their channels, -1..1, resampled to 16 kHz; of a longer one the middle
    second is taken, a shorter one ends with zeros. What cannot be read is added to `bad`.
    """
    shape = _shape(features)
    x = np.zeros((len(files), *shape), np.float32)
    for start in range(0, len(files), _CHUNK):
        clips = np.stack([_clip(path, bad) for path in files[start : start + _CHUNK]])
        found = mfcc(clips) if features == "mfcc" else clips
        x[start : start + len(clips)] = found.reshape(-1, *shape)
    return x


def _clip(path: Path, bad: list[str]) -> Array:
    """One second of the file, float32 (16000,); zeros if it cannot be read."""
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks that are no sound
            rate_hz, signal = wavfile.read(path)  # type: ignore[no-untyped-call]
        return _one_second(_real(signal), rate_hz)
    except (OSError, ValueError, EOFError, KeyError, struct.error) as error:
        bad.append(f"{path} ({str(error).partition(chr(10))[0]})")
        return np.zeros(CLIP_SAMPLES, np.float32)


def _real(signal: Array) -> Array:
    """The signal (N,) of values -1..1, the mean of all channels. Raises ValueError without one."""
    if signal.size == 0:
        raise ValueError("it has no samples")
    if signal.dtype.kind == "f":
        real = signal.astype(np.float64)
    elif signal.dtype == np.uint8:  # as WAV stores 8 bits
        real = (signal.astype(np.float64) - 128) / 128
    else:
        real = signal / float(np.iinfo(signal.dtype).max + 1)
    mono: Array = real if real.ndim == 1 else real.mean(axis=1)
    return mono


def _one_second(signal: Array, rate_hz: int) -> Array:
    from scipy.signal import resample_poly  # type: ignore[attr-defined]  # no stubs

    if rate_hz != SAMPLE_RATE_HZ:
        common = math.gcd(rate_hz, SAMPLE_RATE_HZ)
        signal = resample_poly(signal, SAMPLE_RATE_HZ // common, rate_hz // common)
    start = max(0, (len(signal) - CLIP_SAMPLES) // 2)
    clip = np.zeros(CLIP_SAMPLES, np.float32)
    part = signal[start : start + CLIP_SAMPLES]
    clip[: len(part)] = part
    return clip
