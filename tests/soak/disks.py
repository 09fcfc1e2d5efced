"""Disks that are full, read-only, or lose a folder; a store that somebody else holds."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from soak.scene import Place, Search

Do = Callable[[Place, int, random.Random], Search]

_DISK_BYTES = 64 << 20
_FILLER = "filler"


def full(name: str) -> Do:
    """Fill the disk of a folder of the place while a search runs, up to a few free bytes."""

    def do(place: Place, trials: int, rng: random.Random) -> Search:
        folder = _on_a_disk_of_its_own(place, name)
        search = Search(place, trials)
        if _some_time(search, rng):
            _fill(folder / _FILLER, rng.choice((0, 4096, 20_000, 60_000, 200_000)))
        search.end()
        return search

    return do


def read_only(name: str) -> Do:
    """Make the disk of a folder read-only while a search runs, as a failing one becomes."""

    def do(place: Place, trials: int, rng: random.Random) -> Search:
        folder = _on_a_disk_of_its_own(place, name)
        search = Search(place, trials)
        if _some_time(search, rng):
            # -f: also while files are open for writing, as the kernel does after an error
            command = ["mount", "-o", "remount,ro", str(folder)]
            while subprocess.run(command, capture_output=True).returncode and not search.ended():
                time.sleep(0.02)
        search.end()
        return search

    return do


def deleted(name: str) -> Do:
    """Remove a folder of the place while a search runs."""

    def do(place: Place, trials: int, rng: random.Random) -> Search:
        search = Search(place, trials)
        if _some_time(search, rng):
            folder = place.run if name == "work" else place.root / name
            for _ in range(20):  # what is written meanwhile may keep it from being empty
                shutil.rmtree(folder, ignore_errors=True)
        search.end()
        return search

    return do


def locked_store(place: Place, trials: int, rng: random.Random) -> Search:
    """Another program locks the store for 10 s, as a tool that looks into it may."""
    search = Search(place, trials)
    if _some_time(search, rng):
        with closing(sqlite3.connect(place.run / "store.sqlite", timeout=30)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(10)
    search.end()
    return search


def repair(place: Place) -> None:
    """Make the place's disks writable, with room, and its folders whole."""
    for folder in (place.work, place.cache, place.tmp):
        if _is_mounted(folder):
            subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
        (folder / _FILLER).unlink(missing_ok=True)
        folder.mkdir(exist_ok=True)


def unmount(place: Place) -> None:
    for folder in (place.work, place.cache, place.tmp):
        if _is_mounted(folder):
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _some_time(search: Search, rng: random.Random) -> bool:
    if not search.wait_for_trials(1):
        return False
    until = time.monotonic() + rng.uniform(0.0, 4.0)
    return search.wait(lambda: time.monotonic() > until)


def _on_a_disk_of_its_own(place: Place, name: str) -> Path:
    """Mount a small disk in memory over a folder of the place, with what was in it."""
    folder, aside = place.root / name, place.root / f"{name}-before"
    folder.rename(aside)
    folder.mkdir()
    size = f"size={_DISK_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=True)
    shutil.copytree(aside, folder, dirs_exist_ok=True)
    shutil.rmtree(aside)
    return folder


def _is_mounted(folder: Path) -> bool:
    return folder.is_mount()


def _fill(path: Path, free_bytes: int) -> None:
    """Write a file that leaves so many bytes free."""
    room = shutil.disk_usage(path.parent).free - free_bytes
    with suppress(OSError), path.open("wb", buffering=0) as file:
        file.write(bytes(max(0, room)))
