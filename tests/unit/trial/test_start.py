"""The original network of a search: present, whole, and synced to disk."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import torch

import hil.trial.start
from compress.errors import UserError
from helpers.networks import original
from helpers.stores import IDENTITY
from hil.board import load_board
from hil.store.run_folder import original_path
from hil.store.store import Store
from hil.trial.start import Start, check_same_judged

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


def test_a_run_judged_on_other_samples_is_refused(tmp_path: Path) -> None:
    start = original("resnet")
    with Store.open(tmp_path, IDENTITY) as store:
        check_same_judged(store, start, start.judged_share)  # a new run knows none
        store.set_original_accuracy("val", start.judged_share)
        check_same_judged(store, start, start.judged_share)
        with pytest.raises(UserError, match="were judged on other validation samples than task"):
            check_same_judged(store, start, start.judged_share - 0.2)


def test_rounding_elsewhere_is_no_other_data(tmp_path: Path) -> None:
    """Another processor may turn the answer to a sample or two."""
    start = original("resnet")
    with Store.open(tmp_path, IDENTITY) as store:
        store.set_original_accuracy("val", start.judged_share - 2 / len(start.judged))
        check_same_judged(store, start, start.judged_share)
