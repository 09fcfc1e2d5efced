"""What a run leaves in its folder besides the store: each trial's network, and what failed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from compress.errors import HilError, UserError
from compress.types import Samples


def kept(folder: Path, number: int) -> Path:
    """Where trial `number`'s network lies."""
    return folder / "trials" / f"{number:04d}.tflite"


def keep(folder: Path, number: int, tflite: bytes) -> None:
    """Write trial `number`'s network; a reader never sees half of it. Raises UserError."""
    write_whole(kept(folder, number), tflite)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader never sees half of it. Raises UserError."""
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; free some space") from error


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
