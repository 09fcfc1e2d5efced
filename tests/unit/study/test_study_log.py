"""The log of a study: it continues only with the original network of the logged trials."""

from __future__ import annotations

from pathlib import Path

import pytest

from compress.errors import UserError
from hil.study.log import adopt_logged_original


def test_the_logged_original_is_taken_and_another_refused(tmp_path: Path) -> None:
    log, place = tmp_path / "log", tmp_path / "place"
    for folder in (log, place):
        folder.mkdir()
    adopt_logged_original(log, place, 2)
    assert not (place / "original.pt").exists()
    (log / "seed-2.pt").write_bytes(b"weights")
    adopt_logged_original(log, place, 2)
    adopt_logged_original(log, place, 2)
    assert (place / "original.pt").read_bytes() == b"weights"
    (place / "original.pt").write_bytes(b"others")
    with pytest.raises(UserError, match=r"differs from .*seed-2\.pt.*--results"):
        adopt_logged_original(log, place, 2)


def test_a_log_without_its_original_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "seed-2.csv.gz").touch()
    with pytest.raises(UserError, match=r"seed-2\.pt is missing"):
        adopt_logged_original(tmp_path, tmp_path, 2)
    (tmp_path / "original.pt").touch()  # killed before the log's copy was written
    adopt_logged_original(tmp_path, tmp_path, 2)
