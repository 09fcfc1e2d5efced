"""A folder of class sub-folders as data: images or WAV files, named by the class they show.

Sub-folders train, val and test, each with the sub-folders of the classes, give the splits;
otherwise the files are split here. Decoded arrays are kept in the cache of data, named by the hash
of all files. The memory that they take is known, and limited, before the first is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compress.cache import PACKAGE, content_hash
from compress.errors import UserError
from compress.projects.arrays import NAMES, ProjectData
from compress.projects.images import IMAGE_SUFFIXES, image_form, read_images
from compress.projects.project import ProjectSettings, visible_files
from compress.projects.sounds import SOUND_SUFFIXES, read_sounds, values_of
from compress.projects.splitting import split_samples
from compress.tasks.cache import cached
from compress.types import Array, Dataset, Split

MOST_BYTES = 2 << 30  # of the float32 samples of all splits
_SPLIT_FOLDERS = {name: name for name in NAMES} | {"valid": "val", "validation": "val"}
_NAMED = 3  # files named in an error; the rest is counted


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a folder: each with its class number and its split ("" if not split yet)."""

    folder: Path
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    splits: tuple[str, ...]
    ignored: tuple[Path, ...]


def read_folder(settings: ProjectSettings, folder: Path, sha256: str) -> ProjectData:
    """The data of the folder whose content has the hash `sha256`.

    Images are float32 (N, 1 or 3, H, W) of 0 to 1, sounds as `read_sounds` says. Raises UserError
    for a folder without classes, an empty class, a mixture of kinds, files that cannot be read, or
    more samples than `MOST_BYTES`.
    """
    listing = list_folder(folder)
    sounds = listing.files[0].suffix.lower() in SOUND_SUFFIXES
    x, note = (_sounds if sounds else _images)(settings, listing, sha256)
    data, split = _split(listing, x)
    ignored = (_ignored_note(listing),) if listing.ignored else ()
    return ProjectData(
        data,
        listing.classes,
        (note, *ignored, *split),
        named=True,
        images=not sounds,
        features=(settings.features or "mfcc") if sounds else None,
    )


def _sounds(settings: ProjectSettings, listing: Listing, sha256: str) -> tuple[Array, str]:
    """Samples of WAV files, and what to tell of them."""
    if settings.image_size is not None or settings.color is not None:
        raise UserError(f"data: {listing.folder} has WAV files: image_size and color are of images")
    features = settings.features or "mfcc"
    _check_room(listing, values_of(features))
    x = _cached(listing, sha256, features, lambda bad: read_sounds(listing.files, features, bad))
    return x, f"data: {len(listing.files):,} WAV files, features: {features}"


def _images(settings: ProjectSettings, listing: Listing, sha256: str) -> tuple[Array, str]:
    """Samples of images, pixels 0..1, and what to tell of them."""
    if settings.features is not None:
        raise UserError(f"data: {listing.folder} has images: features are of WAV files")
    form = image_form(listing.files[0], settings.image_size, settings.color)
    _check_room(listing, form.values)
    x = _cached(listing, sha256, repr(form), lambda bad: read_images(listing.files, form, bad))
    pixels: Array = x.astype(np.float32) / np.float32(255)
    return pixels, f"data: {len(listing.files):,} images, {form.in_words}"


def list_folder(folder: Path) -> Listing:
    """The classes and files of the folder, in the order of their names. Raises UserError."""
    wanted = {*IMAGE_SUFFIXES, *SOUND_SUFFIXES}
    tops = [path.name for path in _folders(folder)]
    parted = {_SPLIT_FOLDERS.get(name) for name in tops} == set(NAMES)
    roots = {folder / name: _SPLIT_FOLDERS[name] for name in tops} if parted else {folder: ""}
    classes = tuple(sorted({path.name for root in roots for path in _folders(root)}))
    if len(classes) < 2:
        there = f"it has {', '.join(tops)}" if tops else "it has no sub-folders"
        raise UserError(
            f"data: {folder}: needed is a sub-folder for each class, at least two, with images "
            f"({' '.join(IMAGE_SUFFIXES)}) or WAV files; {there}"
        )
    rows: list[tuple[Path, int, str]] = []
    ignored: list[Path] = []
    for root, split in roots.items():
        for label, name in enumerate(classes):
            found = visible_files(root / name) if (root / name).is_dir() else []
            mine = [path for path in found if path.suffix.lower() in wanted]
            if not mine:
                raise UserError(
                    f"data: class folder {root / name} has no images or WAV files: add some, or "
                    "remove the folder"
                )
            rows += [(path, label, split) for path in mine]
            ignored += [path for path in found if path.suffix.lower() not in wanted]
    suffixes = {path.suffix.lower() in SOUND_SUFFIXES for path, _, _ in rows}
    if len(suffixes) > 1:
        raise UserError(f"data: {folder} has both images and WAV files: give one kind")
    files, labels, splits = zip(*rows, strict=True)
    return Listing(folder, classes, files, labels, splits, tuple(ignored))


def _folders(folder: Path) -> list[Path]:
    """The sub-folders that are not hidden, by name. Raises UserError if they cannot be listed."""
    try:
        found = [path for path in folder.iterdir() if path.is_dir()]
    except OSError as error:
        raise UserError(f"data: cannot read {folder}: {error.strerror}") from error
    return sorted(path for path in found if not path.name.startswith((".", "__")))


def _cached(listing: Listing, sha256: str, form: str, read: Callable[[list[str]], Array]) -> Array:
    """The samples that `read` makes, from the cache if it has them.

    Raises UserError for files that cannot be read, which `read` adds to its argument.
    """

    def make() -> dict[str, Array]:
        bad: list[str] = []
        x = read(bad)
        if bad:
            raise UserError(
                f"data: {len(bad)} of {len(listing.files)} files of {listing.folder} cannot be "
                f"read: {_first_names(bad)}; repair or remove them"
            )
        return {"x": x}

    readers = (PACKAGE / "projects").glob("*.py")
    entry = content_hash([sha256, form], [*readers, PACKAGE / "tasks" / "mfcc.py"])
    return cached("folder", entry, make)["x"]


def _check_room(listing: Listing, values: int) -> None:
    """Raise UserError if the samples of all files, of so many values each, take too much memory."""
    wanted = 4 * values * len(listing.files)
    if wanted > MOST_BYTES:
        raise UserError(
            f"data: {len(listing.files):,} files of {values:,} values take "
            f"{wanted / 2**30:.1f} GiB as float32, the limit is {MOST_BYTES / 2**30:g} GiB: "
            "choose a smaller image_size, gray images, or fewer files"
        )


def _split(listing: Listing, x: Array) -> tuple[Dataset, tuple[str, ...]]:
    y = np.array(listing.labels, np.int64)
    if listing.splits[0]:
        places = np.array(listing.splits)
        train, val, test = (Split(x[places == name], y[places == name]) for name in NAMES)
        return Dataset(train, val, test), ()
    where = f"data: {listing.folder}"
    otherwise = "sub-folders train, val and test"
    data, note = split_samples(x, y, None, listing.classes, "classification", where, otherwise)
    return data, (note,)


def _ignored_note(listing: Listing) -> str:
    names = _first_names(path.relative_to(listing.folder).as_posix() for path in listing.ignored)
    return f"data: ignored, neither images nor WAV files: {names}"


def _first_names(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"{', '.join(found[:_NAMED])}{more}"
