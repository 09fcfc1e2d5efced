"""The original network of a search: present, whole, and synced to disk."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import torch

import hil.trial.start
from compress.errors import UserError
from hil.board import load_board
from hil.store.run_folder import original_path
from hil.trial.start import Start

BOARD = load_board("m4")


def saved(value: object) -> bytes:
    data = io.BytesIO()
    torch.save(value, data)
    return data.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"no network", saved({"other": torch.zeros(2)})[:-100], saved({"other": torch.zeros(2)})],
    ids=["empty", "foreign", "cut", "another"],
)
def test_an_original_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    original_path(tmp_path).write_bytes(content)
    with pytest.raises(
        UserError, match=r"original\.pt is damaged or of another network than task digits"
    ):
        Start.prepare("digits", BOARD, 0, tmp_path)
    assert original_path(tmp_path).read_bytes() == content


def test_the_original_is_on_the_disk_before_trials_need_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(
        os, "fsync", lambda number: synced.append(Path(f"/proc/self/fd/{number}").resolve())
    )
    monkeypatch.setattr(
        hil.trial.start,
        "train_original",
        lambda task, data, seed, path, tick: path.write_bytes(b"net"),
    )
    assert Start.prepare("digits", BOARD, 0, tmp_path).state_dict == b"net"
    assert synced == [original_path(tmp_path)]
