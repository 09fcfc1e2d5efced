"""A network from the prefix cache equals one that is trained again."""

import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from compress.genome import Distill, Genome, Prune, Quantize, Sparsify
from compress.pipeline.network import Network
from compress.pipeline.pipeline import compress, prefix_cache, run_stages
from compress.pipeline.prefix_cache import PrefixCache, Snapshot, identity_of
from compress.scratch import PART
from compress.tflite.exporter import export_tflite
from compress.types import StageCost
from helpers.networks import original

PRUNE = Prune((0.5,), scope="uniform")
LEARNING = Quantize((4,), learn_ranges=True, epochs=1)
GENOMES = (
    Genome((PRUNE, LEARNING, Distill("compressed"))),
    Genome((PRUNE, LEARNING)),
    Genome((PRUNE, Sparsify(0.5), Quantize())),
    Genome((PRUNE, Distill("both", features="hints"), Quantize((4,)), Distill(weight=0.0))),
)


@pytest.fixture
def cache(tmp_path: Path) -> PrefixCache:
    return PrefixCache(tmp_path / "prefixes", "test")


def _entries(cache: PrefixCache) -> list[Path]:
    return sorted(cache.folder.glob("*"))


def _bytes(genome: Genome, cache: PrefixCache | None) -> bytes:
    return export_tflite(compress(genome, original("mobile"), cache).graph)


@pytest.mark.parametrize("genome", GENOMES, ids=lambda genome: genome.order)
def test_a_cached_prefix_changes_nothing_but_the_time(genome: Genome, cache: PrefixCache) -> None:
    for warm in GENOMES:
        compress(warm, original("mobile"), cache)
    assert _bytes(genome, cache) == _bytes(genome, None)
    model = compress(genome, original("mobile"), cache)
    assert all(entry.cached for entry in model.costs[:-1] if entry.epochs)
    assert [c.epochs for c in model.costs] == [*(s.epochs for s in genome.stages), 0]


def test_only_what_trains_is_kept_and_prefixes_are_shared(cache: PrefixCache) -> None:
    run_stages((PRUNE, Quantize()), original("mobile"), cache)
    assert len(_entries(cache)) == 1
    snapshot = run_stages((PRUNE, LEARNING), original("mobile"), cache)
    assert [entry.cached for entry in snapshot.costs] == [True, False]
    assert len(_entries(cache)) == 2


def test_the_seconds_of_a_cached_stage_are_those_of_its_training(cache: PrefixCache) -> None:
    first = run_stages((PRUNE,), original("mobile"), cache).costs[0]
    again = run_stages((PRUNE,), original("mobile"), cache).costs[0]
    assert (first.cached, again.cached) == (False, True)
    assert again.seconds == first.seconds > 0


@pytest.mark.parametrize("cut", [0, 10, -1])
def test_a_damaged_entry_is_made_anew(cache: PrefixCache, cut: int) -> None:
    wanted = _bytes(GENOMES[1], cache)
    for path in _entries(cache):
        data = bytearray(path.read_bytes())
        path.write_bytes(data[:cut] if cut >= 0 else data[:-1] + bytes([data[-1] ^ 1]))
    assert _bytes(GENOMES[1], cache) == wanted
    assert all(entry.cached for entry in compress(GENOMES[1], original("mobile"), cache).costs[:2])


def _snapshot(size: int) -> Snapshot:
    return Snapshot(Network(torch.nn.Linear(size, 64)), (StageCost("prune", 1, 2.0),))


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = PrefixCache(tmp_path, "test", max_bytes=3 * 70_000)
    prefixes = [(Prune((1 / n,)),) for n in range(1, 5)]
    for age, prefix in enumerate(prefixes[:3]):
        cache.keep(prefix, _snapshot(256))
        os.utime(_newest(tmp_path), ns=(age, age))
    assert cache.find(prefixes[0]) is not None  # used now
    cache.keep(prefixes[3], _snapshot(256))
    left = [cache.find(prefix) is not None for prefix in prefixes]
    assert left == [True, False, True, True]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= cache.max_bytes


def _newest(folder: Path) -> Path:
    return max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)


def test_other_originals_sources_and_seeds_are_other_entries(tmp_path: Path) -> None:
    start = original("mobile")
    weights = start.module.state_dict()
    changed = {name: tensor + 1 for name, tensor in weights.items()}
    identities = {
        identity_of(weights, ("a", "1")),
        identity_of(weights, ("a", "2")),
        identity_of(weights, ("a1",)),
        identity_of(changed, ("a", "1")),
    }
    assert len(identities) == 4
    one, other = (PrefixCache(tmp_path, identity) for identity in list(identities)[:2])
    one.keep((PRUNE,), _snapshot(4))
    assert other.find((PRUNE,)) is None
    assert prefix_cache(start).identity == prefix_cache(start).identity
    edited = replace(start, task=replace(start.task, source="hash of a task file"))
    assert prefix_cache(edited).identity != prefix_cache(start).identity


def _hammer(folder: Path, seed: int) -> None:
    cache = PrefixCache(folder, "test", max_bytes=200_000)
    for turn in range(60):
        prefix = (Prune((1 / (1 + (turn * (seed + 1)) % 7),)),)
        found = cache.find(prefix)
        assert found is None or found.costs[0].seconds == 2.0
        cache.keep(prefix, _snapshot(256))


def test_two_processes_may_share_it(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_hammer, args=(tmp_path, seed)) for seed in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert not list(tmp_path.glob(f"*{PART}"))


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert _bytes(GENOMES[1], PrefixCache(blocked / "below", "test")) == _bytes(GENOMES[1], None)
