"""Where the data sets lie that a user brings: sub-folders of the folder named by HIL_DATA.

The sub-folders have the names and the layouts in which the data sets are published, so that an
unpacked archive is found as it is.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from compress.cache import content_hash
from compress.errors import UserError

VARIABLE = "HIL_DATA"


@dataclass(frozen=True, slots=True)
class Layout:
    """A published data set: its sub-folder (any of `folders`), what that `holds`, its `source`.

    The texts are parts of one-line messages: `holds` reads "the files a and b", `source` says where
    to get the data.
    """

    title: str
    folders: tuple[str, ...]
    holds: str
    source: str

    @property
    def expected(self) -> str:
        """What must be there, as the end of a message."""
        return f"{' or '.join(self.folders)} with {self.holds} ({self.source})"


def find_folder(layout: Layout) -> Path:
    """The first of the layout's sub-folders that exists in the folder named by HIL_DATA.

    Raises UserError with the expected layout.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        raise UserError(
            f"{layout.title} is not there: set {VARIABLE} to a folder that has {layout.expected}"
        )
    for name in layout.folders:
        if (folder := Path(named) / name).is_dir():
            return folder
    raise UserError(f"no {layout.title} in {named} ({VARIABLE}): it must have {layout.expected}")


def check_files(layout: Layout, folder: Path, names: Iterable[str]) -> None:
    """Check that the files exist in the folder. Raises UserError naming the missing ones."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"{layout.title}: {folder} lacks {', '.join(missing)}: expected is {layout.expected}"
        )


def files_in(folder: Path, pattern: str) -> list[Path]:
    """The files of the folder that match the pattern, sorted by name. Raises UserError."""
    try:
        return sorted(path for path in folder.glob(pattern) if path.is_file())
    except OSError as error:
        raise UserError(f"cannot list {folder}: {error.strerror}") from None


def read_file(path: Path) -> bytes:
    """The content of a data file. Raises UserError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def damaged(path: Path, why: object) -> UserError:
    """The error for a data file that is not what its name says; `why` in a few words."""
    said = " ".join(str(why).split()) or type(why).__name__
    return UserError(f"damaged data file {path}: {said}; replace it by a fresh copy")


def files_key(paths: Iterable[Path], parts: Iterable[str], sources: Iterable[Path]) -> str:
    """The key of a cache entry made from data files: changes with any of their names, sizes, times.

    `parts` are the parameters and `sources` the program files that the entry depends on. The data
    are not read: they may have gigabytes.
    """
    stats = [(path, path.stat()) for path in paths]
    listed = [f"{path.name} {stat.st_size} {stat.st_mtime_ns}" for path, stat in stats]
    return content_hash([*parts, "\n".join(listed)], sources)
