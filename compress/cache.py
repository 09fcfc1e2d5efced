"""Where everything that takes long to make is kept, for every run of this user."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def cache_folder() -> Path:
    """~/.cache/hil-compress; XDG_CACHE_HOME is honored."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hil-compress"
