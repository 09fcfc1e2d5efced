"""What a run leaves in its folder besides the store: networks, the original's too; what failed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from compress.errors import HilError, UserError
from compress.types import Samples
from hil.files import file_errors, write_file

_ELSEWHERE = "choose another run folder"


def original_path(folder: Path) -> Path:
    """Where the weights lie of the network that all trials of the run started from."""
    return folder / "original.pt"


def check_original(source: Path, folder: Path, instead: str = _ELSEWHERE) -> None:
    """Raises UserError if `folder` has another original network than the file `source`.

    `instead` is what the user is told to do.
    """
    target = original_path(folder)
    with file_errors(source):
        if target.is_file() and target.read_bytes() != source.read_bytes():
            raise UserError(
                f"{target} is another network than {source}: trials of two original networks do "
                f"not compare; {instead}"
            )


def copy_original(source: Path, folder: Path, instead: str = _ELSEWHERE) -> None:
    """Copy the original network `source` where `folder` has none; else as `check_original`."""
    check_original(source, folder, instead)
    with file_errors(source):
        weights = source.read_bytes()
    if not original_path(folder).is_file():
        write_file(original_path(folder), weights)


def network_path(folder: Path, number: int) -> Path:
    """Where trial `number`'s network lies."""
    return folder / "trials" / f"{number:04d}.tflite"


def save_network(folder: Path, number: int, tflite: bytes) -> None:
    """Write trial `number`'s network; a reader never sees half of it. Raises UserError."""
    write_file(network_path(folder, number), tflite)


def failure_folder(folder: Path, number: int) -> Path:
    """Where trial `number`'s failure is saved."""
    return folder / "failures" / f"{number:04d}"


def save_failure(
    folder: Path, number: int, build_folder: Path, samples: Samples, error: HilError
) -> None:
    """Everything needed to reproduce a failure: sources, ELF, samples, message, transcript."""
    failure = failure_folder(folder, number)
    shutil.copytree(build_folder, failure, dirs_exist_ok=True)
    np.savez(
        failure / "samples.npz",
        inputs=samples.inputs,
        labels=samples.labels,
        outputs=samples.outputs,
    )
    transcript = getattr(error, "transcript", "")
    (failure / "error.txt").write_text(f"{type(error).__name__}: {error}\n{transcript}\n")
