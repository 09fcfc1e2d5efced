"""The replay of an arm: told known trials, kept within its budget, deterministic."""

from __future__ import annotations

from collections.abc import Sequence

from compress.genome import Genome, Prune, Quantize
from helpers.search_world import GOAL, SPACE
from helpers.trials import measured
from hil.search.adaptive import LadderSearch
from hil.search.engine import Proposal
from hil.study.arm_replay import ArmBudget, ArmReplay
from hil.study.arms import Arm, Sweep
from hil.types import Trial

ARM = Arm("made-up", "made up", "search", lambda original, goal, seed: Counting())


def genome(number: int) -> Genome:
    return Genome((Prune((1 / (number + 2),), epochs=2), Quantize()))


class Counting:
    """Asks for the next three of all genomes, the first of them at a lower fidelity."""

    def __init__(self) -> None:
        self.asked = 0
        self.told: list[list[int]] = []

    def ask(self) -> list[Proposal]:
        first = self.asked
        self.asked += 3
        fidelities = (0.25, 1.0, 1.0)
        return [Proposal(genome(first + i), f) for i, f in enumerate(fidelities)]

    def tell(self, trials: Sequence[Trial]) -> None:
        self.told.append([trial.number for trial in trials])


def answers(up_to: int) -> dict[tuple[str, float, int], Trial]:
    proposals: list[Proposal] = []
    engine = Counting()
    for _ in range(up_to):
        proposals += engine.ask()
    return {p.key: measured(i, p.genome, fidelity=p.fidelity) for i, p in enumerate(proposals)}


def test_it_replays_known_trials_and_returns_the_missing_proposals() -> None:
    engine, known = Counting(), answers(2)
    replay = ArmReplay(ARM, engine, ArmBudget(100, 1000.0))
    missing = replay.advance(lambda p: known.get(p.key))
    assert [p.key for p in missing] == [p.key for p in batch_after(2)]
    assert engine.told == [[0, 1, 2], [3, 4, 5]]
    # Nothing new: the same is missing, nothing is told twice.
    assert replay.advance(lambda p: known.get(p.key)) == missing
    assert len(engine.told) == 2


def batch_after(batch: int) -> list[Proposal]:
    engine = Counting()
    for _ in range(batch):
        engine.ask()
    return engine.ask()


def test_a_batch_is_told_only_when_all_its_trials_are_known() -> None:
    engine, known = Counting(), answers(1)
    (first, *_) = known.items()
    replay = ArmReplay(ARM, engine, ArmBudget(100, 1000.0))
    partly = dict([first])
    missing = replay.advance(lambda p: partly.get(p.key))
    assert len(missing) == 2
    assert engine.told == []


def test_measurements_and_epochs_are_each_a_limit() -> None:
    known = answers(50)
    replay = ArmReplay(ARM, Counting(), ArmBudget(5, 1000.0))
    assert replay.advance(lambda p: known.get(p.key)) == []
    assert replay.over
    assert sum(t.fidelity == 1.0 for t in replay.told) == 5
    # A batch takes 2 * 0.25 + 2 + 2 = 4.5 epochs: two batches and the first of the third fit in 10.
    replay = ArmReplay(ARM, Counting(), ArmBudget(100, 10.0))
    replay.advance(lambda p: known.get(p.key))
    assert len(replay.told) == 7
    assert sum(t.genome.epochs * t.fidelity for t in replay.told) <= 10.0


def test_the_trace_has_the_reason_for_the_end() -> None:
    known = answers(50)

    def find(proposal: Proposal) -> Trial | None:
        return known.get(proposal.key)

    # Each batch has two to measure: 4 are the whole of two batches, 5 end within the third.
    for budget, ended in (
        (ArmBudget(4, 1000.0), "measurements"),
        (ArmBudget(5, 1000.0), "measurements"),
        (ArmBudget(100, 10.0), "epochs"),
        (ArmBudget(100, 9.0), "epochs"),
    ):
        replay = ArmReplay(ARM, Counting(), budget)
        replay.advance(find)
        assert replay.trace(0).ended == ended
        assert replay.trace(0).finished
    for measurements in (2, 3):  # as many as it has settings, or more
        swept = ArmReplay(ARM, Sweep([genome(1), genome(2)], 0), ArmBudget(measurements, 1000.0))
        assert swept.trace(0).ended is None
        swept.advance(lambda p: measured(1, p.genome))
        assert swept.trace(0).ended == "settings"
    under_way = ArmReplay(ARM, Counting(), ArmBudget(1000, 1000.0))
    under_way.advance(find)
    assert under_way.trace(0).ended is None
    assert not under_way.trace(0).finished


def test_the_trace_has_the_warm_start_of_the_engine() -> None:
    assert ArmReplay(ARM, Counting(), ArmBudget(1, 1.0)).trace(0).warm == frozenset()
    warm = [genome(0), genome(2)]
    replay = ArmReplay(ARM, LadderSearch(SPACE, GOAL, 0, warm), ArmBudget(1, 1.0))
    assert replay.trace(0).warm == {genome(0).key, genome(2).key}


def test_a_sweep_tries_every_setting_once_in_an_order_given_by_the_seed() -> None:
    settings = [genome(i) for i in range(9)]
    orders = []
    for seed in (0, 0, 1):
        sweep, order = Sweep([*settings, *settings], seed), []
        while batch := sweep.ask():
            order += [proposal.genome.key for proposal in batch]
            sweep.tell([])
        orders.append(order)
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])
    assert len(set(orders[0])) == len(orders[0]) == 9
