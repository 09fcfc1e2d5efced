"""A batch: the order of its proposals, the cut by the budget, and proposals already stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from compress.genome import Distill, Genome, Prune, Quantize
from helpers.trials import BASELINE, AnsweringPool
from hil.board import load_board
from hil.errors import NoReply
from hil.loop.batch import run_batch
from hil.loop.progress import SearchProgress
from hil.loop.stop import StopRule
from hil.objective.goal import Goal
from hil.search.engine import Proposal
from hil.store.store import RunIdentity, Store
from hil.types import Trial


@dataclass(frozen=True)
class Budget:
    trials: int = 100
    minutes: float = 60.0
    patience_trials: int = 100


def trained(epochs: float) -> Genome:
    return Genome((Prune((0.5,), scope="uniform", epochs=epochs), Quantize()))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path, RunIdentity("digits", "m4", 0, "5e"))


def run(
    proposals: list[Proposal], store: Store, pool: AnsweringPool, budget: Budget
) -> list[Trial]:
    goal = Goal.of(load_board("m4"), 0.9)
    return run_batch(proposals, store, pool, StopRule(budget, goal), SearchProgress(budget, goal))


def test_the_longest_start_first_after_what_needs_no_training(store: Store) -> None:
    genomes = [trained(1), trained(4), BASELINE, trained(0.5), trained(2)]
    pool = AnsweringPool()
    with store:
        store.begin_session(0.9)
        told = run([Proposal(genome) for genome in genomes], store, pool, Budget())
    assert [trial.genome for trial in told] == genomes
    assert pool.tried == [genomes[i].key for i in (2, 1, 4, 0, 3)]


def test_of_equal_epochs_the_costlier_start_first(store: Store) -> None:
    """Fake quantization, feature distillation and compressed teachers make epochs longer."""
    genomes = [
        trained(2),
        Genome((Quantize(epochs=2),)),
        Genome((Quantize(epochs=2, learn_ranges=True),)),
        Genome((Distill(epochs=2, features="attention"), Quantize())),
        Genome((Quantize(learn_ranges=True), Distill(epochs=2, teacher="compressed"))),
    ]
    pool = AnsweringPool()
    with store:
        store.begin_session(0.9)
        run([Proposal(genome) for genome in genomes], store, pool, Budget())
    assert pool.tried == [genomes[i].key for i in (4, 2, 1, 3, 0)]


def test_a_budget_cuts_off_what_is_wanted_least_not_what_is_short(store: Store) -> None:
    genomes = [trained(1), BASELINE, trained(2), trained(8)]
    pool = AnsweringPool()
    with store:
        store.begin_session(0.9)
        told = run([Proposal(g) for g in genomes], store, pool, Budget(trials=3))
        assert [trial.genome for trial in told] == genomes[:3]
        assert run([Proposal(g) for g in genomes], store, pool, Budget(trials=4))[3:]
    assert pool.tried == [genomes[i].key for i in (1, 2, 0, 3)]


def test_what_ended_beside_a_failure_is_kept(store: Store) -> None:
    """Eight futures, one of them failed, end at once, in the arbitrary order of a set."""
    genomes = [trained(epochs) for epochs in range(1, 9)]
    with store:
        store.begin_session(0.9)
        with pytest.raises(NoReply):
            run([Proposal(g) for g in genomes], store, AnsweringPool(8, genomes[3:4]), Budget())
        assert store.count() == 7


def test_screening_is_no_trial_of_the_budget(store: Store) -> None:
    pool = AnsweringPool()
    cheap = [Proposal(trained(epochs), 0.0) for epochs in (1, 2, 3, 4)]
    with store:
        store.begin_session(0.9)
        assert len(run(cheap, store, pool, Budget(trials=2))) == 4
        full = [Proposal(proposal.genome) for proposal in cheap]
        assert len(run(full, store, pool, Budget(trials=2))) == 2
