"""Smartwatch recordings of seven shoulder exercises by ten subjects (arXiv:1802.01489).

The data come with the Python package seglearn (BSD-3-Clause), as one pickled dict. Its file is
read where the package is installed; the package itself is not imported.
"""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compress.datasets.folders import damaged
from compress.datasets.pickles import load_object_npy
from compress.errors import UserError

CHANNELS = ("ax", "ay", "az", "wx", "wy", "wz")  # acceleration in g, rotation in rad/s
EXERCISES = ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")
SAMPLE_RATE_HZ = 50
_PACKAGE, _FILE = "seglearn", "seglearn/data/watch_dataset.npy"


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One set of repetitions: x float32 (samples, 6), the index of the exercise, the subject."""

    x: npt.NDArray[np.float32]
    exercise: int
    subject: int


def find_file() -> Path:
    """The data file of the installed package. Raises UserError saying what to install."""
    try:
        path = Path(str(distribution(_PACKAGE).locate_file(_FILE)))
    except PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise UserError(
            f"the smartwatch recordings are not there: pip install {_PACKAGE} (it carries them)"
        )
    return path


def read_recordings(path: Path) -> tuple[Recording, ...]:
    """All recordings of the file, in its order. Raises UserError for a damaged or foreign file."""
    data = load_object_npy(path)
    if not isinstance(data, dict) or not {"X", "y", "subject", "X_labels", "y_labels"} <= {*data}:
        raise damaged(path, "no dict with X, y, subject, X_labels and y_labels")
    if tuple(data["X_labels"]) != CHANNELS or tuple(data["y_labels"]) != EXERCISES:
        raise damaged(path, f"other channels or exercises than {CHANNELS} and {EXERCISES}")
    series, labels, subjects = data["X"], data["y"], data["subject"]
    if not len(series) == len(labels) == len(subjects):
        raise damaged(path, "X, y and subject differ in length")
    recordings = []
    for number, (x, label, subject) in enumerate(zip(series, labels, subjects, strict=True)):
        x = np.asarray(x, np.float32)
        if x.ndim != 2 or x.shape[1] != len(CHANNELS) or not np.isfinite(x).all():
            raise damaged(path, f"recording {number}: no finite values (samples, {len(CHANNELS)})")
        if not 0 <= label < len(EXERCISES):
            raise damaged(path, f"recording {number}: exercise {label}")
        recordings.append(Recording(x, int(label), int(subject)))
    return tuple(recordings)
