"""Fashion-MNIST (arXiv:1708.07747): 70,000 photographs of clothes, 28x28 pixels, ten classes.

License: Expat (MIT), Zalando SE. Debian and Ubuntu have it as the package dataset-fashion-mnist.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compress.datasets.folders import VARIABLE, damaged
from compress.datasets.idx import read_idx
from compress.errors import UserError

CLASSES = (
    *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
FOLDER = "fashion-mnist"
PACKAGED = Path("/usr/share/datasets/fashion-mnist")
_PIXELS = 28

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Files:
    """The four files of the data set."""

    train_images: Path
    train_labels: Path
    test_images: Path
    test_labels: Path

    @property
    def all(self) -> tuple[Path, ...]:
        return (self.train_images, self.train_labels, self.test_images, self.test_labels)


def find_files() -> Files:
    """The files in HIL_DATA/fashion-mnist, else those of the Debian package; plain or .gz.

    Raises UserError saying what to install.
    """
    named = os.environ.get(VARIABLE)
    folders = [Path(named) / FOLDER] if named else []
    for folder in (*folders, PACKAGED):
        paths = [
            _plain_or_compressed(folder / f"{part}-{what}")
            for part in ("train", "t10k")
            for what in ("images-idx3-ubyte", "labels-idx1-ubyte")
        ]
        found = [path for path in paths if path is not None]
        if len(found) == len(paths):
            return Files(*found)
    raise UserError(
        "Fashion-MNIST is not there: apt-get install dataset-fashion-mnist (Debian, Ubuntu), or "
        f"set {VARIABLE} to a folder that has {FOLDER} with train- and t10k-images-idx3-ubyte and "
        "-labels-idx1-ubyte, plain or .gz (github.com/zalandoresearch/fashion-mnist)"
    )


def read_images(images: Path, labels: Path) -> tuple[Bytes, Bytes]:
    """Images uint8 (N, 28, 28) and labels uint8 (N,), 0..9. Raises UserError for a damaged file."""
    x, y = read_idx(images), read_idx(labels)
    if x.ndim != 3 or x.shape[1:] != (_PIXELS, _PIXELS):
        raise damaged(images, f"images of shape {x.shape}, not (N, {_PIXELS}, {_PIXELS})")
    if y.shape != x.shape[:1]:
        raise damaged(labels, f"labels of shape {y.shape} for {len(x)} images")
    if len(y) and int(y.max()) >= len(CLASSES):
        raise damaged(labels, f"a label of {y.max()}")
    return x, y


def _plain_or_compressed(path: Path) -> Path | None:
    compressed = path.with_name(f"{path.name}.gz")
    return next((one for one in (path, compressed) if one.is_file()), None)
