"""Files in a run's folder besides the store: the original, its diagnosis, networks, failures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from compress.errors import HilError, UserError
from compress.pipeline.diagnosis import Diagnosis
from compress.types import Samples
from hil.board import load_board, read_board
from hil.files import file_errors, write_file
from hil.types import Board

_ELSEWHERE = "choose another run folder"
_PICK_FILE = "choice.json"


def original_path(folder: Path) -> Path:
    """The path of the original's state dict: the network from which all trials started."""
    return folder / "original.pt"


def check_original(source: Path, folder: Path, instead: str = _ELSEWHERE) -> None:
    """Check that `folder` has no original network, or the same as the file `source`.

    Raises UserError otherwise; its text ends with the advice `instead`.
    """
    target = original_path(folder)
    with file_errors(source):
        if target.is_file() and target.read_bytes() != source.read_bytes():
            raise UserError(
                f"{target} differs from {source}: trials that started from different original "
                f"networks are not comparable; {instead}"
            )


def copy_original(source: Path, folder: Path, instead: str = _ELSEWHERE) -> None:
    """Copy the file `source` as the original of `folder`, unless it has one (`check_original`)."""
    check_original(source, folder, instead)
    with file_errors(source):
        state_dict = source.read_bytes()
    if not original_path(folder).is_file():
        write_file(original_path(folder), state_dict)


def save_diagnosis(folder: Path, diagnosis: Diagnosis) -> None:
    """Write the diagnosis of the original network, so that reports need neither it nor its data."""
    write_file(_diagnosis_path(folder), json.dumps(diagnosis.to_json(), indent=1).encode())


def read_diagnosis(folder: Path) -> Diagnosis | None:
    """The diagnosis of the original network; None for runs of versions that made none.

    Raises UserError for a damaged file.
    """
    path = _diagnosis_path(folder)
    if not path.is_file():
        return None
    try:
        return Diagnosis.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged: delete it; hil evolve writes it again when it continues the run"
        ) from error


def _diagnosis_path(folder: Path) -> Path:
    return folder / "diagnosis.json"


def network_path(folder: Path, number: int) -> Path:
    """The path of the .tflite of trial `number`."""
    return folder / "trials" / f"{number:04d}.tflite"


def save_network(folder: Path, number: int, tflite: bytes) -> None:
    """Write the .tflite of trial `number` atomically. Raises UserError if that fails."""
    write_file(network_path(folder, number), tflite)


def save_pick(folder: Path, number: int | None) -> None:
    """Keep the trial that the user chose by hand; None: the goal chooses again."""
    path = folder / _PICK_FILE
    with file_errors(path):
        if number is None:
            path.unlink(missing_ok=True)
            return
        write_file(path, json.dumps({"trial": number}).encode())


def read_pick(folder: Path) -> int | None:
    """The number of the trial that the user chose by hand; None if the goal chooses.

    Raises UserError for a damaged file.
    """
    path = folder / _PICK_FILE
    if not path.is_file():
        return None
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["trial"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: choose again with hil report --choose") from error


def copy_board_file(source: Path, folder: Path) -> None:
    """Copy a user's own board file into the run, so that reports do not depend on the file."""
    with file_errors(source):
        write_file(folder / source.name, source.read_bytes())


def board_of(folder: Path, name: str) -> Board:
    """The run's board: by the file kept with the run, else the board of that name.

    Raises UserError as `load_board`.
    """
    kept = folder / f"{name}.toml"
    return read_board(kept) if kept.is_file() else load_board(name)


def failure_folder(folder: Path, number: int) -> Path:
    """The folder in which a failure of trial `number` is saved."""
    return folder / "failures" / f"{number:04d}"


def save_failure(
    folder: Path, number: int, build_folder: Path, samples: Samples, error: HilError
) -> None:
    """Save all that reproduces a failure: sources, ELF, samples, message and transcript."""
    import numpy as np

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
