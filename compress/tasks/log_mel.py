"""Log-mel spectrograms as MLPerf Tiny's anomaly detection computes them, with 128 bands.

At 16 kHz: 1,024-point periodic Hann windows every 512 samples, powers through 128 triangular
filters from 0 to 8 kHz on Slaney's mel scale, each of area 1 over Hz (the defaults of
librosa 0.8, which MLPerf Tiny calls); 10 log10.
"""

import math

import numpy as np
import numpy.typing as npt

from compress.features.front_end import Spectra
from compress.types import Array

SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = 1024
STRIDE_SAMPLES = 512
BANDS = 128

_FLOOR = float(np.finfo(np.float64).eps)
# Slaney's scale: linear to 1 kHz, 200/3 Hz a mel, then logarithmic, 27 mels for a factor of 6.4.
_HZ_PER_MEL = 200 / 3
_KNEE_HZ = 1000.0
_KNEE_MEL = _KNEE_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27

FloatArray = npt.NDArray[np.float32]


def mel(frequency_hz: Array) -> Array:
    """Frequencies on Slaney's mel scale."""
    above = _KNEE_MEL + np.log(np.maximum(frequency_hz, _KNEE_HZ) / _KNEE_HZ) / _LOG_STEP
    scaled: Array = np.where(frequency_hz < _KNEE_HZ, frequency_hz / _HZ_PER_MEL, above)
    return scaled


def hertz(mels: Array) -> Array:
    """The frequencies of places on Slaney's mel scale: the inverse of `mel`."""
    above = _KNEE_HZ * np.exp(_LOG_STEP * (np.maximum(mels, _KNEE_MEL) - _KNEE_MEL))
    frequencies: Array = np.where(mels < _KNEE_MEL, mels * _HZ_PER_MEL, above)
    return frequencies


def mel_filters() -> Array:
    """Filter weights (513 DFT bins, 128 bands): triangles over Hz, of area 1."""
    bins = np.arange(WINDOW_SAMPLES // 2 + 1)[:, np.newaxis] * SAMPLE_RATE_HZ / WINDOW_SAMPLES
    highest = mel(np.array([SAMPLE_RATE_HZ / 2]))[0]
    edges = hertz(np.linspace(0.0, highest, BANDS + 2))
    left, center, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - left) / (center - left)
    falling = (right - bins) / (right - center)
    filters: Array = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (right - left))
    return filters


_WINDOW = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)
_FILTERS = mel_filters()


def log_mel(audio: FloatArray) -> FloatArray:
    """The spectrogram float32 (frames, 128), in dB, of audio (samples,) in -1..1.

    Frame i is of the samples from 512 i on; librosa, which centers its frames, calls it i + 1.
    """
    frames = 1 + (len(audio) - WINDOW_SAMPLES) // STRIDE_SAMPLES
    places = STRIDE_SAMPLES * np.arange(frames)[:, np.newaxis] + np.arange(WINDOW_SAMPLES)
    powers = np.abs(np.fft.rfft(audio[places] * _WINDOW)) ** 2
    spectrogram: FloatArray = (10 * np.log10(powers @ _FILTERS + _FLOOR)).astype(np.float32)
    return spectrogram


def log_mel_front_end(frames: int, mean: float, deviation: float) -> Spectra:
    """`log_mel` as a device computes it, less `mean` and divided by `deviation`."""
    return Spectra(
        sample_rate_hz=SAMPLE_RATE_HZ,
        window=_WINDOW,
        stride_samples=STRIDE_SAMPLES,
        frames=frames,
        dft_points=WINDOW_SAMPLES,
        filters=_FILTERS,
        power=True,
        log_scale=10 / math.log(10),
        floor=_FLOOR,
        matrix=None,
        mean=np.full(BANDS, mean),
        deviation=np.full(BANDS, deviation),
    )
