"""Networks as they are after a genome's first stages, on disk: equal prefixes are trained once.

A stage is a pure function of network, stage and seed, so what it made may stand for making it
again. An entry's name is the hash of everything it depends on: the original's weights, the
stages, the sources of this package, torch's version. Entries are written aside and renamed, and
carry a checksum: several processes may share the folder, and what a power cut left half-written
is made anew. Entries are pickles, so the folder is the user's own cache, never a run's folder
that somebody might hand on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from compress.cache import cache_folder, content_hash, source_files
from compress.genome import Genome, Stage
from compress.pipeline.network import Network
from compress.training.checkpoint import Checkpoint
from compress.training.checksum_file import read_object, write_object
from compress.types import StageCost

MOST_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A network after some stages, and what each of them cost, in their order."""

    network: Network
    costs: tuple[StageCost, ...]


class PrefixCache:
    """Snapshots by the stages that led to them; the least recently used go when it is full.

    `identity` is a hash of what the stages start from (see `identity_of`).
    """

    def __init__(self, folder: Path, identity: str, most_bytes: int = MOST_BYTES) -> None:
        self.folder = folder
        self.identity = identity
        self.most_bytes = most_bytes

    def find(self, prefix: tuple[Stage, ...]) -> Snapshot | None:
        """The snapshot after these stages, if it is there and intact."""
        snapshot = read_object(self._path(prefix))
        return snapshot if isinstance(snapshot, Snapshot) else None

    def keep(self, prefix: tuple[Stage, ...], snapshot: Snapshot) -> None:
        """Write the snapshot, if there is room: a cache is no need."""
        path = self._path(prefix)
        if write_object(path, snapshot):
            for part in self.folder.glob(f"{path.stem}-*"):
                part.unlink(missing_ok=True)
            self._shrink()

    def checkpoint(self, prefix: tuple[Stage, ...]) -> Checkpoint:
        """Where the training of the last of these stages is kept until it is done."""
        return Checkpoint(self._path(prefix))

    def _path(self, prefix: tuple[Stage, ...]) -> Path:
        key = content_hash([self.identity, Genome(prefix).key])
        return self.folder / f"{key}.snapshot"

    def _shrink(self) -> None:
        """Remove the least recently used files until the rest fits; others may do so, too."""
        entries = []
        for path in self.folder.glob("*.snapshot"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            entries.append((status.st_mtime_ns, status.st_size, path))
        used_bytes = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if used_bytes <= self.most_bytes:
                break
            path.unlink(missing_ok=True)
            used_bytes -= size


def identity_of(weights: dict[str, torch.Tensor], texts: Iterable[str]) -> str:
    """Hash of an original's weights, of `texts` (task, seed), of our sources and of torch."""
    tensors = (
        part
        for name, tensor in sorted(weights.items())
        for part in (name, tensor.detach().numpy().tobytes())
    )
    return content_hash([torch.__version__, *texts, *tensors], source_files())


def prefix_folder() -> Path:
    """Where snapshots are kept."""
    return cache_folder() / "prefixes"
