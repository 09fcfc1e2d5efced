"""A project as a value: its settings, and the files that they name, with content or hash.

Code and model files are read once, when the project is read; everything later takes these bytes,
also in worker processes and on other machines, so that no edit comes in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from compress.cache import content_hash
from compress.errors import HilError, UserError
from compress.model_files.onnx_file import ONNX_SUFFIXES, self_contained
from compress.projects.keys import CodeRef
from compress.projects.output_values import ByOutput, TaskTypes
from compress.projects.toml_file import ProjectFile
from compress.tasks import TASK_NAMES
from compress.types import Better

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """The keys of the sections [task] and [training] (docs/own-network.md); None is the default.

    `model` is a function, or the file of a float model; `data` is a function, an .npz file or a
    folder; all paths are absolute. `mean` and `std` have one number, or one for each channel.
    Of several outputs, `type`, `classes` and `loss_weights` are pairs of an output's name and its
    value.
    """

    name: str
    model: CodeRef | Path
    data: CodeRef | Path
    title: str | None = None
    weights: Path | None = None
    type: TaskTypes = "classification"
    metric: str | CodeRef | None = None
    better: Better | None = None
    floor: float | str | None = None
    classes: tuple[str, ...] | ByOutput | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    features: str | None = None
    image_size: tuple[int, int] | None = None
    color: str | None = None
    device_samples: int | None = None
    epochs: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    samples_per_epoch: int | None = None
    huber_delta: float | None = None
    loss_weights: ByOutput | None = None
    fine_tune_epochs: int | None = None
    fine_tune_learning_rate: float | None = None
    fine_tune_samples_per_epoch: int | None = None

    def given(self) -> dict[str, Any]:
        """The keys that have a value, in the order of the fields."""
        pairs = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in pairs if value is not None}


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file, or a folder of data, that the user named: the key that names it, path and SHA-256.

    `content` is that of a code or model file, None for data and weights, which are read where they
    lie. An ONNX file has its external data in it, and `sha256` is that of the whole.
    """

    key: str
    path: Path
    sha256: str
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """A user's task: settings and files. It can be sent to any process or machine."""

    settings: ProjectSettings
    files: tuple[NamedFile, ...]

    @property
    def name(self) -> str:
        """The task's name, which names runs."""
        return self.settings.name

    @property
    def source(self) -> str:
        """A hash of everything that decides what is trained: settings, paths and contents."""
        settings = [f"{name}={value!r}" for name, value in deciding(self.settings).items()]
        files = [f"{one.key} {one.path} {one.sha256}" for one in self.files]
        return content_hash(["project", *settings, *files])

    def file(self, key: str) -> NamedFile:
        """The file that `key` names. Raises KeyError if it names none."""
        found = next((one for one in self.files if one.key == key), None)
        if found is None:
            raise KeyError(key)
        return found


def deciding(settings: ProjectSettings) -> dict[str, Any]:
    """The settings that decide what is trained: neither the goal nor words."""
    free = {"floor", "title"}
    return {name: value for name, value in settings.given().items() if name not in free}


def project_of(values: Mapping[str, Any], file: ProjectFile | None = None) -> Project:
    """The project of these checked values (`checked_values`), with all files that they name read.

    Without a name, it is that of the project file's folder, or the stem of the network's file. No
    code runs. Raises UserError for a network or data that are missing, or a file that cannot be
    read.
    """
    where = "--{}" if file is None else f"{file.path}: [task] {{}}"
    for key, example in (("model", "net.py:build"), ("data", "data.py:load")):
        if key not in values:
            raise UserError(
                f"{where.format(key)} is missing: a project needs model and data, such as "
                f"{example}; hil init FOLDER makes an example"
            )
    if values.get("name") in TASK_NAMES:
        raise UserError(
            f"{where.format('name')} {values['name']!r} is a task that ships with hil-compress: "
            "choose another name"
        )
    folder = path_of(values["model"]).stem if file is None else file.path.parent.name
    settings = ProjectSettings(**{"name": _own_name(folder), **values})
    own = () if file is None else (NamedFile("hil.toml", file.path, file.sha256),)
    return Project(settings, (*own, *_named_files(settings)))


def _own_name(text: str) -> str:
    """A name of a run from that of a folder or file: other characters become dashes."""
    name = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in text)
    name = name.lstrip(".-") or "project"
    return f"own-{name}" if name in TASK_NAMES else name


def _named_files(settings: ProjectSettings) -> Iterator[NamedFile]:
    for key in ("model", "data", "metric", "weights"):
        value = getattr(settings, key)
        if not isinstance(value, CodeRef | Path):
            continue
        path = path_of(value)
        try:
            if isinstance(value, CodeRef) or key == "model":
                content = _content(path)
                yield NamedFile(key, path, hashlib.sha256(content).hexdigest(), content)
            else:
                yield NamedFile(key, path, sha256_of(path))
        except OSError as error:
            raise UserError(
                f"{key}: cannot read {error.filename or path}: {error.strerror}"
            ) from error


def path_of(named: CodeRef | Path) -> Path:
    """The file that a key names, with a function or alone."""
    return named.path if isinstance(named, CodeRef) else named


def _content(path: Path) -> bytes:
    """The bytes of a code or model file. Raises OSError, and UserError for a damaged ONNX file."""
    if path.suffix.lower() not in ONNX_SUFFIXES:
        return path.read_bytes()
    try:
        return self_contained(path)
    except HilError as error:
        raise UserError(f"model: {path}: {error}") from error


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, or of a folder: of the relative path and content of each file.

    Hidden files and folders do not count. Raises OSError.
    """
    digest = hashlib.sha256()
    if not path.is_dir():
        _add(digest, path)
        return digest.hexdigest()
    for found in visible_files(path):
        digest.update(f"{found.relative_to(path).as_posix()}\n{found.stat().st_size}\n".encode())
        _add(digest, found)
    return digest.hexdigest()


def visible_files(folder: Path) -> list[Path]:
    """All files below `folder` but hidden ones and those of hidden folders, in a fixed order."""
    found = [
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def sha256_of_data(path: Path) -> str:
    """As `sha256_of`. Raises UserError if the data cannot be read."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise UserError(
            f"data: cannot read {error.filename or path}: {error.strerror}; every machine needs "
            "the same data at the same path"
        ) from error


def _add(digest: hashlib._Hash, path: Path) -> None:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
