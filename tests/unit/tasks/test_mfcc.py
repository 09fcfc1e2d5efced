"""MFCC features equal a slow computation from the definitions: DFT sums, single triangles."""

import math

import numpy as np
import pytest
from scipy.fft import dct

from compress.tasks.mfcc import mel_filters, mfcc


def slow_mfcc(audio: np.ndarray) -> np.ndarray:
    """Features (49, 10) of one second of audio (16000,), in float64."""

    def mel(hz: float) -> float:
        return 2595.0 / math.log10(math.e) * math.log10(1 + hz / 700.0) * 1127.0 / 2595.0

    edges = [mel(20.0) + i * (mel(4000.0) - mel(20.0)) / 41 for i in range(42)]
    hann = [math.sin(math.pi * n / 480) ** 2 for n in range(480)]
    turns = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(480)) / 512)
    rows = []
    for frame in range(49):
        spectrum = np.abs(turns @ (audio[frame * 320 : frame * 320 + 480] * hann))
        energies = []
        for left, center, right in zip(edges, edges[1:], edges[2:], strict=False):
            energy = 0.0
            for k in range(1, 257):
                m = mel(k * 16000 / 512)
                if left < m <= center:
                    energy += spectrum[k] * (m - left) / (center - left)
                elif center < m < right:
                    energy += spectrum[k] * (right - m) / (right - center)
            energies.append(math.log(energy + 1e-6))
        # scipy's DCT-II is 2 * sum(...); tf.signal scales the sum by sqrt(2 / 40)
        rows.append(dct(np.array(energies), type=2)[:10] / 2 * math.sqrt(2 / 40))
    return np.array(rows)


@pytest.mark.parametrize("kind", ["noise", "tone", "silence"])
def test_equals_the_definition(kind: str) -> None:
    time_s = np.arange(16000) / 16000
    audio = {
        "noise": np.random.default_rng(0).uniform(-1, 1, 16000),
        "tone": 0.5 * np.sin(2 * np.pi * 440 * time_s) + 0.01 * np.sin(2 * np.pi * 3100 * time_s),
        "silence": np.zeros(16000),
    }[kind]
    features = mfcc(audio[np.newaxis].astype(np.float32))[0]
    np.testing.assert_allclose(features, slow_mfcc(audio), rtol=2e-4, atol=2e-3)


def test_clips_do_not_touch_each_other() -> None:
    audio = np.random.default_rng(1).uniform(-1, 1, (3, 16000)).astype(np.float32)
    together = mfcc(audio)
    assert together.shape == (3, 49, 10)
    assert together.dtype == np.float32
    for one, features in zip(audio, together, strict=True):
        np.testing.assert_allclose(mfcc(one[np.newaxis])[0], features, rtol=1e-5, atol=1e-5)


def test_a_tone_is_in_the_filter_of_its_pitch() -> None:
    """Bin 32 is 1 kHz, HTK mel 1000: filter 21 of 40 has its center nearest to it."""
    weights = mel_filters()
    assert weights.shape == (257, 40)
    centers = np.linspace(31.75, 2146.06, 42)[1:-1]  # mel of 20 and 4000 Hz by a table
    assert np.argmax(weights[32]) == np.argmin(np.abs(centers - 1000.0))
    assert not weights[0].any()
    assert not weights[129:].any()  # above 4 kHz


@pytest.mark.parametrize("shape", [(16000,), (1, 15999), (2, 16000, 1)])
def test_other_lengths_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        mfcc(np.zeros(shape, np.float32))
