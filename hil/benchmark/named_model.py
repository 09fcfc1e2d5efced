"""The forms in which a model is named, checked without the imports that reading it needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from compress.errors import UserError
from compress.files import TFLITE_SUFFIXES
from compress.model_files.onnx_file import ONNX_SUFFIXES
from compress.projects.find import names_task
from compress.tasks import TASK_NAMES
from hil.store.store import check_is_run

_SUFFIXES = (*TFLITE_SUFFIXES, *ONNX_SUFFIXES)
_TRIAL = re.compile(r"(?P<run>.+):(?P<number>\d+)")


@dataclass(frozen=True, slots=True)
class TrialName:
    """A trial by the folder of its run and its number."""

    run: Path
    number: int


def named_model(text: str, runs: Path) -> str | Path | TrialName:
    """What `text` names: a task or project (the text), a model's file that is there, or a trial.

    A run is a folder in `runs` or a path. Raises UserError, with the allowed forms, for any other
    text, and for a file or run that is not there.
    """
    if names_task(text):
        return text
    if Path(text).suffix.lower() in _SUFFIXES:
        return checked_file(Path(text))
    trial = _TRIAL.fullmatch(text)
    if trial:
        run = Path(trial["run"]) if Path(trial["run"]).is_dir() else runs / trial["run"]
        check_is_run(run)
        return TrialName(run, int(trial["number"]))
    raise UserError(
        f"model {text!r}: allowed are a FILE.tflite or FILE.onnx, a task "
        f"({', '.join(TASK_NAMES)}, a project's hil.toml or folder, or a Python file that defines "
        "TASK), or RUN:NUMBER for a trial of a run"
    )


def checked_file(path: Path) -> Path:
    """`path` itself. Raises UserError if it cannot be opened for reading."""
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
