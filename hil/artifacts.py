"""What a run leaves in its folder besides the store: each trial's network, and what failed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from compress.errors import HilError
from compress.types import Samples
from hil.store_file import user_errors


def kept(folder: Path, number: int) -> Path:
    """Where trial `number`'s network lies."""
    return folder / "trials" / f"{number:04d}.tflite"


def keep(folder: Path, number: int, tflite: bytes) -> None:
    """Write trial `number`'s network; a reader never sees half of it. Raises UserError."""
    write_whole(kept(folder, number), tflite)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader never sees half of it. Raises UserError."""
    part = path.with_name(f"{path.name}.part")
    with user_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)  # of no use, and it may be what fills the disk


def save_failure(
    folder: Path, number: int, build_folder: Path, samples: Samples, error: HilError
) -> None:
    """Everything needed to reproduce a failure: sources, ELF, samples, message, transcript."""
    failure = folder / "failures" / f"{number:04d}"
    shutil.copytree(build_folder, failure, dirs_exist_ok=True)
    np.savez(
        failure / "samples.npz",
        inputs=samples.inputs,
        labels=samples.labels,
        outputs=samples.outputs,
    )
    transcript = getattr(error, "transcript", "")
    (failure / "error.txt").write_text(f"{type(error).__name__}: {error}\n{transcript}\n")
