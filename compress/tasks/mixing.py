"""Simulation of a microphone signal from dry words: voice, room, background noise, level.

All randomness comes from the generator that is passed in; each rendering draws new values.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from compress.tasks.mfcc import CLIP_SAMPLES, SAMPLE_RATE_HZ, FloatArray
from compress.tasks.speech import Clip
from compress.types import Array

_BACKGROUND_SAMPLES = 2 * SAMPLE_RATE_HZ
_BINS = _BACKGROUND_SAMPLES // 2 + 1
_FREQUENCY_HZ = np.fft.rfftfreq(_BACKGROUND_SAMPLES, 1 / SAMPLE_RATE_HZ)
_FREQUENCY_HZ[0] = _FREQUENCY_HZ[1]  # 1/f must stay finite
_LONGEST_SHIFT_S = 0.1
_SOFTEST_DB = -20.0


@dataclass(frozen=True, slots=True)
class Conditions:
    """Ranges of the random conditions of a split.

    `snr_db` is the range of the signal-to-noise ratio. Words are resampled by up to the share
    `stretch` in either direction, which scales pitch and formants like a longer or shorter vocal
    tract: an augmentation by more speakers, for training only.
    """

    snr_db: tuple[float, float]
    stretch: float = 0.0


def render(
    clips: Sequence[Clip | None],
    backgrounds: FloatArray,
    conditions: Conditions,
    rng: np.random.Generator,
) -> FloatArray:
    """Audio float32 (N, 16000) in -1..1 of dry clips; None is background without a word."""
    return np.stack([_render_one(clip, backgrounds, conditions, rng) for clip in clips])


def draw_backgrounds(count: int, words: Sequence[Clip], rng: np.random.Generator) -> FloatArray:
    """Noises float32 (count, 32000) of unit power, of each kind in turn; babble mixes `words`."""
    kinds: tuple[Callable[[], FloatArray], ...] = (
        lambda: _colored(rng, rng.uniform(0.0, 2.0)),
        lambda: _band(rng),
        lambda: _hum(rng),
        lambda: _swelling(rng),
        lambda: _clicks(rng),
        lambda: _babble(words, rng),
    )
    noises = np.stack([kinds[i % len(kinds)]() for i in range(count)])
    return _float32(noises / noises.std(axis=1, keepdims=True))


def _render_one(
    clip: Clip | None, backgrounds: FloatArray, conditions: Conditions, rng: np.random.Generator
) -> FloatArray:
    """Audio float32 (16000,): the word at a random SNR in noise of one or two backgrounds."""
    noise = _crop(backgrounds, rng)
    if rng.random() < 0.3:
        noise = noise + _crop(backgrounds, rng)
    if clip is None:
        audio = noise
    else:
        word = _color(clip.astype(np.float32), conditions.stretch, rng)
        power = np.sqrt(np.mean(word**2))
        snr_db = rng.uniform(*conditions.snr_db)
        audio = _place(word, rng) + noise * (power * 10 ** (-snr_db / 20) / noise.std())
    level = 10 ** (rng.uniform(_SOFTEST_DB, 0.0) / 20)
    return _float32(audio * (level / np.abs(audio).max()))


def _crop(backgrounds: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A random second (16000,) of a random background."""
    start = rng.integers(_BACKGROUND_SAMPLES - CLIP_SAMPLES)
    noise: FloatArray = backgrounds[rng.integers(len(backgrounds)), start : start + CLIP_SAMPLES]
    return noise


def _color(word: FloatArray, stretch: float, rng: np.random.Generator) -> FloatArray:
    """The word with another vocal tract (resampling), room (reverberation), microphone (tilt)."""
    if stretch:
        length = int(len(word) * rng.uniform(1 - stretch, 1 + stretch))
        positions = np.linspace(0, len(word) - 1, min(length, CLIP_SAMPLES))
        word = np.interp(positions, np.arange(len(word)), word).astype(np.float32)
    if rng.random() < 0.5:
        word = _convolve(word, _room(rng))[:CLIP_SAMPLES]
    if rng.random() < 0.5:
        tilt = rng.uniform(-0.6, 0.9)
        word = word - np.float32(tilt) * np.concatenate(([np.float32(0)], word[:-1]))
    return word


def _convolve(signal: FloatArray, response: FloatArray) -> FloatArray:
    """Full linear convolution, by FFT."""
    length = len(signal) + len(response) - 1
    points = 1 << (length - 1).bit_length()
    product = np.fft.rfft(signal, points) * np.fft.rfft(response, points)
    return _float32(np.fft.irfft(product, points)[:length])


def _float32(values: Array) -> FloatArray:
    return values.astype(np.float32)


def _room(rng: np.random.Generator) -> FloatArray:
    """A room impulse response: the direct sound, then noise that falls by 60 dB in 30..250 ms."""
    length = int(rng.uniform(0.03, 0.25) * SAMPLE_RATE_HZ)
    decay = np.exp(-np.log(1000) * np.arange(length) / length)
    response = rng.standard_normal(length) * decay * rng.uniform(0.05, 0.35)
    response[0] = 1.0
    return _float32(response)


def _place(word: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The word in a second of silence, near the center; at most a sixth of it is cut off."""
    shift = int(rng.uniform(-_LONGEST_SHIFT_S, _LONGEST_SHIFT_S) * SAMPLE_RATE_HZ)
    start = (CLIP_SAMPLES - len(word)) // 2 + shift
    start = max(-len(word) // 6, min(start, CLIP_SAMPLES - len(word) * 5 // 6))
    audio = np.zeros(CLIP_SAMPLES, np.float32)
    heard = word[max(0, -start) : CLIP_SAMPLES - start]
    audio[max(0, start) : max(0, start) + len(heard)] = heard
    return audio


def _shaped(rng: np.random.Generator, amplitude: FloatArray) -> FloatArray:
    """Noise (32000,) of unit power with the given amplitude spectrum (16001 bins of 0.5 Hz)."""
    phases = rng.standard_normal(_BINS) + 1j * rng.standard_normal(_BINS)
    noise = np.fft.irfft(phases * amplitude, _BACKGROUND_SAMPLES)
    return _float32(noise / noise.std())


def _colored(rng: np.random.Generator, exponent: float) -> FloatArray:
    """Noise whose power falls as 1 / f**exponent: 0 is white, 1 pink, 2 brown."""
    return _shaped(rng, _FREQUENCY_HZ ** (-exponent / 2))


def _band(rng: np.random.Generator) -> FloatArray:
    """Band noise around one frequency, over a quiet floor."""
    center_octave = np.log2(rng.uniform(100.0, 4000.0))
    octaves = rng.uniform(0.2, 1.5)
    bell = np.exp(-0.5 * ((np.log2(_FREQUENCY_HZ) - center_octave) / octaves) ** 2)
    return _shaped(rng, bell + rng.uniform(0.003, 0.1))


def _hum(rng: np.random.Generator) -> FloatArray:
    """The hum of mains or a motor: harmonics of 45..200 Hz over pink noise."""
    fundamental = rng.uniform(45.0, 200.0) * _BACKGROUND_SAMPLES / SAMPLE_RATE_HZ
    order = np.arange(1, 20)
    spectrum = np.zeros(_BINS, np.complex128)
    phases = np.exp(2j * np.pi * rng.random(len(order)))
    spectrum[np.round(order * fundamental).astype(int)] = phases / order ** rng.uniform(0.5, 1.5)
    tone = np.fft.irfft(spectrum, _BACKGROUND_SAMPLES)
    hum = tone / tone.std() + rng.uniform(0.05, 0.5) * _colored(rng, 1.0)
    return _float32(hum)


def _swelling(rng: np.random.Generator) -> FloatArray:
    """Colored noise with a periodic envelope: wind, traffic, water."""
    time_s = np.arange(_BACKGROUND_SAMPLES) / SAMPLE_RATE_HZ
    swell = np.sin(2 * np.pi * (rng.uniform(0.3, 8.0) * time_s + rng.random()))
    envelope = 1.0 + rng.uniform(0.3, 0.95) * swell
    return _float32(_colored(rng, rng.uniform(0.0, 2.0)) * envelope)


def _clicks(rng: np.random.Generator) -> FloatArray:
    """Keys, dishes, footsteps: decaying bursts, 2..30 per second, over quiet pink noise."""
    hits = (rng.random(_BACKGROUND_SAMPLES) < rng.uniform(2, 30) / SAMPLE_RATE_HZ).astype(float)
    hits *= rng.standard_normal(_BACKGROUND_SAMPLES)
    length = int(rng.integers(100, 1500))
    burst = rng.standard_normal(length) * np.exp(-5.0 * np.arange(length) / length)
    clicks = _convolve(hits, burst)[:_BACKGROUND_SAMPLES]
    floor = rng.uniform(0.02, 0.2) * max(clicks.std(), 1e-3)
    return _float32(clicks + floor * _colored(rng, 1.0))


def _babble(words: Sequence[Clip], rng: np.random.Generator) -> FloatArray:
    """A crowd: overlapping words, reversed in time so that none is a keyword."""
    crowd = np.zeros(_BACKGROUND_SAMPLES)
    for _ in range(rng.integers(12, 40)):
        word = words[rng.integers(len(words))][::-1]
        start = rng.integers(_BACKGROUND_SAMPLES - len(word))
        crowd[start : start + len(word)] += word * rng.uniform(0.3, 1.0)
    return _float32(crowd + 0.02 * crowd.std() * _colored(rng, 1.0))
