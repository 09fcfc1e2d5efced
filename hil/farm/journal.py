"""A journal of recent measurements on this machine's boards.

If the answer of a job gets lost on its way to the search, Dask runs the job again, and the journal
has the answer without another measurement. Each measurement is one file, written atomically, since
several processes share the folder. Errors of the file system are ignored: the journal only saves
time.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from compress.files import write_atomically
from hil.store.trial_json import Json

MOST_ENTRIES = 1000


class Journal:
    """JSON objects by key (a plain file name); beyond `most` entries the oldest are removed."""

    def __init__(self, folder: Path, most: int = MOST_ENTRIES) -> None:
        self.folder = folder
        self.most = most

    def find(self, key: str) -> Json | None:
        """The entry of `key`; None if there is none, or it cannot be read."""
        try:
            found = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def keep(self, key: str, value: Json) -> None:
        """Write an entry that survives a crash and a power cut, unless the disk refuses it."""
        path = self._path(key)
        with suppress(OSError):
            write_atomically(path, json.dumps(value).encode())
            self._shrink()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _shrink(self) -> None:
        """Remove the oldest entries beyond `most`; other processes may do so at the same time."""
        paths = list(self.folder.glob("*.json"))
        if len(paths) <= self.most:
            return
        ages = []
        for path in paths:
            with suppress(FileNotFoundError):
                ages.append((path.stat().st_mtime_ns, path))
        for _, path in sorted(ages)[: -self.most]:
            path.unlink(missing_ok=True)
