"""Fashion-MNIST, CIFAR-10 and Visual Wake Words, from small files in their layouts."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.datasets import cifar, fashion, visual_wake_words
from compress.datasets.folders import VARIABLE
from compress.datasets.idx import read_idx
from compress.errors import UserError
from helpers.published_data import (
    cifar_batches,
    idx_bytes,
    python2_pickle,
    write_cifar,
    write_fashion,
    write_visual_wake_words,
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("compressed", [True, False])
def test_fashion_in_the_folder_of_the_user(root: Path, compressed: bool) -> None:
    write_fashion(root, compressed=compressed)
    files = fashion.find_files()
    assert {path.parent for path in files.all} == {root / "fashion-mnist"}
    x, y = fashion.read_images(files.train_images, files.train_labels)
    assert (x.shape, x.dtype, y.tolist()) == ((60, 28, 28), np.uint8, [*range(10)] * 6)
    expected = np.random.default_rng(3).integers(0, 256, (60, 28, 28))
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no IDX file"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "no IDX file"),
        (idx_bytes(np.zeros(9))[:-1], "fewer bytes"),
        (idx_bytes(np.zeros(9)) + b"1", "more bytes"),
        (b"\0\0\x08\x02\xff\xff\xff\xff\xff\xff\xff\xff", "its header says"),
        (b"\0\0\x08\x03\0\0", "fewer bytes"),
    ],
)
def test_damaged_idx_files(tmp_path: Path, content: bytes, why: str) -> None:
    plain, compressed = tmp_path / "a", tmp_path / "b.gz"
    plain.write_bytes(content)
    compressed.write_bytes(gzip.compress(content))
    for path in (plain, compressed):
        with pytest.raises(UserError, match=f"damaged data file {path}: .*{why}"):
            read_idx(path)


def test_a_gzip_file_that_is_cut_or_changed(tmp_path: Path) -> None:
    whole = gzip.compress(idx_bytes(np.random.default_rng(1).integers(0, 256, 900)))
    changed = bytearray(whole)
    changed[300] ^= 0xFF
    path = tmp_path / "a.gz"
    for content in (whole[:400], bytes(changed), b"text"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"damaged data file {path}"):
            read_idx(path)


def test_fashion_with_the_wrong_sizes(tmp_path: Path) -> None:
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.write_bytes(idx_bytes(np.zeros((3, 28, 28))))
    for wrong, path in ((np.zeros(2), labels), (np.full(3, 10), labels)):
        labels.write_bytes(idx_bytes(wrong))
        with pytest.raises(UserError, match=str(path)):
            fashion.read_images(images, labels)
    images.write_bytes(idx_bytes(np.zeros((3, 32, 32))))
    with pytest.raises(UserError, match=str(images)):
        fashion.read_images(images, labels)


@pytest.mark.parametrize("binary", [False, True])
def test_cifar_10_in_both_versions(root: Path, binary: bool) -> None:
    batches = write_cifar(root, binary)
    files = cifar.find_files()
    assert [path.stem for path in files] == [*batches]
    for path, (data, labels) in zip(files, batches.values(), strict=True):
        x, y = cifar.read_batch(path)
        # A row of the Python version is 1,024 red values, then green, then blue.
        np.testing.assert_array_equal(x[:, 1, 0, 5], data[:, 1024 + 5])
        np.testing.assert_array_equal(x.reshape(len(x), -1), data)
        np.testing.assert_array_equal(y, labels)
        assert (x.dtype, y.dtype) == (np.uint8, np.uint8)


def test_damaged_batches_of_cifar_10(root: Path) -> None:
    write_cifar(root, binary=True)
    path = cifar.find_files()[2]
    content = path.read_bytes()
    for wrong in (b"", content[:-1], b"\x0a" + content[1:]):
        path.write_bytes(wrong)
        with pytest.raises(UserError, match=f"damaged data file {path}"):
            cifar.read_batch(path)
    batch = root / "data_batch_1"
    data, _ = cifar_batches()["data_batch_1"]
    for wrong in (
        python2_pickle(data, [1] * 19),
        python2_pickle(data, [10] * 20),
        python2_pickle(data[:, :100], [1] * 20),
        python2_pickle(data, [1] * 20)[:-40],
        b"N.",
    ):
        batch.write_bytes(wrong)
        with pytest.raises(UserError, match=f"damaged data file {batch}"):
            cifar.read_batch(batch)


def test_a_missing_batch_is_named(root: Path) -> None:
    write_cifar(root)
    (root / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(UserError, match="lacks data_batch_3: expected is"):
        cifar.find_files()


def test_pictures_of_visual_wake_words(root: Path) -> None:
    folder = write_visual_wake_words(root, 3, 2)
    files = visual_wake_words.find_files()
    assert {name: len(paths) for name, paths in files.items()} == {"non_person": 2, "person": 3}
    for path in files["person"]:
        picture = visual_wake_words.read_picture(path)
        expected = np.asarray(Image.open(path).convert("RGB"))
        np.testing.assert_array_equal(picture.transpose(1, 2, 0), expected)
    gray = visual_wake_words.read_picture(files["person"][0])
    np.testing.assert_array_equal(gray[0], gray[2])
    wrong = folder / "person" / "wrong.jpg"
    Image.new("RGB", (95, 96)).save(wrong)
    with pytest.raises(UserError, match=f"{wrong}: 95x96 pixels"):
        visual_wake_words.read_picture(wrong)


def test_damaged_pictures(root: Path) -> None:
    path = write_visual_wake_words(root, 1, 1) / "person" / "COCO_train2014_000000000000.jpg"
    whole = path.read_bytes()
    for content in (b"", b"not a picture", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"damaged data file {path}") as caught:
            visual_wake_words.read_picture(path)
        assert "\n" not in str(caught.value)
    Image.new("RGB", (96, 96)).save(path, format="PNG")
    with pytest.raises(UserError, match=f"damaged data file {path}"):
        visual_wake_words.read_picture(path)
