"""Tasks on published data: their networks, and their splits from small files in the layouts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from compress.datasets import machine_sounds
from compress.datasets.folders import VARIABLE
from compress.errors import UserError
from compress.genome import Quantize
from compress.integer.cost import total_macs
from compress.quantization.lower import lower
from compress.tasks import (
    anomaly,
    cifar10,
    fashion,
    fashion_resnet,
    get_task,
    motion,
    speech_commands,
    toycar,
    vww,
)
from compress.types import Dataset, Task
from helpers.published_data import (
    RATE_HZ,
    write_cifar,
    write_fashion,
    write_speech_commands,
    write_toycar,
    write_visual_wake_words,
    write_wav,
)

IMAGES_AND_WORDS = {
    "fashion": fashion.TASK,
    "fashion_resnet": fashion_resnet.TASK,
    "cifar10": cifar10.TASK,
    "speech_commands": speech_commands.TASK,
    "vww": vww.TASK,
}
LOADERS = {
    "fashion": (fashion, lambda root: write_fashion(root)),
    "cifar10": (cifar10, lambda root: write_cifar(root)),
    "speech_commands": (speech_commands, lambda root: write_speech_commands(root)),
    "vww": (vww, lambda root: write_visual_wake_words(root)),
    "toycar": (toycar, lambda root: write_toycar(root)),
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """HIL_DATA, with an empty cache, and loaders that remember nothing."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for module, _ in LOADERS.values():
        module.load.cache_clear()
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def _forget() -> object:
    """Data of small files are not left to other tests of the process."""
    yield
    for module, _ in LOADERS.values():
        module.load.cache_clear()


# -- networks ------------------------------------------------------------------------------------


def macs(task: Task) -> int:
    """Multiply-accumulates of the integer network."""
    torch.manual_seed(0)
    x = torch.randn(8, *task.input_shape).numpy()
    return total_macs(lower(task.net().eval(), Quantize(), x, task.name))


def weights(task: Task) -> int:
    """Values of all weights of convolutions and Linear layers, without biases."""
    layers = [m for m in task.net().modules() if hasattr(m, "weight") and m.weight.dim() > 1]
    return sum(layer.weight.numel() for layer in layers)


def test_weights() -> None:
    assert (weights(fashion.TASK), weights(motion.TASK)) == (28_944, 9_792)


@pytest.mark.parametrize(
    ("task", "published"),
    [(cifar10.TASK, 12_501_632), (vww.TASK, 7_489_664), (toycar.TASK, 264_192)],
)
def test_multiply_accumulates_of_mlperf_tinys_models(task: Task, published: int) -> None:
    """Those of the published .tflite files: docs/mlperf-tiny.md, made from the files."""
    assert macs(task) == published


@pytest.mark.parametrize("name", IMAGES_AND_WORDS)
def test_shapes_of_networks(name: str) -> None:
    task = IMAGES_AND_WORDS[name]
    assert get_task(name) is task
    with torch.no_grad():
        assert task.net().eval()(torch.zeros(2, *task.input_shape)).shape == (2, len(task.classes))


# -- splits --------------------------------------------------------------------------------------


def rows(data: Dataset) -> dict[str, set[bytes]]:
    """The samples of each split, as bytes."""
    return {
        name: {row.tobytes() for row in getattr(data, name).x} for name in ("train", "val", "test")
    }


@pytest.mark.parametrize("name", LOADERS)
def test_splits_have_nothing_in_common_and_come_from_the_cache(name: str, root: Path) -> None:
    module, write = LOADERS[name]
    write(root)
    data = module.load()
    found = rows(data)
    assert not found["train"] & found["val"]
    assert not found["train"] & found["test"]
    assert not found["val"] & found["test"]
    for split in (data.train, data.val, data.test):
        assert split.x.dtype == np.float32
        assert split.x.shape[1:] == module.TASK.input_shape
        assert split.y.dtype == np.int64
        assert len(split.y) == len(split.x) > 0
    module.load.cache_clear()
    entries = list((root.parent / "cache" / "hil-compress" / "data").iterdir())
    assert len(entries) == 1
    made_ns = entries[0].stat().st_mtime_ns
    again = module.load()
    assert entries[0].stat().st_mtime_ns == made_ns
    for name in ("train", "val", "test"):
        np.testing.assert_array_equal(getattr(again, name).x, getattr(data, name).x)
        np.testing.assert_array_equal(getattr(again, name).y, getattr(data, name).y)


@pytest.mark.parametrize("name", LOADERS)
def test_missing_data_are_one_line(name: str, root: Path) -> None:
    module, _ = LOADERS[name]
    if name == "fashion" and fashion.fashion.PACKAGED.is_dir():
        pytest.skip("the package dataset-fashion-mnist is installed")
    with pytest.raises(UserError) as caught:
        module.load()
    assert "\n" not in str(caught.value)
    assert VARIABLE in str(caught.value)


def test_fashion_keeps_the_published_test_images_and_classes_in_proportion(root: Path) -> None:
    write_fashion(root, train=600, test=30)
    data = fashion.load()
    assert Counter(data.train.y.tolist()) == dict.fromkeys(range(10), 50)
    assert Counter(data.val.y.tolist()) == dict.fromkeys(range(10), 10)
    assert data.test.y.tolist() == [*range(10)] * 3
    x = data.test.x
    assert -1.0 <= x.min() < -0.98 < 0.98 < x.max() <= 1.0


def test_the_real_fashion_mnist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The sizes that its paper states, and the first labels of its test images."""
    if not fashion.fashion.PACKAGED.is_dir():
        pytest.skip("the package dataset-fashion-mnist is not installed")
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    data = fashion.load()
    assert (len(data.train), len(data.val), len(data.test)) == (50_000, 10_000, 10_000)
    for split in (data.train, data.val, data.test):
        assert set(Counter(split.y.tolist()).values()) == {len(split) // 10}
    assert data.test.y[:5].tolist() == [9, 2, 1, 1, 6]
    found = rows(data)
    assert sum(map(len, found.values())) == len(set.union(*found.values())) == 70_000


def test_both_versions_of_cifar_10_give_the_same_data(root: Path) -> None:
    write_cifar(root, binary=True)
    binary = cifar10.load()
    cifar10.load.cache_clear()
    write_cifar(root)
    python = cifar10.load()
    for name in ("train", "val", "test"):
        np.testing.assert_array_equal(getattr(binary, name).x, getattr(python, name).x)


def test_speech_is_normalized_by_the_training_split(root: Path) -> None:
    write_speech_commands(root)
    data = speech_commands.load()
    np.testing.assert_allclose(data.train.x.mean(axis=(0, 1, 2)), 0.0, atol=1e-4)
    np.testing.assert_allclose(data.train.x.std(axis=(0, 1, 2)), 1.0, atol=1e-3)
    assert (len(data.train), len(data.val), len(data.test)) == (48, 12, 12)


def test_pictures_are_limited(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_visual_wake_words(root, person=40, non_person=60)
    monkeypatch.setenv(vww.VARIABLE, "50")
    data = vww.load()
    assert [len(s) for s in (data.train, data.val, data.test)] == [40, 5, 5]
    assert Counter(data.train.y.tolist()) == {0: 24, 1: 16}
    for wrong in ("19", "-50", "many", "1e4", "²"):
        monkeypatch.setenv(vww.VARIABLE, wrong)
        with pytest.raises(UserError, match=vww.VARIABLE):
            vww.image_limit()


# -- motion --------------------------------------------------------------------------------------


def recordings(samples: int = 400) -> list[motion.Recording]:
    """One recording of each exercise by each of ten subjects, whose level tells the subject."""
    rng = np.random.default_rng(2)
    return [
        motion.Recording(
            (subject + rng.normal(size=(samples, 6))).astype(np.float32), exercise, subject
        )
        for subject in range(1, 11)
        for exercise in range(7)
    ]


def test_no_subject_is_in_two_splits_and_every_subject_is_tested_once() -> None:
    tested: list[int] = []
    for fold in range(motion.FOLDS):
        arrays = motion.make(recordings(), fold)
        subjects = {
            name: set(arrays[f"subject_{name}"].tolist()) for name in ("train", "val", "test")
        }
        assert [len(subjects[name]) for name in ("train", "val", "test")] == [6, 2, 2]
        assert len(set.union(*subjects.values())) == 10
        tested += subjects["test"]
    assert sorted(tested) == [*range(1, 11)]


def test_windows_are_scaled_by_the_training_subjects() -> None:
    arrays = motion.make(recordings(), 0)
    assert arrays["x_train"].shape == (6 * 7 * 5, 6, 128)
    level = {s: arrays["x_test"][arrays["subject_test"] == s].mean() for s in (1, 2)}
    assert level[1] < level[2] < -1.0  # training subjects are 5 to 10
    assert arrays["x_test"].min() == -5.0
    assert abs(arrays["x_train"].mean()) < 0.01
    first = motion.make(recordings(), 0)["x_train"][0]
    np.testing.assert_array_equal(first, arrays["x_train"][0])


def test_windows_are_of_one_recording() -> None:
    one = motion.Recording(np.arange(6 * 300, dtype=np.float32).reshape(300, 6), 0, 1)
    parts = motion._windows(one.x, 128)
    assert [part[0, 0] / 6 for part in parts] == [0, 64, 128]
    np.testing.assert_array_equal(parts[1], one.x[64:192])


# -- toycar --------------------------------------------------------------------------------------


def test_halves_keep_machines_and_kinds(root: Path) -> None:
    write_toycar(root, 2, 5, seconds=0.1)
    _, rest = machine_sounds.find_sounds()
    val, test = toycar.in_halves(rest)
    assert not {s.path for s in val} & {s.path for s in test}
    assert set(Counter((s.machine, s.anomalous) for s in val).values()) == {2}
    assert set(Counter((s.machine, s.anomalous) for s in test).values()) == {3}
    assert toycar.in_halves(rest) == (val, test)


def test_windows_of_a_file_are_five_frames_each(root: Path) -> None:
    folder = write_toycar(root, 1, 2)
    path = folder / "train" / "normal_id_01_00000000.wav"
    got = toycar.windows(path)
    audio = toycar.read_wav(path, RATE_HZ)
    whole = toycar.log_mel.log_mel(audio)
    assert got.shape == (20, 640)
    for number in (0, 7, 19):
        # librosa's frame 50 is of the samples from 49 * 512 on
        start = 49 + 10 * number
        np.testing.assert_array_equal(got[number], whole[start : start + 5].ravel())
    assert toycar._WINDOW_STEP * 19 + 5 <= 200
    write_wav(path, np.zeros(7 * RATE_HZ, np.int16))
    with pytest.raises(UserError, match=f"{path}: 7.0 s are too short"):
        toycar.windows(path)


def test_auc_of_machines(root: Path) -> None:
    write_toycar(root, 1, 6, seconds=0.1)
    _, sounds = machine_sounds.find_sounds()
    rng = np.random.default_rng(3)
    errors = rng.normal(size=(len(sounds), 20)) + [[0.2 * s.anomalous] for s in sounds]
    got = toycar.auc_of_machines(errors.ravel(), sounds)
    assert [*got] == ["01", "02"]
    for machine, value in got.items():
        own = [i for i, s in enumerate(sounds) if s.machine == machine]
        labels = [sounds[i].anomalous for i in own]
        assert value == pytest.approx(roc_auc_score(labels, errors[own].mean(axis=1)))


# -- anomaly -------------------------------------------------------------------------------------


def test_training_has_normal_windows_only() -> None:
    windows = motion.make(recordings(), 4, anomaly.WINDOW)
    arrays = anomaly.make(tuple(recordings()), 4)
    assert not arrays["y_train"].any()
    raised = np.isin(windows["y_val"], [1, 2])  # ABD, FEL
    np.testing.assert_array_equal(arrays["y_val"], raised)
    assert len(arrays["x_train"]) == 5 / 7 * len(windows["x_train"])
    np.testing.assert_array_equal(arrays["x_val"][3], windows["x_val"][3].ravel())


@pytest.mark.parametrize("task", [anomaly.TASK, toycar.TASK])
def test_autoencoders_answer_with_the_shape_of_their_input(task: Task) -> None:
    with torch.no_grad():
        assert task.net().eval()(torch.zeros(2, *task.input_shape)).shape[1:] == task.input_shape
    assert task.type == "autoencoder"
    assert task.classes == ("normal", "anomalous")
