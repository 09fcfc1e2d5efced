"""Integer features against the float features of the tasks, and against exact arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compress.features import spectrum
from compress.features.front_end import Spectra
from compress.features.integer import IntegerSpectra, integers_of
from compress.features.reference import (
    frames_of,
    input_of,
    input_samples,
    real_frames,
    stream_input,
)
from compress.features.tables import fft_order, top_bit
from compress.tasks import log_mel, mfcc, mixing, motion, speech
from compress.types import Array, Tensor
from helpers.front_ends import (
    MFCC_DEVIATION,
    MFCC_MEAN,
    SCALE,
    WATCH_DEVIATION,
    WATCH_MEAN,
    ZERO,
    declared,
    in_integers,
    signals,
)

CLIP = 16_000
SAID = [
    speech.Utterance("yes", "m3", "en", 40, 150),
    speech.Utterance("stop", "klatt2", "en-us", 60, 180),
    speech.Utterance("left", "whisper", "en-gb-x-rp", 50, 120),
]
# Measured, in deviations of the data: the largest error and the root of the mean square, with a
# margin of a half. A step of the int8 input is 0.05 of them here.
ERRORS = {
    "full noise": (3e-4, 1e-4),
    "noise": (1.1e-4, 3e-5),
    "whisper": (4e-3, 8e-4),
    "tone": (1e-2, 2e-3),
    "speech": (4.2e-3, 4e-4),
    "square": (3e-3, 8e-4),
}


def spoken() -> Array:
    """Rendered clips as task kws has them, int16 (3, 16000)."""
    rng = np.random.default_rng(3)
    words = speech.speak(SAID)
    backgrounds = mixing.draw_backgrounds(6, words, rng)
    audio = mixing.render(words, backgrounds, mixing.Conditions((10.0, 40.0)), rng)
    return np.rint(audio * 32767).astype(np.int16)


def mfcc_errors(samples: Array) -> Array:
    """Integer less float features (49, 10) of int16 samples (16000,), in deviations."""
    real = mfcc.mfcc(samples[None].astype(np.float32) / np.float32(32768))[0]
    wanted = (real - MFCC_MEAN) / MFCC_DEVIATION
    return real_frames(in_integers("mfcc"), samples[:, None], SCALE, ZERO) - wanted


@pytest.mark.parametrize("name", [name for name in ERRORS if name != "speech"])
def test_mfcc_is_that_of_the_task(name: str) -> None:
    errors = mfcc_errors(signals(CLIP)[name][:, 0])
    largest, usual = ERRORS[name]
    assert np.abs(errors).max() < largest
    assert np.sqrt((errors**2).mean()) < usual


def test_mfcc_of_speech_is_that_of_the_task() -> None:
    errors = np.stack([mfcc_errors(clip) for clip in spoken()])
    largest, usual = ERRORS["speech"]
    assert np.abs(errors).max() < largest
    assert np.sqrt((errors**2).mean()) < usual


def test_silence_is_at_the_floor() -> None:
    """There, 1e-6 of the task's magnitudes are six steps of the integers', or five, or four."""
    assert np.abs(mfcc_errors(signals(CLIP)["silence"][:, 0])).max() < 0.15


def test_quantized_mfcc_differs_by_a_step_at_most() -> None:
    for clip in spoken():
        real = mfcc.mfcc(clip[None].astype(np.float32) / np.float32(32768))[0]
        wanted = np.rint((real - MFCC_MEAN) / MFCC_DEVIATION / SCALE + ZERO).clip(-128, 127)
        found = input_of(in_integers("mfcc"), clip[:, None]).reshape(49, 10)
        assert found.dtype == np.int8
        assert np.abs(found - wanted).max() <= 1
        assert (found != wanted).mean() < 0.02


@pytest.mark.parametrize("name", ["full noise", "noise", "whisper"])
def test_log_mel_is_that_of_the_task(name: str) -> None:
    samples = signals(CLIP)[name]
    wanted = log_mel.log_mel(samples[:, 0].astype(np.float32) / np.float32(32768))
    found = -30 + 14 * real_frames(in_integers("log_mel"), samples, SCALE, ZERO)
    assert found.shape == wanted.shape == (30, 128)
    assert np.abs(found - wanted).max() < (0.3 if name == "whisper" else 0.02)  # dB


def test_readings_are_scaled_as_the_task_scales_them() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(-32768, 32767, (128, 6), endpoint=True).astype(np.int16)
    units = counts / np.array([4096.0] * 3 + [1024.0] * 3)
    real = ((units - WATCH_MEAN) / WATCH_DEVIATION).clip(-5, 5)
    wanted = np.rint(real / SCALE + ZERO)
    found = input_of(in_integers("motion"), counts).reshape(128, 6)
    ties = np.abs(real / SCALE % 1 - 0.5) < 1e-6
    np.testing.assert_array_equal(found[~ties], wanted[~ties])
    assert (found.min(), found.max()) == (-103, 97)


def test_planar_inputs_are_by_channel_first() -> None:
    counts = np.arange(32 * 6, dtype=np.int16).reshape(32, 6) * 50
    planar = input_of(in_integers("anomaly"), counts).reshape(6, 32)
    by_time = frames_of(in_integers("motion"), counts)
    np.testing.assert_array_equal(planar, by_time.T)


def test_inputs_of_tasks_have_the_layout_of_the_float_samples() -> None:
    """The windows that motion makes of a recording, from the same recording in counts."""
    rng = np.random.default_rng(1)
    x = rng.normal(0, 0.5, (128, 6)).astype(np.float32)
    recordings = [motion.Recording(x, 0, subject) for subject in range(10)]
    arrays = motion.make(recordings, 0)
    front_end = motion.watch_front_end(arrays["mean"], arrays["deviation"], 128, planar=False)
    made = integers_of(front_end, Tensor("input", (1, 1, 128, 6), "int8", (SCALE,), ZERO))
    counts = np.rint(x * ([4096] * 3 + [1024] * 3))
    found = SCALE * (input_of(made, counts.astype(np.int16)).reshape(128, 6).astype(float) - ZERO)
    assert np.abs(found - arrays["x_train"][0].T).max() < 0.51 * SCALE + 0.01


def test_int16_inputs() -> None:
    fine, coarse = in_integers("mfcc", "int16"), in_integers("mfcc")
    samples = signals(CLIP)["noise"]
    found = frames_of(fine, samples)
    assert found.dtype == np.int16
    real = real_frames(coarse, samples, SCALE, ZERO)
    assert np.abs(found * (SCALE / 256) - real).max() < SCALE / 256


def test_a_stream_begins_with_silence() -> None:
    made, samples = in_integers("mfcc"), signals(480 + 2 * 320)["noise"]
    found = stream_input(made, samples).reshape(49, 10)
    silent = frames_of(made, np.zeros((480, 1), np.int16))
    np.testing.assert_array_equal(found[:46], np.repeat(silent, 46, axis=0))
    np.testing.assert_array_equal(found[46:], frames_of(made, samples))
    assert input_samples(made) == 480 + 48 * 320


# -- parts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mfcc", "log_mel"])
def test_the_fft_is_the_dft(name: str) -> None:
    made = in_integers(name)
    assert isinstance(made, IntegerSpectra)
    points = made.dft_points
    frames = np.random.default_rng(0).integers(-(1 << 20), 1 << 20, (3, points))
    real, imaginary = spectrum.bins_of(made, *spectrum._transform(made, frames))
    exact = 2 * np.fft.fft(frames)[:, : points // 2]
    found = real + 1j * imaginary
    loudest = np.abs(exact).max()
    assert np.abs(found - exact)[:, 1:].max() < 2e-4 * loudest


@pytest.mark.parametrize("points", [1, 2, 4, 8, 256, 512])
def test_the_order_has_every_value_once(points: int) -> None:
    assert sorted(fft_order(points)) == [*range(points)]


@pytest.mark.parametrize("points", [0, 3, 12])
def test_other_sizes_are_refused(points: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        fft_order(points)


def test_magnitudes() -> None:
    rng = np.random.default_rng(0)
    parts = (rng.normal(size=(2, 20_000)) * 2.0 ** rng.uniform(0, 28, 20_000)).astype(np.int64)
    parts[:, :5] = [[0, 1, 0, -(1 << 29), 3], [0, 0, -1, -(1 << 29), -4]]
    exact = np.hypot(*parts.astype(float))
    found = spectrum.magnitudes(*parts)
    assert np.abs(found - exact).max(initial=0, where=exact < 1 << 14) <= 1.0
    assert (np.abs(found - exact) / np.maximum(exact, 1))[exact >= 1 << 14].max() < 1e-4


def test_logarithms() -> None:
    values = np.concatenate([np.arange(1, 3000), 2 ** np.arange(63), 2 ** np.arange(1, 63) - 1])
    found = spectrum.base_2_logarithms(values) / (1 << 16)
    assert np.abs(found - np.log2(values.astype(float))).max() < 5e-5
    np.testing.assert_array_equal(top_bit(2 ** np.arange(63)), np.arange(63))


def test_what_an_integer_front_end_cannot_be() -> None:
    front_end = declared("mfcc")
    assert isinstance(front_end, Spectra)
    tensor = Tensor("input", (1, 490), "int8", (SCALE,), ZERO)
    with pytest.raises(ValueError, match="49 frames of 10 values for an input of 480"):
        integers_of(front_end, replace(tensor, shape=(1, 480)))
    with pytest.raises(ValueError, match="must be int8 or int16"):
        integers_of(front_end, replace(tensor, dtype="int32"))
    with pytest.raises(ValueError, match="power of two"):
        integers_of(replace(front_end, dft_points=480), tensor)
    with pytest.raises(ValueError, match="at least 8 and the window's length"):
        integers_of(replace(front_end, dft_points=256), tensor)
    with pytest.raises(ValueError, match="zeros for the first and last"):
        integers_of(replace(front_end, filters=np.ones((257, 40))), tensor)
    with pytest.raises(ValueError, match="weight above 0"):
        integers_of(replace(front_end, filters=np.zeros((257, 40))), tensor)


@pytest.mark.parametrize("name", ["mfcc", "log_mel"])
def test_nothing_overflows(name: str) -> None:
    """The loudest signals for a bin and for all bins: sums stay within the C types."""
    made = in_integers(name)
    assert isinstance(made, IntegerSpectra)
    window = made.window_samples
    time = np.arange(window)
    tones = [
        np.where(np.cos(2 * np.pi * k * time / made.dft_points + phase) >= 0, 32767, -32768)
        for k in (1, 3, 20, 63, 100, 127)
        for phase in (0.0, 1.0)
    ]
    impulse = np.where(time == window // 2, -32768, 0)
    samples = np.array([*tones, impulse, np.full(window, -32768)]).astype(np.int16)
    drop = 15 - made.fraction_bits
    windowed = (samples.astype(np.int64) * made.window + (1 << drop >> 1)) >> drop
    padded = np.zeros((len(samples), made.dft_points), np.int64)
    padded[:, :window] = windowed
    parts = spectrum.bins_of(made, *spectrum._transform(made, padded))
    assert max(np.abs(part).max() for part in parts) < 1 << 30
    bins = (spectrum.bin_powers if made.power else spectrum.magnitudes)(*parts)
    limit = 1 << 63 if made.power else 1 << 32
    for band in made.bands:
        own = bins[:, band.first : band.first + len(band.weights)].astype(object)
        total = (own * np.array(band.weights, object)).sum(axis=1).max()
        assert (total if made.power else total >> 15) < limit
