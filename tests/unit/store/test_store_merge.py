"""Merging runs: nothing is lost or replaced, and differences are reported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compress.errors import UserError
from helpers.stores import FINAL, IDENTITY, make_store
from helpers.trials import BASELINE, measured, pruned
from hil.store.merge import Conflict, MergeResult, merge
from hil.store.run_folder import network_path, save_network
from hil.store.store import Store


def test_merge_numbers_on_and_tells_what_differs(tmp_path: Path) -> None:
    make_store(tmp_path / "a", measured(1, BASELINE), measured(2, pruned(0.5), count=7))
    with Store.open(tmp_path / "b", IDENTITY) as store:
        store.add(measured(1, BASELINE))
        store.add(measured(2, pruned(0.25)))
        store.add(measured(3, pruned(0.5), count=8))
        save_network(store.folder, 2, b"network")
        store.add_final(FINAL)
        store.add_final(replace(FINAL, number=2))
        store.add_final(replace(FINAL, number=3))
        store.set_original_accuracy("val", 0.9)
    with Store.open(tmp_path / "a", IDENTITY) as target, Store.read(tmp_path / "b") as source:
        conflict = Conflict(2, 3, "count", 7, 8)
        assert merge(target, source) == MergeResult(1, 2, (conflict,))
        assert target.trials() == (
            measured(1, BASELINE),
            measured(2, pruned(0.5), count=7),
            measured(3, pruned(0.25)),
        )
        assert network_path(target.folder, 3).read_bytes() == b"network"
        assert target.finals() == (FINAL, replace(FINAL, number=3))
        assert target.original_accuracies() == {"val": 0.9}
        assert merge(target, source) == MergeResult(0, 3, (conflict,))
        with pytest.raises(UserError, match="into itself"):
            merge(target, target)


def test_merge_brings_the_networks_that_a_table_could_not(tmp_path: Path) -> None:
    other = measured(3, pruned(0.5), program_sha256="another")
    make_store(tmp_path / "a", measured(1, BASELINE), measured(2, pruned(0.25)), other)
    save_network(tmp_path / "a", 2, b"ours")
    make_store(tmp_path / "b", *(measured(n, pruned(1 / n)) for n in (2, 4)), measured(7, BASELINE))
    for number in (2, 4, 7):
        save_network(tmp_path / "b", number, b"theirs")
    with Store.open(tmp_path / "a", IDENTITY) as target, Store.read(tmp_path / "b") as source:
        merge(target, source)
    networks = {path.name: path.read_bytes() for path in (tmp_path / "a" / "trials").iterdir()}
    assert networks == {"0001.tflite": b"theirs", "0002.tflite": b"ours"}


def test_merge_brings_the_original_and_refuses_another(tmp_path: Path) -> None:
    for name, weights in (("a", None), ("b", b"weights"), ("c", b"others")):
        make_store(tmp_path / name, measured(1, pruned(1 / ord(name))))
        if weights:
            (tmp_path / name / "original.pt").write_bytes(weights)
    with Store.open(tmp_path / "a", IDENTITY) as target:
        with Store.read(tmp_path / "b") as source:
            merge(target, source)
            merge(target, source)
        with (
            Store.read(tmp_path / "c") as source,
            pytest.raises(UserError, match=r"a/original\.pt differs from .*c/original"),
        ):
            merge(target, source)
        assert target.count() == 2
    assert (tmp_path / "a" / "original.pt").read_bytes() == b"weights"


def test_merge_of_another_run_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path / "a")
    with Store.open(tmp_path / "b", replace(IDENTITY, seed=2)) as store:
        store.add(measured(1, BASELINE))
    with Store.open(tmp_path / "a", IDENTITY) as target, Store.read(tmp_path / "b") as source:
        with pytest.raises(UserError, match="seed 2"):
            merge(target, source)
        assert target.trials() == ()
