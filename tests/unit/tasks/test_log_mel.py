"""Log-mel spectrograms against published values of Slaney's scale and sums from the definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compress.tasks.log_mel import BANDS, hertz, log_mel, mel, mel_filters


def test_published_places_of_frequencies() -> None:
    """librosa's documentation: 60 Hz is 0.9 mel; 110, 220, 440 Hz are 1.65, 3.3, 6.6 mel."""
    np.testing.assert_allclose(mel(np.array([60.0, 110, 220, 440])), [0.9, 1.65, 3.3, 6.6])
    np.testing.assert_allclose(mel(np.array([1000.0, 6400.0])), [15.0, 42.0])
    frequencies = np.linspace(0, 8000, 97)
    np.testing.assert_allclose(hertz(mel(frequencies)), frequencies, atol=1e-9)


def test_filters_are_triangles_of_area_1() -> None:
    filters = mel_filters()
    assert filters.shape == (513, BANDS)
    # Those wide enough to be sampled well: the sum over bins times their distance is the area.
    areas = filters[:, 60:].sum(axis=0) * 16000 / 1024
    np.testing.assert_allclose(areas, 1.0, atol=0.03)
    for band in (0, 40, 127):
        used = np.flatnonzero(filters[:, band])
        assert np.array_equal(used, np.arange(used[0], used[-1] + 1))


def test_a_frame_from_the_definitions() -> None:
    audio = np.random.default_rng(1).normal(size=2048).astype(np.float32)
    got = log_mel(audio)
    assert got.shape == (3, 128)
    start = 512
    hann = [math.sin(math.pi * n / 1024) ** 2 for n in range(1024)]
    turns = np.exp(-2j * np.pi * np.outer(np.arange(513), np.arange(1024)) / 1024)
    powers = np.abs(turns @ (audio[start : start + 1024] * hann)) ** 2
    energies = mel_filters().T @ powers
    np.testing.assert_allclose(got[1], 10 * np.log10(energies), atol=1e-4)


@pytest.mark.parametrize("frequency_hz", [200, 1500, 6000])
def test_a_tone_is_loudest_in_its_band(frequency_hz: int) -> None:
    audio = np.sin(2 * np.pi * frequency_hz * np.arange(4096) / 16000).astype(np.float32)
    band = int(log_mel(audio)[0].argmax())
    edges = hertz(np.linspace(0, mel(np.array([8000.0]))[0], BANDS + 2))
    assert edges[band] < frequency_hz < edges[band + 2]
