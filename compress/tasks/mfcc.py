"""MFCC features as MLPerf Tiny's keyword spotting computes them: 49 frames x 10 coefficients.

One second at 16 kHz; 30 ms periodic Hann windows every 20 ms, zero-padded to a 512-point DFT;
magnitudes through 40 triangular filters from 20 to 4000 Hz on the HTK mel scale (triangles drawn
over mel, not Hz, and without the DC bin, as `tf.signal.linear_to_mel_weight_matrix` does); log;
DCT-II with the scale sqrt(2 / 40) of `tf.signal.mfccs_from_log_mel_spectrograms`.
"""

import numpy as np
import numpy.typing as npt

from compress.features.front_end import Spectra
from compress.types import Array

SAMPLE_RATE_HZ = 16_000
CLIP_SAMPLES = SAMPLE_RATE_HZ  # one second
WINDOW_SAMPLES = 480
STRIDE_SAMPLES = 320
FRAMES = 1 + (CLIP_SAMPLES - WINDOW_SAMPLES) // STRIDE_SAMPLES
COEFFICIENTS = 10

_DFT_POINTS = 512
_FILTERS = 40
_LOWEST_HZ, _HIGHEST_HZ = 20.0, 4000.0
_LOG_FLOOR = 1e-6

FloatArray = npt.NDArray[np.float32]


def mel(frequency_hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Frequencies on the HTK mel scale."""
    scaled: npt.NDArray[np.float64] = 1127.0 * np.log1p(frequency_hz / 700.0)
    return scaled


def mel_filters() -> FloatArray:
    """Filter weights (257 DFT bins, 40 filters): triangles of height 1, equally spaced in mel."""
    bins = mel(np.arange(_DFT_POINTS // 2 + 1) * SAMPLE_RATE_HZ / _DFT_POINTS)[:, np.newaxis]
    lowest, highest = mel(np.array([_LOWEST_HZ, _HIGHEST_HZ]))
    edges = np.linspace(lowest, highest, _FILTERS + 2)
    left, center, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - left) / (center - left)
    falling = (right - bins) / (right - center)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    filters: FloatArray = weights.astype(np.float32)
    return filters


def _window() -> FloatArray:
    """The periodic Hann window (480,)."""
    phase = 2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES
    window: FloatArray = (0.5 - 0.5 * np.cos(phase)).astype(np.float32)
    return window


def _dct() -> FloatArray:
    """The DCT-II as a matrix (40 filters, 10 coefficients)."""
    order = np.arange(COEFFICIENTS)[np.newaxis, :]
    center = np.arange(_FILTERS)[:, np.newaxis] + 0.5
    cosines = np.cos(np.pi * order * center / _FILTERS)
    matrix: FloatArray = (np.sqrt(2.0 / _FILTERS) * cosines).astype(np.float32)
    return matrix


_WINDOW, _MEL, _DCT = _window(), mel_filters(), _dct()
_FRAME_INDICES = STRIDE_SAMPLES * np.arange(FRAMES)[:, np.newaxis] + np.arange(WINDOW_SAMPLES)


def mfcc(audio: FloatArray) -> FloatArray:
    """Features float32 (N, 49, 10) of audio float32 (N, 16000) in -1..1.

    Raises ValueError for audio of another length.
    """
    if audio.ndim != 2 or audio.shape[1] != CLIP_SAMPLES:
        raise ValueError(f"audio of shape {audio.shape}: must be (N, {CLIP_SAMPLES})")
    frames = audio[:, _FRAME_INDICES] * _WINDOW
    magnitudes = np.abs(np.fft.rfft(frames, _DFT_POINTS)).astype(np.float32)
    features: FloatArray = np.log(magnitudes @ _MEL + np.float32(_LOG_FLOOR)) @ _DCT
    return features


def mfcc_front_end(mean: Array, deviation: Array) -> Spectra:
    """`mfcc` as a device computes it, less `mean` and divided by `deviation` (10,)."""
    return Spectra(
        sample_rate_hz=SAMPLE_RATE_HZ,
        window=_WINDOW,
        stride_samples=STRIDE_SAMPLES,
        frames=FRAMES,
        dft_points=_DFT_POINTS,
        filters=_MEL,
        power=False,
        log_scale=1.0,
        floor=_LOG_FLOOR,
        matrix=_DCT,
        mean=mean,
        deviation=deviation,
    )


def mfcc_settings() -> dict[str, int | float | str]:
    """The settings of `mfcc` by name, for a device that computes the same features."""
    return {
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "clip_samples": CLIP_SAMPLES,
        "window": "Hann, periodic",
        "window_samples": WINDOW_SAMPLES,
        "stride_samples": STRIDE_SAMPLES,
        "frames": FRAMES,
        "dft_points": _DFT_POINTS,
        "filters": _FILTERS,
        "lowest_hz": _LOWEST_HZ,
        "highest_hz": _HIGHEST_HZ,
        "mel_scale": "HTK, magnitudes",
        "log_floor": _LOG_FLOOR,
        "coefficients": COEFFICIENTS,
    }
