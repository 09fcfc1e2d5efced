"""What makes cached results stale: fingerprints of sources cover known files and see changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from compress import cache
from compress.cache import content_hash, source_files
from compress.pipeline.prefix_cache import identity_of
from compress.tasks.digits import TASK
from helpers.checkout import ROOT
from hil.benchmark import models
from hil.farm import source_fingerprint

# In rooms of different depth: a fingerprint taken from one room alone lacks the others.
COMPRESS = ("compress/genome.py", "compress/training/train.py", "compress/tasks/digits.py")
EVERYTHING = (
    *COMPRESS,
    "hil/types.py",
    "hil/codegen/render.py",
    "firmware/main.c",
    "firmware/templates/model.c.j2",
)


def prefixes() -> str:
    return identity_of({"weight": torch.zeros(1)}, ["digits", "0"])


def trained_models() -> str:
    return models._key(TASK, TASK.load())


def farm() -> str:
    """The farm's fingerprint, without the value that the process has cached before or after."""
    source_fingerprint._sources.cache_clear()
    code = source_fingerprint.code_id()
    source_fingerprint._sources.cache_clear()
    return code


FINGERPRINTS = [
    *[(prefixes, path) for path in COMPRESS],
    *[(trained_models, path) for path in COMPRESS],
    *[(farm, path) for path in EVERYTHING],
]


@pytest.mark.parametrize(("fingerprint", "path"), FINGERPRINTS)
def test_a_fingerprint_changes_with_each_source(
    fingerprint: Callable[[], str], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is read as if one byte had been added."""
    before = fingerprint()
    read = Path.read_bytes

    def changed(self: Path) -> bytes:
        return read(self) + (b" " if self.resolve() == ROOT / path else b"")

    monkeypatch.setattr(Path, "read_bytes", changed)
    assert fingerprint() != before


def test_the_sources_of_compress_are_all_there() -> None:
    assert [str(path.relative_to(ROOT)) for path in source_files()] == sorted(
        str(path.relative_to(ROOT)) for path in (ROOT / "compress").rglob("*.py")
    )
    assert cache.PACKAGE == ROOT / "compress"


def test_a_hash_changes_with_each_part(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("a")
    key = content_hash(["1", b"a"], [source])
    assert key == content_hash(["1", b"a"], [source])
    others = [["2", b"a"], ["1", "a"], ["1a"], ["1", b"a", ""]]
    assert key not in {content_hash(parts, [source]) for parts in others}
    source.write_text("b")
    assert key != content_hash(["1", b"a"], [source])
