"""Training that is killed and continued ends with the weights of an uninterrupted one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from compress.genome import Distill, Elastic, Genome, Pick, Prune, Quantize, Sparsify
from compress.pipeline.pipeline import compress
from compress.pipeline.prefix_cache import PrefixCache
from compress.tflite.exporter import export_tflite
from compress.training.checkpoint import Checkpoint
from compress.training.train import Schedule, fit
from compress.types import Recipe
from helpers.networks import original

GENOMES = (
    Genome((Prune((0.5,), scope="uniform", epochs=2, rounds=2), Quantize())),
    Genome((Quantize((4,), learn_ranges=True, epochs=2),)),
    Genome((Sparsify(0.5, epochs=2), Quantize())),
    Genome((Quantize(learn_ranges=True), Distill("both", features="hints", width=0.5, epochs=2))),
    Genome((Distill(features="attention", width=0.5, fresh=True, epochs=2), Quantize())),
    Genome((Elastic(epochs=2), Pick((0.5, 0.75)), Quantize())),
    Genome((Elastic(bits=(8, 2), epochs=2), Pick((0.5, 0.75), bits=(2,)), Quantize((2,)))),
    Genome((Quantize((4,), granularity="tensor"), Elastic(epochs=2), Pick((0.5, 0.75)))),
    Genome((Quantize((4,), learn_ranges=True), Elastic(epochs=2), Pick((0.5, 0.75)))),
)


class Cut(Exception):
    """Simulates a kill."""


class Counting(PrefixCache):
    """Writes a checkpoint after every batch and dies after `dies_after` of them."""

    batches = 0
    dies_after = 10**9

    def checkpoint(self, prefix: tuple[object, ...]) -> Checkpoint:
        return replace(super().checkpoint(prefix), interval_s=0.0)  # type: ignore[arg-type]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counting:
    cache, save_if_due = Counting(tmp_path / "prefixes", "test"), Checkpoint.save_if_due

    def noted(checkpoint: Checkpoint, steps: int, *state: object) -> None:
        save_if_due(checkpoint, steps, *state)  # type: ignore[arg-type]
        cache.batches += 1
        if cache.batches == cache.dies_after:
            raise Cut

    monkeypatch.setattr(Checkpoint, "save_if_due", noted)
    return cache


def answer(genome: Genome, cache: PrefixCache | None) -> bytes:
    return export_tflite(compress(genome, original("mobile"), cache).graph)


@pytest.mark.parametrize("genome", GENOMES, ids=lambda genome: genome.order)
def test_cut_off_training_goes_on_to_the_same_weights(genome: Genome, cache: Counting) -> None:
    wanted = answer(genome, None)
    assert cache.batches == 0
    assert answer(genome, PrefixCache(cache.folder.with_name("other"), "test")) == wanted
    whole, cache.batches = cache.batches, 0
    assert whole >= 4
    for cache.dies_after in (1, whole // 2, whole - 1):
        with pytest.raises(Cut):
            answer(genome, cache)
    cache.dies_after = 10**9
    assert answer(genome, cache) == wanted
    assert cache.batches == whole  # none was trained twice


def test_dropout_goes_on_with_the_numbers_it_would_have_drawn(cache: Counting) -> None:
    split = original("mobile").data.train
    wide = split.x[0].size

    def trained(checkpoint: Checkpoint | None) -> torch.Tensor:
        torch.manual_seed(0)
        module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(wide, 10))
        schedule = Schedule(Recipe(1, 16, 0.01), 2, 0)
        fit(module, split, schedule, checkpoint=checkpoint)
        return module[2].weight.detach()

    wanted, cache.dies_after = trained(None), 3
    with pytest.raises(Cut):
        trained(Checkpoint(cache.folder / "dropout", 0.0))
    assert torch.equal(trained(Checkpoint(cache.folder / "dropout", 0.0)), wanted)


def test_a_finished_stage_leaves_no_checkpoint(cache: Counting) -> None:
    answer(GENOMES[0], cache)
    assert len(list(cache.folder.iterdir())) == 1


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_checkpoint_is_done_without(cache: Counting, damage: bytes | None) -> None:
    genome = GENOMES[1]
    wanted = answer(genome, None)
    cache.dies_after = 3
    with pytest.raises(Cut):
        answer(genome, cache)
    (path,) = cache.folder.iterdir()
    path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
    assert answer(genome, cache) == wanted


def test_a_checkpoint_is_written_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a batch each half second, the state is written at every fourth, two seconds apart."""
    steps = 0
    monkeypatch.setattr("compress.training.checkpoint.time.monotonic", lambda: steps / 2)
    written: list[Path] = []
    monkeypatch.setattr(
        "compress.training.checkpoint.write_object", lambda path, _: written.append(path)
    )
    checkpoint, counts = Checkpoint(tmp_path / "state", interval_s=2.0, _written=0.0), []
    module = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=20)
    for steps in range(1, 11):
        checkpoint.save_if_due(steps, module, (), optimizer, cycle)
        counts.append(len(written))
    assert counts == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
