"""The keyword-spotting data: splits without common speakers and sounds, reproducible renderings."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from compress.frontend.capture import capture, trace_module
from compress.genome import Quantize
from compress.integer.cost import total_macs
from compress.quantization.lower import lower
from compress.tasks import kws, kws_data, mfcc, mixing, speech
from compress.tasks.kws import DATA_SPEC, TASK
from compress.tasks.kws_data import CLASSES, SPLITS, DataSpec, SplitName
from compress.tasks.mixing import Conditions
from compress.tasks.speech import Utterance


class Inline:
    """Replaces the worker processes by the test's own."""

    def map(self, _: str, function: Callable[[Any], Any], chunks: Sequence[Any]) -> list[Any]:
        return [function(chunk) for chunk in chunks]


def tiny(spec: DataSpec = DATA_SPEC) -> DataSpec:
    """A spec of a few dozen clips."""
    splits = {
        name: replace(spec.split(name), words_per_class=3, renderings=1, backgrounds_per_chunk=6)
        for name in SPLITS
    }
    return replace(spec, **splits)


def random_clips(count: int, seed: int = 0) -> list[speech.Clip]:
    rng = np.random.default_rng(seed)
    return [rng.integers(-20000, 20000, 6000).astype(np.int16) for _ in range(count)]


# -- speech --------------------------------------------------------------------------------------

SOME = [
    Utterance("yes", "m3", "en", 40, 150),
    Utterance("stop", "klatt2", "en-us", 60, 180),
    Utterance("left", "whisper", "en-gb-x-rp", 50, 120),
]


def test_a_clip_is_a_trimmed_word() -> None:
    for clip in speech.speak(SOME):
        assert clip.dtype == np.int16
        assert 0.1 * 16000 < len(clip) <= 0.95 * 16000
        assert np.abs(clip).max() == 20000
        assert min(abs(int(clip[0])), abs(int(clip[-1]))) > 0


def test_speaking_does_not_depend_on_what_was_said_before() -> None:
    first = speech.speak(SOME)
    speech.speak([Utterance("house", "f2", "en-029", 20, 200)])
    for before, after in zip(first, speech.speak(SOME), strict=True):
        np.testing.assert_array_equal(before, after)


def test_rate_and_pitch_are_heard() -> None:
    slow, fast, low, high = speech.speak(
        [
            Utterance("happy", "m3", "en", 50, 110),
            Utterance("happy", "m3", "en", 50, 230),
            Utterance("no", "f2", "en", 5, 110),
            Utterance("no", "f2", "en", 95, 110),
        ]
    )
    assert len(slow) > 1.3 * len(fast)
    assert pitch_hz(high) > 1.3 * pitch_hz(low)


def pitch_hz(clip: speech.Clip) -> float:
    """The pitch in Hz, 50..350, by the peak of the autocorrelation below 1.5 kHz."""
    power = np.abs(np.fft.rfft(clip * np.hanning(len(clip)), 65536)) ** 2
    power[1500 * 65536 // 16000 :] = 0.0
    correlation = np.fft.irfft(power)
    lags = np.arange(16000 // 350, 16000 // 50)
    return 16000 / float(lags[np.argmax(correlation[lags])])


def test_no_two_voices_are_the_same_voice() -> None:
    """Aliases of a voice in two splits would put test speakers into the training data."""
    heard: dict[str, str] = {}
    for variant in speech.variants():
        (clip,) = speech.speak([Utterance("stop", variant, "en", 50, 170)])
        digest = hashlib.sha256(clip.tobytes()).hexdigest()
        family = speech.family(variant)
        assert heard.setdefault(digest, family) == family


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("steph", "steph3", True),
        ("Mike", "mike2", True),
        ("klatt", "klatt6", True),
        ("anika", "anikaRobot", True),
        ("whisper", "whisperf", True),
        ("f1", "f2", False),
        ("m1", "f1", False),
        ("Michael", "michel", False),
    ],
)
def test_families(one: str, other: str, same: bool) -> None:
    assert (speech.family(one) == speech.family(other)) is same


# -- who says what -------------------------------------------------------------------------------


def test_a_speaker_is_in_one_split_only() -> None:
    cast = kws_data.voices_by_split(DATA_SPEC)
    assert sorted(v for name in SPLITS for v in cast[name]) == sorted(speech.variants())
    families = [{speech.family(v) for v in cast[name]} for name in SPLITS]
    assert sum(len(f) for f in families) == len(set.union(*families))
    for name in SPLITS:
        share = len(cast[name]) / len(speech.variants())
        assert share == pytest.approx(DATA_SPEC.split(name).share, abs=0.05)


def test_every_voice_says_every_word() -> None:
    cast = kws_data.voices_by_split(DATA_SPEC)
    for name in SPLITS:
        said = kws_data.utterances(DATA_SPEC, name)
        assert {u.variant for _, u in said} == set(cast[name])
        counts = Counter(label for label, _ in said)
        assert set(counts) == set(range(12)) - {CLASSES.index("silence")}
        assert set(counts.values()) == {DATA_SPEC.split(name).words_per_class}
        for label, utterance in said:
            unknown = CLASSES[label] == "unknown"
            assert (utterance.word not in CLASSES) if unknown else utterance.word == CLASSES[label]


@pytest.mark.parametrize("name", ["val", "test"])
def test_splits_that_decide_and_confirm_have_10_000_clips(name: SplitName) -> None:
    """As many words as are said, and as much silence as there is of each class."""
    said = len(kws_data.utterances(DATA_SPEC, name)) * DATA_SPEC.split(name).renderings
    assert said + said // 11 > 10_000


def test_equal_clips_are_in_one_split_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here all voices sound alike, so that a word is the same clip in every split."""

    def speak(utterances: Sequence[Utterance]) -> list[speech.Clip]:
        return [np.frombuffer(u.word.encode().ljust(16), np.int16) for u in utterances]

    monkeypatch.setattr(speech, "speak", speak)
    recordings = kws_data.recordings_of(tiny(), Inline())  # type: ignore[arg-type]
    words = [clip.tobytes() for name in SPLITS for _, clip in recordings[name]]
    assert len(words) == len(set(words))
    said = {u.word for name in SPLITS for _, u in kws_data.utterances(tiny(), name)}
    assert {word.decode().strip() for word in words} == said
    assert {label for label, _ in recordings["test"]} <= {CLASSES.index("unknown")}


# -- rendering -----------------------------------------------------------------------------------


def test_every_rendering_is_its_own() -> None:
    spec = replace(tiny(), train=replace(tiny().train, renderings=3))
    recordings = [(i % 10, clip) for i, clip in enumerate(random_clips(22))]
    x, y = kws_data.render_split(spec, "train", recordings, Inline())  # type: ignore[arg-type]
    assert x.shape == (72, 49, 10)
    assert len({row.tobytes() for row in x}) == 72
    assert (y == CLASSES.index("silence")).sum() == 6  # as many as of an average class: 66 / 11


def test_splits_draw_other_noise() -> None:
    recordings = [(0, clip) for clip in random_clips(22)]
    spec = replace(tiny(), test=tiny().val)
    val, _ = kws_data.render_split(spec, "val", recordings, Inline())  # type: ignore[arg-type]
    test, _ = kws_data.render_split(spec, "test", recordings, Inline())  # type: ignore[arg-type]
    assert not {row.tobytes() for row in val} & {row.tobytes() for row in test}


def test_there_are_hundreds_of_backgrounds_per_split(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def draw(count: int, words: Sequence[speech.Clip], rng: np.random.Generator) -> Any:
        drawn.append(count)
        return np.ones((count, 32000), np.float32)

    monkeypatch.setattr(mixing, "draw_backgrounds", draw)
    monkeypatch.setattr(mixing, "render", lambda clips, *_: np.zeros((len(clips), 1)))
    monkeypatch.setattr(mfcc, "mfcc", lambda audio: audio)
    for name in SPLITS:
        drawn.clear()
        recordings = [
            (label, np.ones(9, np.int16)) for label, _ in kws_data.utterances(DATA_SPEC, name)
        ]
        kws_data.render_split(DATA_SPEC, name, recordings, Inline())  # type: ignore[arg-type]
        assert sum(drawn) >= 300


def test_backgrounds_differ_and_have_unit_power() -> None:
    noises = mixing.draw_backgrounds(24, random_clips(5), np.random.default_rng(3))
    assert noises.shape == (24, 32000)
    np.testing.assert_allclose(noises.std(axis=1), 1.0, rtol=1e-4)
    likeness = np.corrcoef(noises) - np.eye(24)
    assert np.abs(likeness).max() < 0.5


@pytest.mark.parametrize("snr_db", [5.0, 25.0])
def test_the_noise_is_as_loud_as_asked(snr_db: float) -> None:
    """The word is a tone in white noise: everything that is not at 1 kHz is noise."""
    tone = (20000 * np.sin(2 * np.pi * 1000 * np.arange(15000) / 16000)).astype(np.int16)
    rng = np.random.default_rng(4)
    white = rng.standard_normal((1, 32000)).astype(np.float32)
    heard = mixing.render([tone] * 40, white, Conditions((snr_db, snr_db)), rng)
    assert np.abs(heard).max() <= 1.0
    power = np.abs(np.fft.rfft(heard[:, 4000:12000] * np.hanning(8000))) ** 2
    near = np.abs(np.arange(4001) - 500) < 50
    measured = 10 * np.log10(power[:, near].sum(1) / power[:, ~near].sum(1))
    # 1 % of the noise is near 1 kHz, and the Hann window keeps tone and noise in proportion
    assert np.median(measured) == pytest.approx(snr_db, abs=1.5)


def test_silence_is_background_only() -> None:
    rng = np.random.default_rng(5)
    hum = np.sin(2 * np.pi * 100 * np.arange(32000) / 16000)[np.newaxis].astype(np.float32)
    heard = mixing.render([None] * 5, hum, Conditions((20.0, 20.0)), rng)
    spectrum = np.abs(np.fft.rfft(heard))
    assert (spectrum.argmax(axis=1) == 100).all()
    assert (spectrum[:, 100] ** 2 > 0.95 * (spectrum**2).sum(axis=1)).all()


def test_the_whole_data_are_the_same_every_time() -> None:
    """The data are made by real worker processes and normalized by the training split."""
    first, second = kws_data.make(tiny()), kws_data.make(tiny())
    for name, array in first.items():
        assert array.tobytes() == second[name].tobytes()
    assert first["x_train"].dtype == np.float32
    assert first["y_train"].dtype == np.int64
    np.testing.assert_allclose(first["x_train"].mean((0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(first["x_train"].std((0, 1)), 1, atol=1e-4)
    other = kws_data.make(replace(tiny(), seed=2))
    assert other["x_val"].tobytes() != first["x_val"].tobytes()


def test_loading_reads_the_cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made: list[DataSpec] = []

    def make(spec: DataSpec) -> dict[str, np.ndarray]:
        made.append(spec)
        return {f"{part}_{name}": np.arange(490.0).reshape(1, 49, 10) if part == "x" else
                np.zeros(1, np.int64) for part in "xy" for name in SPLITS}  # fmt: skip

    monkeypatch.setattr(kws_data, "make", make)
    try:
        for _ in range(2):
            kws.load.cache_clear()
            data = kws.load()
            assert data.test.x.shape == (1, 1, 49, 10)
            assert data.test.x[0, 0, 1, 0] == 10
    finally:
        kws.load.cache_clear()
    assert len(made) == 1


# -- network -------------------------------------------------------------------------------------


def test_the_network_is_the_reference_one() -> None:
    """The MACs of MLPerf Tiny's DS-CNN, computed by hand; 22,604 folded weights and biases."""
    torch.manual_seed(0)
    x = np.random.default_rng(0).standard_normal((8, *TASK.input_shape)).astype(np.float32)
    graph = lower(TASK.net(), Quantize(), x, "kws")
    positions = 25 * 5
    by_hand = positions * 64 * 40 + 4 * positions * 64 * (9 + 64) + 64 * 12
    assert total_macs(graph) == by_hand == 2_656_768
    constants = [tensor for tensor in graph.tensors if tensor.data is not None]
    assert sum(tensor.elements for tensor in constants) == 22_604
    assert graph.output_tensor.shape == (1, 12)


def test_the_padding_is_tflites_same() -> None:
    layers, _, _ = capture(trace_module(TASK.net(), TASK.input_shape))
    padding = layers[0].padding
    before_after = []
    for size, window, stride in ((49, 10, 2), (10, 4, 2)):
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        before_after.append((total // 2, total - total // 2))
    assert [(padding.top, padding.bottom), (padding.left, padding.right)] == before_after
    with torch.no_grad():
        assert TASK.net().eval()(torch.zeros(3, 1, 49, 10)).shape == (3, 12)
