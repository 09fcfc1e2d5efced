"""A batch: the order of its proposals, the cut by the budget, and proposals already stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from compress.genome import Distill, Elastic, Genome, Pick, Prune, Quantize
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


def looks(count: int) -> list[Proposal]:
    """Sub-networks of one elastic network."""
    elastic = Elastic(epochs=2)
    return [
        Proposal(Genome((elastic, Pick((1 - i / 100,)), Quantize())), 0.0) for i in range(count)
    ]


def test_looks_at_one_elastic_network_share_jobs_and_are_not_repeated(store: Store) -> None:
    pool = AnsweringPool()
    with store:
        store.begin_session(0.9)
        told = run(looks(40), store, pool, Budget(trials=2))
        assert [trial.genome for trial in told] == [one.genome for one in looks(40)]
        assert [trial.number for trial in store.trials()] == list(range(1, 41))
        assert sorted(map(len, pool.looked)) == [10] * 4
        assert store.count() == 0
        assert store.count_screened() == 40
        run(looks(41), store, pool, Budget(trials=2))
    assert len(pool.looked) == 5
    assert len(pool.looked[-1]) == 1


def test_what_was_looked_at_before_a_failure_is_kept(store: Store) -> None:
    with store:
        store.begin_session(0.9)
        fatal = trained(1)
        pool = AnsweringPool(8, [fatal])
        with pytest.raises(NoReply):
            run([Proposal(fatal), *looks(7)], store, pool, Budget())
        assert store.count_screened() == 7


def test_repeats_of_a_genome_are_trials_of_their_own(store: Store) -> None:
    pool = AnsweringPool()
    proposals = [Proposal(trained(1), repeat=number) for number in range(3)]
    with store:
        store.begin_session(0.9)
        told = run(proposals, store, pool, Budget())
        assert [trial.repeat for trial in told] == [0, 1, 2]
        assert [trial.repeat for trial in store.trials()] == [0, 1, 2]
        assert run(proposals, store, pool, Budget()) == told
    assert len(pool.tried) == 3
