"""CIFAR-10: 60,000 colour images, 32x32 pixels, ten classes; its Python and its binary version."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from compress.datasets.folders import Layout, check_files, damaged, find_folder, read_file
from compress.datasets.pickles import load_pickle

CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
SHAPE = (3, 32, 32)
_VALUES = 3 * 32 * 32
_PYTHON, _BINARY = "cifar-10-batches-py", "cifar-10-batches-bin"
_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = "test_batch"

LAYOUT = Layout(
    title="CIFAR-10",
    folders=(_PYTHON, _BINARY),
    holds="data_batch_1 to data_batch_5 and test_batch (each .bin in the binary version)",
    source="cifar-10-python.tar.gz or -binary.tar.gz of www.cs.toronto.edu/~kriz/cifar.html",
)

Bytes = npt.NDArray[np.uint8]


def find_files() -> tuple[Path, ...]:
    """The five training batches and then the test batch. Raises UserError if any is missing."""
    folder = find_folder(LAYOUT)
    suffix = ".bin" if folder.name == _BINARY else ""
    names = [f"{name}{suffix}" for name in (*_TRAIN, _TEST)]
    check_files(LAYOUT, folder, names)
    return tuple(folder / name for name in names)


def read_batch(path: Path) -> tuple[Bytes, Bytes]:
    """Images uint8 (N, 3, 32, 32), RGB, and labels uint8 (N,), 0..9, of a batch of either version.

    Raises UserError for a damaged file and for a pickle with anything but plain data.
    """
    images, labels = _read_binary(path) if path.suffix == ".bin" else _read_python(path)
    if len(labels) and int(labels.max()) >= len(CLASSES):
        raise damaged(path, f"a label of {labels.max()}")
    return images.reshape(-1, *SHAPE), labels


def _read_binary(path: Path) -> tuple[Bytes, Bytes]:
    """Records of a label and 3,072 pixels."""
    content = np.frombuffer(read_file(path), np.uint8)
    if len(content) == 0 or len(content) % (1 + _VALUES):
        raise damaged(path, f"{len(content)} bytes, no multiple of {1 + _VALUES}")
    records = content.reshape(-1, 1 + _VALUES)
    return records[:, 1:], records[:, 0].copy()


def _read_python(path: Path) -> tuple[Bytes, Bytes]:
    """A pickled dict with `data` (N, 3072) and `labels`, written by Python 2."""
    batch = load_pickle(path, text="bytes")
    if not isinstance(batch, dict) or not {b"data", b"labels"} <= {*batch}:
        raise damaged(path, "no dict with data and labels")
    data, labels = batch[b"data"], batch[b"labels"]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2:
        raise damaged(path, "data are no table of bytes")
    if not isinstance(labels, list) or data.shape != (len(labels), _VALUES):
        raise damaged(path, f"data of shape {data.shape}, not (number of labels, {_VALUES})")
    if not all(isinstance(label, int) and 0 <= label < len(CLASSES) for label in labels):
        raise damaged(path, f"a label that is not 0 to {len(CLASSES) - 1}")
    return data, np.array(labels, np.uint8)
