"""Pickles of plain data: NumPy arrays of numbers in lists and dicts, and nothing else.

A pickle can name any function of any module and have it called. Here every name but those of
NumPy's arrays is refused before it is looked up, so that a file runs no code. Protocols up to 4 are
read, which is what `np.save` writes.
"""

import io
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np

from compress.datasets.folders import damaged, read_file
from compress.errors import UserError
from compress.types import Array

# What unpickling raises for bytes that are no pickle, one cut short, or one for other types.
_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
    struct.error,
)


class _ForeignType(Exception):
    """The pickle names something that is not plain data."""


class _Callable:
    """A function that a pickle may call, without attributes that it could set."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise pickle.UnpicklingError(f"sets the attribute {name}")


def _empty_array(*_: object) -> Array:
    """The array that the pickle fills afterwards."""
    return np.empty(0, np.uint8)


def _bytes_of(text: object, encoding: object) -> bytes:
    """Bytes in a pickle of protocol 2, where they are text in Latin-1."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("bytes in another encoding than latin1")
    return text.encode("latin1")


def _dtype(text: object, *_: object) -> np.dtype[Any]:
    """A type of numbers, or of references to other plain data."""
    name = text.decode("ascii") if isinstance(text, bytes) else str(text)
    if name[:1] not in {"b", "i", "u", "f", "O"} or not name[1:].isdigit():
        raise pickle.UnpicklingError(f"an array of type {name!r}")
    return np.dtype(name)


_ALLOWED: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): "ndarray",  # only an argument of _reconstruct, which ignores it
    ("numpy", "dtype"): _Callable(_dtype),
    ("numpy.core.multiarray", "_reconstruct"): _Callable(_empty_array),
    ("numpy._core.multiarray", "_reconstruct"): _Callable(_empty_array),
    ("_codecs", "encode"): _Callable(_bytes_of),
}


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler that knows the names in `_ALLOWED` only."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _ForeignType(f"{module}.{name}")
        return _ALLOWED[module, name]


def load_pickle(path: Path, text: Literal["bytes", "ASCII"] = "ASCII") -> object:
    """The plain data in a pickle file; `text` says what strings written by Python 2 become.

    Raises UserError for a file that cannot be read, is damaged or holds anything else.
    """
    return _load(path, io.BytesIO(read_file(path)), text)


def load_object_npy(path: Path) -> object:
    """The plain data in a .npy file of one pickled object, as `np.save` of a dict writes it.

    Raises UserError as `load_pickle` does.
    """
    stream = io.BytesIO(read_file(path))
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise damaged(path, "another version of the format than 1.0")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    except ValueError as error:
        raise damaged(path, error) from None
    if shape != () or dtype != np.dtype(object):
        raise damaged(path, f"it holds {dtype} {shape}, not one object")
    array = _load(path, stream, "ASCII")
    if not isinstance(array, np.ndarray) or array.shape != ():
        raise damaged(path, "its pickle is no array of one object")
    return array.item()


def _load(path: Path, stream: io.BytesIO, text: Literal["bytes", "ASCII"]) -> object:
    try:
        return _PlainUnpickler(stream, encoding=text).load()
    except _ForeignType as error:
        raise UserError(
            f"{path} is refused: its pickle names {error}, but only NumPy arrays, numbers, texts, "
            "lists and dicts are read from pickles; get the file from its publisher"
        ) from None
    except _BROKEN as error:
        raise damaged(path, error) from None
