"""Writing of an exported library: whole or not at all, and never over what is not one."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from compress.errors import UserError
from hil.files import file_errors

MANIFEST = "manifest.json"
FORMAT = "hil-compress library 1"


def check_free(folder: Path) -> None:
    """Raise UserError unless `folder` is missing, empty, or an earlier export as it was written."""
    with file_errors(folder):
        if not folder.exists():
            return
        if not folder.is_dir():
            raise UserError(f"--out {folder}: is a file; name a folder")
        present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}
        if not present:
            return
        known = _listed(folder / MANIFEST)
        if known is None:
            raise UserError(
                f"--out {folder}: not a library that hil export wrote; name a new or empty folder"
            )
        changed = [
            name
            for name in sorted((present | set(known)) - {MANIFEST})
            if name not in present or _sha256(folder / name) != known.get(name)
        ]
        if changed:
            raise UserError(
                f"--out {folder}: {changed[0]} is not as hil export wrote it; name another folder"
            )


def _listed(manifest: Path) -> Mapping[str, str] | None:
    """SHA-256 by path, of an earlier export; None for another file."""
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        return None
    files = found.get("files")
    return files if isinstance(files, dict) else None


def write_library(files: Mapping[str, bytes], folder: Path) -> None:
    """Write `files`, by path, to `folder`, beside it first. Raises UserError as `check_free`."""
    check_free(folder)
    part = folder.with_name(f".{folder.name}.part")
    with file_errors(folder):
        if part.exists():
            shutil.rmtree(part)
        try:
            for name, content in files.items():
                path = part / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            if folder.exists():
                shutil.rmtree(folder)
            part.rename(folder)
        finally:
            if part.exists():
                shutil.rmtree(part)


def with_manifest(files: Mapping[str, bytes], facts: Mapping[str, object]) -> dict[str, bytes]:
    """The files and their manifest: format, facts, and the SHA-256 of each."""
    manifest = {
        "format": FORMAT,
        **facts,
        "files": {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)},
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    return {**files, MANIFEST: text.encode()}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
