"""WAV files, Speech Commands and ToyCar, from small files in their layouts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from compress.datasets import machine_sounds, speech_commands
from compress.datasets.folders import VARIABLE
from compress.datasets.speech_commands import CLASSES, SPLITS, Clip
from compress.datasets.wave_file import read_wav
from compress.errors import UserError
from helpers.published_data import RATE_HZ, write_speech_commands, write_toycar, write_wav

SOME = np.random.default_rng(1).integers(-30_000, 30_000, 500).astype(np.int16)


def test_a_wav_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    wavfile.write(path, RATE_HZ, SOME)  # scipy's writer, not that of the standard library
    got = read_wav(path, RATE_HZ)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, SOME / 32768)


def test_wav_files_that_are_something_else(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_wav(path, SOME, 8_000)
    with pytest.raises(UserError, match=f"{path}: 8000 Hz, 16 bits, 1 channels; must be 16000 Hz"):
        read_wav(path, RATE_HZ)
    write_wav(path, SOME.reshape(-1, 2))
    with pytest.raises(UserError, match=f"{path}: .* 2 channels"):
        read_wav(path, RATE_HZ)
    write_wav(path, SOME.astype(np.int32))
    with pytest.raises(UserError, match=f"{path}: .* 32 bits"):
        read_wav(path, RATE_HZ)


@pytest.mark.parametrize("length", [0, 4, 30, 44, 700])
def test_wav_files_that_are_cut_short(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.wav"
    write_wav(path, SOME)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match=f"damaged data file {path}"):
        read_wav(path, RATE_HZ)


# -- Speech Commands -----------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


def speaker(clip: Clip) -> str:
    return clip.path.name.split("_")[0]


def test_words_are_split_by_the_published_lists(root: Path) -> None:
    folder = write_speech_commands(root)
    noises = speech_commands.read_noises(speech_commands.find())
    clips = speech_commands.clips_of(folder, noises, 1)
    words = {
        name: [c for c in clips[name] if c.path.parent.name != "_background_noise_"]
        for name in SPLITS
    }
    assert {speaker(c) for c in words["test"]} == {"00000005"}
    assert {speaker(c) for c in words["val"]} == {"00000004"}
    assert {speaker(c) for c in words["train"]} == {f"{i:08x}" for i in range(4)}
    paths = [c.path for name in SPLITS for c in words[name]]
    assert len(paths) == len(set(paths))
    for name, speakers in zip(SPLITS, (4, 1, 1), strict=True):
        assert Counter(c.label for c in clips[name]) == dict.fromkeys(range(12), speakers)
        for c in words[name]:
            unknown = c.label == CLASSES.index("unknown")
            assert (c.path.parent.name in {"bed", "cat", "wow"}) == unknown
    assert speech_commands.clips_of(folder, noises, 1) == clips
    assert speech_commands.clips_of(folder, noises, 2) != clips


def test_silence_of_splits_does_not_overlap(root: Path) -> None:
    write_speech_commands(root)
    noises = speech_commands.read_noises(speech_commands.find())
    rng = np.random.default_rng(0)
    taken: dict[str, set[tuple[int, int]]] = {}
    for name in SPLITS:
        seconds = [noises.draw(name, rng) for _ in range(200)]
        taken[name] = {(n, i) for n, start in seconds for i in (start, start + RATE_HZ - 1)}
    ends = {
        name: [(min(i for n, i in taken[name] if n == k), max(i for n, i in taken[name] if n == k))
               for k in range(2)]
        for name in SPLITS
    }  # fmt: skip
    for k in range(2):
        assert ends["train"][k][1] < ends["val"][k][0]
        assert ends["val"][k][1] < ends["test"][k][0]
        assert ends["test"][k][1] < len(noises.audio[k])


def test_clips_are_one_second(root: Path) -> None:
    folder = write_speech_commands(root)
    noises = speech_commands.read_noises(folder)
    for clip in speech_commands.clips_of(folder, noises, 1)["val"]:
        audio = speech_commands.read_clip(clip, noises)
        whole = read_wav(clip.path, RATE_HZ)
        assert audio.shape == (RATE_HZ,)
        if clip.label == CLASSES.index("silence"):
            np.testing.assert_array_equal(audio, whole[clip.start : clip.start + RATE_HZ])
        else:
            np.testing.assert_array_equal(audio[: len(whole)], whole)
            assert not audio[len(whole) :].any()


def test_lists_that_do_not_match_the_files(root: Path) -> None:
    folder = write_speech_commands(root)
    noises = speech_commands.read_noises(folder)
    listed = folder / "testing_list.txt"
    text = listed.read_text()
    listed.write_text(text + "yes/ffffffff_nohash_0.wav\n")
    with pytest.raises(UserError, match=f"{listed}: 1 files are not there, as yes/ffffffff"):
        speech_commands.clips_of(folder, noises, 1)
    listed.write_text(text + "yes/00000004_nohash_0.wav\n")
    with pytest.raises(UserError, match=f"{listed}: yes/00000004_nohash_0.wav is in validation"):
        speech_commands.clips_of(folder, noises, 1)


def test_an_incomplete_folder(root: Path) -> None:
    folder = write_speech_commands(root)
    for path in (folder / "yes").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"lacks yes/\*\.wav: expected is"):
        speech_commands.find()


# -- ToyCar --------------------------------------------------------------------------------------


def test_names_say_kind_and_machine(root: Path) -> None:
    folder = write_toycar(root, 2, 3, seconds=0.1)
    train, test = machine_sounds.find_sounds()
    assert Counter((s.machine, s.anomalous) for s in train) == {("01", False): 2, ("02", False): 2}
    assert Counter((s.machine, s.anomalous) for s in test) == {
        (machine, anomalous): 3 for machine in ("01", "02") for anomalous in (False, True)
    }
    wrong = folder / "test" / "weird.wav"
    wrong.touch()
    with pytest.raises(UserError, match=f"{wrong}: its name is not"):
        machine_sounds.find_sounds()
    wrong.rename(folder / "train" / "anomaly_id_01_00000000.wav")
    with pytest.raises(UserError, match="an anomalous sound among those for training"):
        machine_sounds.find_sounds()
