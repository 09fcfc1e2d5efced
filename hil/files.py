"""Locations of the project's data files; writing the user's files, with errors in plain words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from compress.cache import cache_folder, content_hash
from compress.errors import UserError
from compress.files import write_atomically
from compress.scratch import NEW, scratch_folder
from hil.cache import own_folder

PACKAGE = Path(__file__).resolve().parent


@cache
def checkout() -> Path | None:
    """Root of the checkout that this code runs from; None where it was installed from a wheel."""
    root = PACKAGE.parent
    is_checkout = (root / "firmware" / "main.c").is_file() and (root / "boards").is_dir()
    return root if is_checkout else None


@cache
def data_folder(name: Literal["boards", "firmware", "project_templates"]) -> Path:
    """Folder of board files, of the firmware's sources, or of example projects.

    In a checkout it lies at the root; a wheel carries it as package data (`hil/data`), which is
    unpacked into the user's cache where the package itself is no folder (a zip file).
    """
    root = checkout()
    if root is not None:
        return root / name
    source = resources.files("hil").joinpath("data", name)
    return source if isinstance(source, Path) else _unpacked(source, name)


def settings_folder() -> Path:
    """Folder of the user's own settings files (bench.toml, calibration.toml).

    It is the root of the checkout, or the current folder where this was installed from a wheel.
    """
    return checkout() or Path.cwd()


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into a UserError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(no_space(path)) from error
        raise UserError(f"{error.filename or path}: {error.strerror}") from error


def no_space(path: Path) -> str:
    """The message for a full disk."""
    return (
        f"{path}: no space left on the disk. Every trial committed before is kept; "
        "free some space and run the same command again"
    )


def open_folder(folder: Path) -> None:
    """Make the folder if there is none. Raises UserError where nothing can be written into it."""
    with file_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder}: nothing may be written there; choose another folder")


def write_file(path: Path, data: bytes) -> None:
    """Write a file that nobody sees half of, also after a power cut. Raises UserError."""
    with file_errors(path):
        write_atomically(path, data)


def _unpacked(source: Traversable, name: str) -> Path:
    """Copy of `source` in the cache, named by the hash of its content."""
    files = sorted(_walk(source, Path()), key=lambda pair: pair[0])
    parts = [part for path, file in files for part in (path.as_posix(), file.read_bytes())]
    folder = cache_folder() / "data" / f"{name}-{content_hash(parts)}"
    if not folder.is_dir():
        with file_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with scratch_folder(NEW, folder.parent) as work:
                for path, file in files:
                    write_atomically(work / path, file.read_bytes())
                try:
                    work.replace(folder)
                except OSError:
                    if not folder.is_dir():  # another process was not faster: a real failure
                        raise
    return own_folder(folder)


def _walk(folder: Traversable, path: Path) -> Iterator[tuple[Path, Traversable]]:
    """Files below `folder`, with their paths relative to the first call's folder."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, path / entry.name)
        else:
            yield path / entry.name, entry
