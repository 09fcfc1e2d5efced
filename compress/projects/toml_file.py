"""Read a project file hil.toml: its sections and keys, unknown ones refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.errors import UserError
from compress.files import toml_values
from compress.projects.keys import PROJECT_FILE, SECTIONS, checked_values, unknown_key


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """A hil.toml: the checked values of its task (paths absolute), and its settings of searches.

    `search` holds the values as they are written: the command line checks them as its options.
    """

    path: Path
    sha256: str
    values: Mapping[str, Any]
    search: Mapping[str, Any]


def is_project(name: str) -> bool:
    """True for the path of a .toml file, or of a folder that has a hil.toml."""
    return name.endswith(".toml") or (Path(name) / PROJECT_FILE).is_file()


def read_project_file(path: Path) -> ProjectFile:
    """The project file at `path`, which may be the folder that has it.

    Raises UserError for a file that cannot be read or is no TOML, for an unknown section or key,
    and for a value that is not allowed.
    """
    path = path.resolve() / PROJECT_FILE if path.is_dir() else path.resolve()
    try:
        content = path.read_bytes()
        sections = toml_values(content)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; hil init FOLDER makes an example"
        ) from error
    except ValueError as error:
        raise UserError(f"{path}: {error}; correct the file") from error
    values: dict[str, Any] = {}
    for name, section in sections.items():
        _check_section(path, name, section)
        if name != "search":
            values |= checked_values(section, path.parent, f"{path}: [{name}] {{}} =")
    digest = hashlib.sha256(content).hexdigest()
    return ProjectFile(path, digest, values, _search(path, sections.get("search", {})))


def _check_section(path: Path, name: str, section: Any) -> None:
    if name not in SECTIONS:
        if not isinstance(section, dict):
            home = next((one for one, keys in SECTIONS.items() if name in keys), None)
            advice = f"write it below [{home}]" if home else f"sections are {_sections()}"
            raise UserError(f"{path}: key {name} stands in no section: {advice}")
        raise UserError(f"{path}: unknown section [{name}]: {unknown_key(name, SECTIONS)}")
    if not isinstance(section, dict):
        raise UserError(f"{path}: {name} must be a section, [{name}], with keys below it")
    for key in section:
        if key not in SECTIONS[name]:
            raise UserError(f"{path}: [{name}] {key}: {_elsewhere(key, name)}")


def _elsewhere(key: str, name: str) -> str:
    """What to say of a key that the section does not have."""
    homes = [one for one, keys in SECTIONS.items() if key in keys]
    if homes:
        return f"belongs to [{homes[0]}]"
    return f"unknown key; {unknown_key(key, SECTIONS[name])}"


def _search(path: Path, section: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of searches; the path of a farm's or board's file starts at the project."""
    found = dict(section)
    board = found.get("board")
    if isinstance(board, str) and board.endswith(".toml"):
        found["board"] = str((path.parent / board).resolve())
    return found


def _sections() -> str:
    return ", ".join(f"[{name}]" for name in SECTIONS)
