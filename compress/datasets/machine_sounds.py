"""Machine sounds of DCASE 2020 task 2: ToyCar of ToyADMOS (arXiv:1908.03299), 16 kHz.

Folder `train` has normal sounds, `test` normal and anomalous ones; a name as
normal_id_01_00000000.wav says which, and of which machine. License: see docs/tasks.md.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from compress.datasets.folders import Layout, check_files, damaged, files_in, find_folder

SAMPLE_RATE_HZ = 16_000
_NAME = re.compile(r"(normal|anomaly)_id_(\d\d)_\d+\.wav")

LAYOUT = Layout(
    title="ToyCar of DCASE 2020 task 2",
    folders=("ToyCar",),
    holds=(
        "train/normal_id_NN_NNNNNNNN.wav, test/normal_id_NN_NNNNNNNN.wav and "
        "test/anomaly_id_NN_NNNNNNNN.wav"
    ),
    source="dev_data_ToyCar.zip of zenodo.org/record/3678171",
)


@dataclass(frozen=True, slots=True)
class Sound:
    """A file, whether it is anomalous, and its machine, as "01"."""

    path: Path
    anomalous: bool
    machine: str


def find_sounds() -> tuple[list[Sound], list[Sound]]:
    """The sounds for training and for tests, by name. Raises UserError with the layout."""
    folder = find_folder(LAYOUT)
    for pattern in ("train/normal_id_*.wav", "test/normal_id_*.wav", "test/anomaly_id_*.wav"):
        check_files(LAYOUT, folder, [] if any(folder.glob(pattern)) else [pattern])
    train, test = (
        [_sound(path) for path in files_in(folder / part, "*.wav")] for part in ("train", "test")
    )
    for sound in train:
        if sound.anomalous:
            raise damaged(sound.path, "an anomalous sound among those for training")
    return train, test


def _sound(path: Path) -> Sound:
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise damaged(path, "its name is not normal_id_NN_NNNNNNNN.wav or anomaly_id_...")
    return Sound(path, name[1] == "anomaly", name[2])
