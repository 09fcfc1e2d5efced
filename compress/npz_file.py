"""The reading of .npz files, which may be damaged."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from compress.types import Array

_MOST_NPZ_BYTES = 2 << 30  # unpacked


def read_npz(path: Path, names: Collection[str] = ()) -> dict[str, Array]:
    """The arrays of an .npz file: all, or those of `names` that it has.

    Raises OSError, and ValueError for another or a damaged file, and for arrays of more than 2 GiB.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            wanted = [name for name in file.files if not names or name in names]
            _check_size(file.zip, wanted)
            arrays = {name: file[name] for name in wanted}
    except MemoryError as error:
        raise ValueError(f"an array's header asks for more memory than there is: {error}") from None
    except (EOFError, AttributeError, TypeError, KeyError) as error:  # np.load answers by content
        raise ValueError(f"no archive of arrays: {error}") from error
    except (ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        # A RuntimeError is that of an encrypted file, or of packing that zipfile does not know.
        raise ValueError(str(error).partition("\n")[0]) from error
    except (tokenize.TokenError, SyntaxError) as error:
        raise ValueError(f"an array's header is damaged: {error.args[0]}") from error
    if others := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise ValueError(f"{others[0]} is no array")  # np.load gives the bytes of other files
    return arrays


def _check_size(archive: zipfile.ZipFile, names: Collection[str]) -> None:
    """Raise ValueError if the arrays are too large: a small file may hold any amount of zeros.

    Of a member, no more is unpacked than the archive's directory says.
    """
    size_bytes = sum(
        member.file_size
        for member in archive.infolist()
        if member.filename.removesuffix(".npy") in names
    )
    if size_bytes > _MOST_NPZ_BYTES:
        raise ValueError(
            f"its arrays take {size_bytes >> 20} MiB, at most {_MOST_NPZ_BYTES >> 20} are read"
        )
