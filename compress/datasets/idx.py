"""Files in the IDX format of MNIST and its relatives, compressed by gzip or plain."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compress.datasets.folders import damaged

_UNSIGNED_BYTES = 0x08
_MOST_BYTES = 1 << 30


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """The array of unsigned bytes in the file: a header of its sizes (big-endian), then the values.

    Raises UserError for a file that cannot be read, has another type, or more or less than 1 GiB of
    values or than its header says.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:3] != bytes((0, 0, _UNSIGNED_BYTES)):
                raise damaged(path, "no IDX file of unsigned bytes")
            shape = tuple(np.frombuffer(_exactly(file.read(4 * magic[3]), 4 * magic[3]), ">u4"))
            count = math.prod(int(size) for size in shape)
            if count > _MOST_BYTES:
                raise damaged(path, f"its header says {count} values")
            values = _exactly(file.read(count + 1), count)
    except (OSError, EOFError, zlib.error) as error:  # of gzip: BadGzipFile is an OSError
        raise damaged(path, error) from None
    return np.frombuffer(values, np.uint8).reshape(shape)


def _exactly(content: bytes, count: int) -> bytes:
    if len(content) != count:
        raise EOFError(f"{'more' if len(content) > count else 'fewer'} bytes than its header says")
    return content
