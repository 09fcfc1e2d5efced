"""A disk cache of networks after the first stages of a genome: equal prefixes are trained once.

A stage is a pure function of network, stage and seed, so its stored result equals a new one. The
name of an entry is a hash of everything it depends on: the original's weights, the stages, the
sources of this package, torch's version. Entries are written atomically with a tag: several
processes may share the folder, and an entry damaged by a power cut is made again. Entries are
pickles, which can run code: the tag is made with the user's secret key, and nothing without it is
read (`compress.training.signed_file`).
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
from compress.training.signed_file import read_object, write_object
from compress.types import StageCost

MAX_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A network after some stages, and the cost of each stage in order."""

    network: Network
    costs: tuple[StageCost, ...]


class PrefixCache:
    """Snapshots by prefix of stages; the least recently used are removed beyond `max_bytes`.

    `identity` is a hash of the original network and the code (see `identity_of`).
    """

    def __init__(self, folder: Path, identity: str, max_bytes: int = MAX_BYTES) -> None:
        self.folder = folder
        self.identity = identity
        self.max_bytes = max_bytes

    def find(self, prefix: tuple[Stage, ...]) -> Snapshot | None:
        """The snapshot after these stages; None if it is missing or damaged."""
        snapshot = read_object(self._path(prefix))
        return snapshot if isinstance(snapshot, Snapshot) else None

    def keep(self, prefix: tuple[Stage, ...], snapshot: Snapshot) -> None:
        """Write the snapshot; without room on the disk it is not kept. Remove its checkpoints."""
        path = self._path(prefix)
        if write_object(path, snapshot):
            for part in self.folder.glob(f"{path.stem}-*"):
                part.unlink(missing_ok=True)
            self._shrink()

    def checkpoint(self, prefix: tuple[Stage, ...]) -> Checkpoint:
        """The checkpoint of the training of the last stage of `prefix`."""
        return Checkpoint(self._path(prefix))

    def _path(self, prefix: tuple[Stage, ...]) -> Path:
        key = content_hash([self.identity, Genome(prefix).key])
        return self.folder / f"{key}.snapshot"

    def _shrink(self) -> None:
        """Remove the least recently used files until the rest fits; any process may do so."""
        entries = []
        for path in self.folder.glob("*.snapshot"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            entries.append((status.st_mtime_ns, status.st_size, path))
        used_bytes = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if used_bytes <= self.max_bytes:
                break
            path.unlink(missing_ok=True)
            used_bytes -= size


def identity_of(state_dict: dict[str, torch.Tensor], texts: Iterable[str]) -> str:
    """Hash of an original's state dict, `texts` (task, seed), all sources and torch's version."""
    tensors = (
        part
        for name, tensor in sorted(state_dict.items())
        for part in (name, tensor.detach().numpy().tobytes())
    )
    return content_hash([torch.__version__, *texts, *tensors], source_files())


def prefix_folder() -> Path:
    """The folder of the snapshots."""
    return cache_folder() / "prefixes"
