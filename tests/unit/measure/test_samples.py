"""The inputs of `hil bench`: random ones and those of a file."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compress.errors import UserError
from compress.integer.rows import unpack_rows
from compress.types import Array, Graph
from helpers.graph_builder import GraphBuilder
from hil.benchmark.samples import file_samples, random_samples


def two_inputs() -> Graph:
    """An int8 input and an int16 input with scale 1/256; the output has three values."""
    b = GraphBuilder()
    left = b.input((2, 3), scale=0.5, zero_point=-3)
    right = b.input((4,))
    b.tensors[right] = replace(b.tensors[right], dtype="int16", scales=(1 / 256,), zero_point=0)
    wide = b.narrow(right)
    out = b.fully_connected(wide, 3)
    return replace(b.finish(out), inputs=(left, right))


def test_random_inputs_fill_the_range_of_each_type() -> None:
    graph = two_inputs()
    samples = random_samples(graph, 64)
    left, right = unpack_rows(graph.input_tensors, samples.inputs)
    assert left.min() < -120
    assert right.min() < -30_000 < 30_000 < right.max()
    assert samples.outputs.shape == (64, 3)


def test_a_file_gives_integers_or_real_numbers(tmp_path: Path) -> None:
    graph, path = two_inputs(), tmp_path / "data.npz"
    real = np.array([[[1.0, -2.0, 0.26], [1e9, 0, 0]]], np.float32)
    wide = np.array([[1, -30_000, 7, 0]], np.int16)
    np.savez(path, x0=real, x1=wide)
    samples, labeled = file_samples(graph, path, 10)
    assert not labeled
    left, right = unpack_rows(graph.input_tensors, samples.inputs)
    np.testing.assert_array_equal(left[0], [[-1, -7, -2], [127, -3, -3]])
    np.testing.assert_array_equal(right, wide)
    np.savez(path, x0=real, x1=wide / 256.0, y=[2])
    again, labeled = file_samples(graph, path, 10)
    assert labeled
    assert again.labels.tolist() == [2]
    np.testing.assert_array_equal(again.inputs, samples.inputs)


def test_a_network_in_uint8_quantization_takes_uint8(tmp_path: Path) -> None:
    b = GraphBuilder()
    graph = b.finish(b.fully_connected(b.input((3,)), 2))
    np.savez(tmp_path / "data.npz", x=np.array([[0, 128, 255]], np.uint8))
    samples, _ = file_samples(replace(graph, uint8=True), tmp_path / "data.npz", 1)
    np.testing.assert_array_equal(samples.inputs, [[-128, 0, 127]])
    with pytest.raises(UserError, match="x is uint8"):
        file_samples(graph, tmp_path / "data.npz", 1)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": [1]}, "arrays x0, x1 and, for labels, y"),
        ({"x0": np.zeros((2, 2, 3), np.int8), "x1": np.zeros((2, 4), np.int8)}, "x1 is int8"),
        ({"x0": np.zeros((2, 3, 2), np.int8), "x1": np.zeros((2, 4), np.int16)}, r"\(N, 2, 3\)"),
        ({"x0": np.zeros((2, 2, 3), np.int8), "x1": np.zeros((1, 4), np.int16)}, "equally many"),
        ({"x0": np.zeros((0, 2, 3), np.int8), "x1": np.zeros((0, 4), np.int16)}, "at least one"),
        ({"x0": np.full((1, 2, 3), np.nan), "x1": np.zeros((1, 4), np.int16)}, "not finite"),
        (
            {"x0": np.zeros((1, 2, 3)), "x1": np.zeros((1, 4), np.int16), "y": [0.5]},
            "y is float64",
        ),
        (
            {"x0": np.zeros((1, 2, 3)), "x1": np.zeros((1, 4), np.int16), "y": [[1]]},
            "equally many",
        ),
    ],
)
def test_another_file_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(UserError, match=words):
        file_samples(two_inputs(), tmp_path / "data.npz", 1)


def test_what_is_no_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(UserError, match=r"not an \.npz"):
        file_samples(two_inputs(), path, 1)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.array([0.0, np.nan], np.float32), "y is float32, must be integers"),
        (np.array([1, -1]), "y has -1, must be classes from 0 on"),
        (np.array([1, 65536]), "y has 65536, at most 65535"),
        (np.array([1, 2**64 - 1], np.uint64), "y has 18446744073709551615, at most 65535"),
        (np.array([True, False]), "y is bool, must be integers"),
        (np.array(["a", "b"]), "y is <U1, must be integers"),
        (np.array([(1, 2), (3, 4)], "i4,i4"), "must be integers"),
        (np.array([[1], [2]]), "needed are equally many samples"),
        (np.array([1, 2, 3]), "needed are equally many samples"),
        (np.array(1), "needed are equally many samples"),
    ],
)
def test_labels_that_are_no_classes_are_refused(tmp_path: Path, labels: Array, words: str) -> None:
    b = GraphBuilder()
    graph = b.finish(b.fully_connected(b.input((4,)), 3))
    path = tmp_path / "data.npz"
    np.savez(path, x=np.zeros((2, 4), np.int8), y=labels)
    with pytest.raises(UserError, match=words):
        file_samples(graph, path, 10)


def test_a_small_file_of_many_zeros_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = GraphBuilder()
    graph = b.finish(b.fully_connected(b.input((4,)), 3))
    path = tmp_path / "data.npz"
    monkeypatch.setattr("compress.npz_file._MOST_NPZ_BYTES", 1 << 20)
    np.savez_compressed(path, x=np.zeros((1 << 19, 4), np.int8))
    with pytest.raises(UserError, match=r"its arrays take 2 MiB, at most 1 are read"):
        file_samples(graph, path, 10)


def test_a_header_that_asks_for_any_memory_is_refused(tmp_path: Path) -> None:
    b = GraphBuilder()
    graph = b.finish(b.fully_connected(b.input((4,)), 3))
    path = tmp_path / "data.npz"
    header = "{'descr': '|i1', 'fortran_order': False, 'shape': (1" + "0" * 14 + ", 4)}"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content)
    with pytest.raises(UserError, match=r"not an \.npz of plain arrays"):
        file_samples(graph, path, 10)
