"""Pickles of plain data are read; every other name in a pickle is refused before it is used."""

from __future__ import annotations

import datetime
import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from compress.datasets.pickles import load_object_npy, load_pickle
from compress.errors import UserError
from helpers.published_data import python2_pickle, watch_data, write_object_npy


class Runs:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_lists_and_dicts(tmp_path: Path, protocol: int) -> None:
    value = {
        "x": [np.arange(6.0).reshape(2, 3), np.arange(5, dtype=np.int16)],
        "y": np.array([1, 2], np.uint8),
        "raw": b"\xff\x00",
        "name": "Ä",
        "flags": (True, None, 2.5, -3),
    }
    write_object_npy(tmp_path / "a.npy", value, protocol)
    got = load_object_npy(tmp_path / "a.npy")
    assert isinstance(got, dict)
    np.testing.assert_array_equal(got["x"][0], value["x"][0])
    assert got["x"][1].dtype == np.int16
    assert got["y"].tolist() == [1, 2]
    assert (got["raw"], got["name"], got["flags"]) == (b"\xff\x00", "Ä", value["flags"])


def test_a_pickle_of_python_2(tmp_path: Path) -> None:
    data = np.random.default_rng(1).integers(0, 256, (4, 30), np.uint8)
    content = python2_pickle(data, [3, 1, 4, 1])
    standard = pickle.loads(content, encoding="bytes")
    (tmp_path / "batch").write_bytes(content)
    got = load_pickle(tmp_path / "batch", text="bytes")
    assert isinstance(got, dict)
    for batch in (standard, got):
        np.testing.assert_array_equal(batch[b"data"], data)
        assert batch[b"labels"] == [3, 1, 4, 1]


def test_a_foreign_type_is_refused_and_its_code_is_not_run(tmp_path: Path) -> None:
    made, path = tmp_path / "made", tmp_path / "a.npy"
    write_object_npy(path, {"X": Runs(made)})
    with pytest.raises(UserError, match=rf"{path} is refused: its pickle names .*mkdir"):
        load_object_npy(path)
    assert not made.exists()
    pickle.loads(pickle.dumps(Runs(made)))
    assert made.exists()  # the pickle would have done it


@pytest.mark.parametrize(
    "value", [OrderedDict(a=1), datetime.date(2026, 1, 2), np.float64, len, {1, 2} | {3}]
)
def test_other_types(tmp_path: Path, value: object) -> None:
    path = tmp_path / "a"
    path.write_bytes(pickle.dumps(value, protocol=2))
    with pytest.raises(UserError, match="refused: its pickle names"):
        load_pickle(path)


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02cbuiltins\neval\n(U\x011tR.",
        b"\x80\x02cnumpy\ndtype\n(U\x06objecttR.",  # a type by a name that is not of the list
        b"\x80\x02cnumpy\nndarray\n(J\x01\x00\x00\x00tR.",  # the marker cannot be called
        b"\x80\x02c_codecs\nencode\n(U\x01xU\x05idnattR.",  # another codec
        b"\x80\x02c_codecs\nencode\n}U\x09_functionNsb.",  # sets an attribute of the function
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)\x81.",
        b"\x80\x04\x8c\x05numpy\x8c\x12ndarray.__class__.x\x93.",  # dotted names
    ],
)
def test_programs_of_opcodes(tmp_path: Path, program: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(program)
    with pytest.raises(UserError, match=rf"{path}"):
        load_pickle(path)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.9, 0.999])
def test_a_file_that_is_cut_short(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.npy"
    write_object_npy(path, watch_data(2, 20))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=rf"damaged data file {path}"):
        load_object_npy(path)


def refusal(path: Path) -> str:
    """The message for a file that is refused; empty for one that is read."""
    try:
        load_pickle(path, text="bytes")
    except UserError as error:
        return str(error)
    return ""


def test_random_bytes_end_in_one_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    path = tmp_path / "a"
    whole = python2_pickle(np.zeros((2, 5), np.uint8), [1, 2])
    for _ in range(300):
        content = bytearray(whole)
        for place in rng.integers(0, len(content), 3):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content)
        assert "\n" not in refusal(path)


def test_other_npy_files(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(3))
    with pytest.raises(UserError, match="not one object"):
        load_object_npy(path)
    stream = io.BytesIO()
    np.savez(stream, a=np.arange(3))
    path.write_bytes(stream.getvalue())
    with pytest.raises(UserError, match="damaged"):
        load_object_npy(path)
    with pytest.raises(UserError, match="cannot read"):
        load_object_npy(tmp_path / "b.npy")
