"""The data of a project in every form, and what is wrong with them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile
from sklearn.model_selection import train_test_split

import compress.projects.folders
from compress.errors import UserError
from compress.projects.arrays import SIX, arrays_of
from compress.tasks.mfcc import mfcc
from compress.types import Array, Dataset, Split
from helpers.projects import NET, blobs, opened, write_project
from hil.benchmark.samples import read_arrays

X, Y = blobs()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def six() -> dict[str, Array]:
    return dict(zip(SIX, (X[:30], Y[:30], X[30:45], Y[30:45], X[45:], Y[45:]), strict=True))


@pytest.mark.parametrize("form", ["dataset", "dict", "tuple"])
def test_splits_are_taken_as_they_are(form: str) -> None:
    parts = six()
    splits = [Split(parts[f"x_{n}"], parts[f"y_{n}"]) for n in ("train", "val", "test")]
    value: Any = {"dataset": Dataset(*splits), "dict": parts, "tuple": tuple(parts.values())}[form]
    data = arrays_of(value, "data", "classification").data
    assert data.val.x.dtype == np.float32
    assert data.val.y.dtype == np.int64
    np.testing.assert_array_equal(data.val.x, X[30:45].astype(np.float32))
    np.testing.assert_array_equal(data.test.y, Y[45:])


def test_x_and_y_are_split_60_20_20_by_class_always_alike() -> None:
    found = arrays_of((X, Y), "data", "classification")
    data = found.data
    assert [len(part) for part in (data.train, data.val, data.test)] == [36, 12, 12]
    for part in (data.train, data.val, data.test):
        counts = np.bincount(part.y)
        assert counts.max() - counts.min() == 0
    _, test = train_test_split(np.arange(60), test_size=0.2, random_state=0, stratify=Y)
    np.testing.assert_array_equal(data.test.x, X[np.sort(test)].astype(np.float32))
    assert "36 samples train, 12 validation, 12 test" in found.notes[0]
    again = arrays_of({"x": X, "y": Y}, "data", "classification").data
    np.testing.assert_array_equal(again.train.x, data.train.x)


@pytest.mark.parametrize("people", [3, 7, 20])
def test_groups_stay_together(people: int) -> None:
    groups = np.arange(60) * people // 60
    x = groups.reshape(-1, 1, 1, 1) * np.ones((1, 1, 6, 6))
    data = arrays_of({"x": x, "y": Y, "groups": groups}, "data", "classification").data
    seen = [set(part.x[:, 0, 0, 0]) for part in (data.train, data.val, data.test)]
    assert set().union(*seen) == set(range(people))
    assert sum(map(len, seen)) == people
    assert len(data.train) >= max(len(data.val), len(data.test))


def test_labels_may_be_names_or_columns() -> None:
    names = np.array(["cat", "ant", "bee"])[Y]
    found = arrays_of((X, names), "data", "classification")
    assert found.classes == ("ant", "bee", "cat")
    assert set(found.data.val.y) == {0, 1, 2}
    assert arrays_of((X, Y.reshape(-1, 1)), "data", "classification").data.val.y.ndim == 1


def test_targets_of_other_types_have_their_form() -> None:
    real = arrays_of((X, Y * 0.5), "data", "regression").data.train
    assert (real.y.dtype, real.y.shape) == (np.float32, (36, 1))
    several = arrays_of((X, np.eye(3)[Y]), "data", "multi_label").data.train
    assert (several.y.dtype, several.y.shape) == (np.float32, (36, 3))
    odd = arrays_of((X, (Y == 2).astype(int)), "data", "autoencoder")
    assert odd.classes == ("normal", "anomalous")
    assert set(odd.data.train.y) == {0}
    assert set(odd.data.val.y) == {0, 1}
    maps = arrays_of((X, np.zeros((60, 6, 6), int)), "data", "segmentation").data.train
    assert (maps.y.dtype, maps.y.shape) == (np.int64, (36, 6, 6))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ((X, Y[:-1]), r"60 samples and 59 labels: must be equally many"),
        ((X.astype(str), Y), r"x is of type <U\d+: must be numbers"),
        ((X[:, 0, 0, 0], Y), r"x is \(60,\): must be \(N, channels, height, width\)"),
        ((X, Y + 0.5), r"y is of type float64: labels must be whole numbers or names"),
        ((X, Y - 1), r"y has labels from -1 on: they must begin at 0"),
        ((X, np.where(Y == 2, 2**62, Y)), r"y has labels up to 4611686018427387904: at most 65535"),
        ((X, np.eye(3)[Y]), r"y is \(60, 3\): .*y\.argmax\(1\)"),
        ((X, np.where(np.arange(60) < 58, 0, 1)), r"class 1 has 2 samples: at least 5"),
        ((X[:6], Y[:6]), r"6 samples: at least 10 are needed"),
        ((X, Y, Y), r"gives a tuple of 3: needed is a compress\.types\.Dataset"),
        ({"x": X, "labels": Y}, r"has arrays x, labels; missing are x_train"),
        ({"x": X, "y": Y, "groups": Y[:3]}, r"groups is \(3,\), must be \(60,\)"),
        ({"x": X, "y": Y, "groups": Y % 2}, r"2 groups: at least 3 are needed"),
        ({**six(), "x_val": X[:15, :, :5]}, r"samples of x_val are \(1, 5, 6\), those of x_train"),
    ],
)
def test_wrong_arrays_are_refused(value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        arrays_of(value, "data", "classification")
    assert "\n" not in str(caught.value)


def with_data(folder: Path, data: str, more: str = "", net: str = NET) -> Path:
    return write_project(folder, f'[task]\nmodel = "net.py"\ndata = "{data}"\n{more}', net)


def test_an_npz_file_needs_no_function(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=X, y=Y)
    found = opened(with_data(tmp_path, "d.npz", "mean = 1\nstd = 2\n"))
    plain = arrays_of((X, Y), "data", "classification").data.train.x
    np.testing.assert_allclose(found.task.load().train.x, (plain - 1) / 2, rtol=1e-6)
    assert found.facts["mean"] == [1.0]


def test_npz_files_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "d.npz").write_bytes(b"no zip")
    with pytest.raises(UserError, match=r"d\.npz: not an \.npz of plain arrays"):
        opened(with_data(tmp_path, "d.npz"))
    np.savez_compressed(tmp_path / "d.npz", x=np.arange(9999), y=Y)
    whole = (tmp_path / "d.npz").read_bytes()
    np.save(tmp_path / "array.npy", np.arange(3))
    array = (tmp_path / "array.npy").read_bytes()
    for content in (b"", array, whole[:500], whole[:300] + bytes(300) + whole[600:]):
        (tmp_path / "d.npz").write_bytes(content)
        with pytest.raises(UserError, match=r"d\.npz: not an \.npz of plain arrays"):
            opened(with_data(tmp_path, "d.npz"))
        with pytest.raises(UserError, match=r"d\.npz: not an \.npz of plain arrays"):
            read_arrays(tmp_path / "d.npz", ["x"])
    np.savez(tmp_path / "d.npz", x=np.array([None]), y=Y)
    with pytest.raises(UserError, match=r"d\.npz: not an \.npz of plain arrays"):
        opened(with_data(tmp_path, "d.npz"))


RGB_NET = NET.replace("Conv2d(1", "Conv2d(3").replace("Linear(4, 3)", "Linear(4, 2)")


def images(folder: Path, count: int = 10, side: int = 8) -> None:
    """Red cats and blue dogs, each image of another shade."""
    for name, channel in (("cat", 0), ("dog", 2)):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = np.zeros((side, side, 3), np.uint8)
            pixels[..., channel] = 100 + index
            Image.fromarray(pixels).save(folder / name / f"{index:02d}.png")


def test_a_folder_of_images_is_data(tmp_path: Path) -> None:
    images(tmp_path / "pets")
    (tmp_path / "pets" / "cat" / "notes.txt").touch()
    (tmp_path / "pets" / ".hidden").mkdir()
    found = opened(with_data(tmp_path, "pets", net=RGB_NET))
    data = found.task.load()
    assert found.task.classes == ("cat", "dog")
    assert data.train.x.shape == (12, 3, 8, 8)
    reds = {
        round(float(value * 0.5 + 0.5) * 255) for value in data.train.x[data.train.y == 0, 0, 0, 0]
    }
    assert reds <= set(range(100, 110))
    assert (data.train.x[data.train.y == 0, 1] == -1).all()
    assert found.facts["pixels"] == "divided by 255"
    assert any("ignored, neither images nor WAV files: cat/notes.txt" in n for n in found.notes)


def test_images_are_resized_and_made_gray_when_asked(tmp_path: Path) -> None:
    images(tmp_path / "pets", side=8)
    net = NET.replace("Linear(4, 3)", "Linear(4, 2)")
    more = 'image_size = "4x6"\ncolor = "gray"\nclasses = ["dog", "cat"]\n'
    task = opened(with_data(tmp_path, "pets", more, net)).task
    assert (task.input_shape, task.classes) == ((1, 4, 6), ("dog", "cat"))
    train = task.load().train
    grays = (train.x[train.y == 1].max() * 0.5 + 0.5) * 255  # of red: 0.299 of its value
    assert 0.299 * 100 - 1 <= grays <= 0.299 * 109 + 1


def test_folders_train_val_test_give_the_splits(tmp_path: Path) -> None:
    for name, count in (("train", 6), ("validation", 3), ("test", 2)):
        images(tmp_path / "pets" / name, count)
    data = opened(with_data(tmp_path, "pets", net=RGB_NET)).task.load()
    assert [len(part) for part in (data.train, data.val, data.test)] == [12, 6, 4]


def test_decoded_files_are_cached_and_changed_ones_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images(tmp_path / "pets")
    path = with_data(tmp_path, "pets", net=RGB_NET)
    first = opened(path).task.load().train.x
    monkeypatch.setattr(compress.projects.folders, "read_images", lambda *_: pytest.fail("read"))
    with_data(tmp_path, "pets", net=RGB_NET + "# another text\n")
    np.testing.assert_array_equal(opened(path).task.load().train.x, first)
    Image.new("RGB", (8, 8)).save(tmp_path / "pets" / "cat" / "00.png")
    with pytest.raises(pytest.fail.Exception, match="read"):
        opened(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: (p / "empty").mkdir(), r"class folder .*empty has no images or WAV files"),
        (lambda p: (p / "cat/00.png").write_bytes(b"x"), r"cannot read .*00\.png"),
        (lambda p: (p / "dog/05.png").write_bytes(b"x"), r"1 of 20 files .* cannot be read: .*05"),
        (lambda p: (p / "dog/a.wav").touch(), r"has both images and WAV files"),
        (lambda p: Image.new("RGB", (9, 8)).save(p / "dog/a.png"), r"8x9 pixels, others have 8x8"),
        (lambda p: Image.new("RGB", (200, 9)).save(p / "cat/00.png"), r"set image_size, such as"),
    ],
)
def test_spoiled_folders_are_refused(tmp_path: Path, spoil: Any, message: str) -> None:
    images(tmp_path / "pets")
    spoil(tmp_path / "pets")
    with pytest.raises(UserError, match=message) as caught:
        opened(with_data(tmp_path, "pets", net=RGB_NET))
    assert "\n" not in str(caught.value)


def test_memory_is_bounded_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images(tmp_path / "pets")
    monkeypatch.setattr(compress.projects.folders, "MOST_BYTES", 20 * 4 * 8 * 8 * 3 - 1)
    monkeypatch.setattr(compress.projects.folders, "read_images", lambda *_: pytest.fail("read"))
    with pytest.raises(UserError, match=r"20 files of 192 values take .* choose a smaller image"):
        opened(with_data(tmp_path, "pets", net=RGB_NET))


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pets").mkdir()
    with pytest.raises(UserError, match=r"a sub-folder for each class, at least two.*no sub-fol"):
        opened(with_data(tmp_path, "pets"))


def tone(hz: float, rate_hz: int, seconds: float) -> Array:
    return np.sin(2 * np.pi * hz * np.arange(int(rate_hz * seconds)) / rate_hz)


def sounds(folder: Path, rate_hz: int = 16_000) -> None:
    for name, hz in (("high", 2000.0), ("low", 300.0)):
        (folder / name).mkdir(parents=True)
        for index in range(6):
            signal = (0.5 * 32767 * tone(hz + index, rate_hz, 1.0)).astype(np.int16)
            wavfile.write(folder / name / f"{index}.wav", rate_hz, signal)


SOUND_NET = NET.replace("Linear(4, 3)", "Linear(4, 2)")


def test_wav_files_become_mfcc_features(tmp_path: Path) -> None:
    sounds(tmp_path / "words")
    found = opened(with_data(tmp_path, "words", net=SOUND_NET))
    data = found.task.load()
    assert found.task.input_shape == (1, 49, 10)
    signal = (0.5 * 32767 * tone(2000.0, 16_000, 1.0)).astype(np.int16) / np.float32(32768)
    wanted = mfcc(signal[np.newaxis].astype(np.float32))[0]
    every = np.concatenate([part.x for part in (data.train, data.val, data.test)])
    assert min(np.abs(x[0] - wanted).max() for x in every) < 1e-4
    features = found.facts["features"]
    assert (features["name"], features["window_samples"], features["coefficients"]) == (
        "mfcc",
        480,
        10,
    )


@pytest.mark.parametrize("rate_hz", [8000, 44_100])
def test_other_rates_are_resampled(tmp_path: Path, rate_hz: int) -> None:
    sounds(tmp_path / "words", rate_hz)
    net = """
from torch import nn

def build():
    return nn.Sequential(nn.Conv1d(1, 2, 9, stride=64), nn.AdaptiveAvgPool1d(1), nn.Flatten())
"""
    data = opened(with_data(tmp_path, "words", 'features = "raw"\n', net)).task.load()
    low = data.train.x[data.train.y == 1][0, 0]
    assert low.shape == (16_000,)
    peak = int(np.abs(np.fft.rfft(low[1000:-1000] * np.hanning(14_000))).argmax())
    assert abs(peak * 16_000 / 14_000 - 302) < 5


def test_unreadable_and_odd_wav_files(tmp_path: Path) -> None:
    sounds(tmp_path / "words")
    (tmp_path / "words" / "low" / "0.wav").write_bytes(b"RIFF")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserError, match=r"1 of 12 files .* cannot be read: .*0\.wav"):
            opened(with_data(tmp_path, "words", net=SOUND_NET))
    with pytest.raises(UserError, match=r"image_size and color are of images"):
        opened(with_data(tmp_path, "words", 'color = "rgb"\n', SOUND_NET))
