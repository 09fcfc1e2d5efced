"""What this machine's boards have measured lately, so that an answer that got lost is not measured
again.

A file per measurement, written aside and renamed: processes share the folder, and what is there is
whole. A disk that is full only means that nothing is remembered.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from compress.files import write_whole
from hil.store.trial_json import Json

MOST_ENTRIES = 1000


class Journal:
    """JSON objects by key (a plain file name); the oldest go when there are more than `most`."""

    def __init__(self, folder: Path, most: int = MOST_ENTRIES) -> None:
        self.folder = folder
        self.most = most

    def find(self, key: str) -> Json | None:
        """What was kept under `key`; None if nothing was, or it cannot be read."""
        try:
            found = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def keep(self, key: str, value: Json) -> None:
        """Write `value`; once this returns it survives the process and a power cut."""
        path = self._path(key)
        with suppress(OSError):
            write_whole(path, json.dumps(value).encode())
            self._shrink()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _shrink(self) -> None:
        """Remove the oldest entries beyond `most`; others may do so, too."""
        paths = list(self.folder.glob("*.json"))
        if len(paths) <= self.most:
            return
        ages = []
        for path in paths:
            with suppress(FileNotFoundError):
                ages.append((path.stat().st_mtime_ns, path))
        for _, path in sorted(ages)[: -self.most]:
            path.unlink(missing_ok=True)
