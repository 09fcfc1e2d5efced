"""Arms side by side over one store: shared trials, equal progress, the deadline."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from compress.genome import Elastic, Genome, Pick, Prune, Quantize
from helpers.trials import AnsweringPool, measured
from hil.board import load_board
from hil.cli.study import ended_by_signals
from hil.errors import NoReply
from hil.loop.finals import measure_finals
from hil.search.engine import Proposal
from hil.store.store import RunIdentity, Store
from hil.study.arm_replay import ArmBudget, ArmReplay
from hil.study.arms import Arm, Sweep
from hil.study.gaps import gaps
from hil.study.study import Deadline, Ended, StudySettings, run_arms, study
from hil.trial.candidate import Outcome
from hil.trial.charges import LookPrices
from hil.trial.start import Start
from hil.types import Board, Trial


def genome(number: int) -> Genome:
    return Genome((Prune((0.25 + number / 100,), scope="uniform"), Quantize()))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path, RunIdentity("digits", "m4", 0, "5e"))


def replay(name: str, numbers: range, budget: ArmBudget) -> ArmReplay:
    arm = Arm(name, name, "single", lambda original, goal, seed: engine)
    engine = Sweep(map(genome, numbers), seed=0)
    return ArmReplay(arm, engine, budget)


def show(share: float, text: str) -> None:
    assert 0.0 <= share <= 1.0
    assert text


def test_a_proposal_of_several_arms_is_tried_once_and_told_to_all(store: Store) -> None:
    budget, pool = ArmBudget(100, 1000.0), AnsweringPool()
    replays = [replay("a", range(20), budget), replay("b", range(10, 30), budget)]
    with store:
        store.begin_session(0.9)
        run_arms(replays, store, pool, Deadline(60.0), budget, show)
        assert store.count() == 30
    assert set(Counter(pool.tried).values()) == {1}
    assert [len(one.told) for one in replays] == [20, 20]
    assert all(one.over for one in replays)


def test_looks_at_one_elastic_network_share_jobs_as_in_a_search(store: Store) -> None:
    """Those of two arms, too; each is looked at once."""
    elastic = Elastic(epochs=4)

    def looks(first: int, last: int) -> list[Proposal]:
        kept = [(number / 100,) for number in range(first, last)]
        return [Proposal(Genome((elastic, Pick(keep), Quantize())), fidelity=0.0) for keep in kept]

    class Looking:
        def __init__(self, wanted: list[Proposal]) -> None:
            self.batches = [[Proposal(Genome((elastic, Quantize())))], wanted]

        def ask(self) -> list[Proposal]:
            return self.batches.pop(0) if self.batches else []

        def tell(self, trials: Sequence[Trial]) -> None: ...

    budget, pool = ArmBudget(100, 1000.0), AnsweringPool()
    arm = Arm("a", "a", "search", lambda *_: Looking([]))
    replays = [
        ArmReplay(arm, Looking(looks(*part)), budget, LookPrices(inherited=1.0))
        for part in ((20, 60), (40, 80))
    ]
    with store:
        store.begin_session(0.9)
        run_arms(replays, store, pool, Deadline(60.0), budget, show)
    assert sorted(key for job in pool.looked for key in job) == sorted(
        {proposal.genome.key for proposal in looks(20, 80)}
    )
    assert 2 <= max(map(len, pool.looked)) <= 16
    assert len(pool.looked) < 20
    for one, part in zip(replays, ((20, 60), (40, 80)), strict=True):
        assert len(one.told) == 41
        paid = 4 * 3 + sum((number / 100) ** 2 for number in range(*part))
        assert one.trace(0).epochs == pytest.approx(paid)


def test_arms_progress_at_the_same_rate(store: Store) -> None:
    budget, pool = ArmBudget(100, 1000.0), AnsweringPool()
    replays = [replay("long", range(40), budget), replay("other", range(40, 80), budget)]
    first = {genome(i).key for i in range(40)}
    with store:
        store.begin_session(0.9)
        run_arms(replays, store, pool, Deadline(60.0), budget, show)
    for length in range(4, 80, 4):
        of_first = sum(key in first for key in pool.tried[:length])
        assert abs(of_first - length / 2) <= 4


def test_nothing_is_started_after_the_deadline_and_the_rest_is_done_next_time(
    store: Store,
) -> None:
    budget, pool = ArmBudget(100, 1000.0), AnsweringPool()
    with store:
        store.begin_session(0.9)
        run_arms([replay("a", range(9), budget)], store, pool, Deadline(0.0), budget, show)
        assert pool.tried == []
        run_arms([replay("a", range(9), budget)], store, pool, Deadline(60.0), budget, show)
        again = replay("a", range(9), budget)
        run_arms([again], store, pool, Deadline(60.0), budget, show)
    assert len(pool.tried) == 9
    assert len(again.told) == 9


def test_trials_that_ended_beside_a_failure_are_kept(store: Store) -> None:
    budget, pool = ArmBudget(100, 1000.0), AnsweringPool(8, [genome(0)])
    arms = [replay("a", range(4), budget), replay("b", range(4, 8), budget)]
    with store:
        store.begin_session(0.9)
        with pytest.raises(NoReply):
            run_arms(arms, store, pool, Deadline(60.0), budget, show)
        assert store.count() == len(pool.tried) - 1 >= 4


def test_an_ended_study_abandons_running_trials_and_replays_finished_ones(store: Store) -> None:
    budget, deadline = ArmBudget(100, 1000.0), Deadline(60.0)
    with store:
        store.begin_session(0.9)
        run_arms([replay("a", range(3), budget)], store, AnsweringPool(), deadline, budget, show)
        again = replay("a", range(9), budget)
        pool = Training(lambda: deadline.end())
        with pytest.raises(Ended):  # a training that is under way is not waited for
            run_arms([again], store, pool, deadline, budget, show)
        other = replay("b", range(2), budget)
        run_arms([other], store, pool, deadline, budget, show)
    assert len(other.told) == 2
    assert len(pool.tried) == 2


def test_the_first_ctrl_c_ends_a_study_and_the_second_leaves_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before, deadline = signal.getsignal(signal.SIGINT), Deadline(60.0)
    with ended_by_signals(deadline.end):
        assert not deadline.over
        signal.raise_signal(signal.SIGINT)
        assert deadline.over
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before
    assert len(capsys.readouterr().err.splitlines()) == 1


class Training(AnsweringPool):
    """A pool whose trainings never end."""

    def __init__(self, begun: Callable[[], None]) -> None:
        super().__init__()
        self.begun = begun

    def trial(self, number: int, proposal: Proposal) -> Future[Outcome]:
        self.tried.append(proposal.genome.key)
        if len(self.tried) == self.count:
            self.begun()
        return Future()


def test_networks_are_tested_once_and_made_again_where_only_the_log_has_them(
    store: Store,
) -> None:
    pool = AnsweringPool()
    with store:
        store.begin_session(0.9)
        here, logged = measured(1, genome(1)), measured(2, genome(2))
        other = measured(3, genome(3), program_sha256="another machine's")
        for trial in (here, logged, other):
            store.add(trial)
        folder = store.folder / "trials"
        folder.mkdir()
        (folder / "0001.tflite").write_bytes(b"network")
        assert measure_finals((here, logged, other), store, pool, show) == {3}
        assert measure_finals((here, logged), store, pool, show) == frozenset()
        assert [final.number for final in store.finals()] == [1, 2]
    assert pool.tested == [1, 2]
    assert pool.tried == [genome(2).key, genome(3).key]


def test_the_second_ctrl_c_leaves_a_study_that_is_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while a pool is open, where the first one is awaited."""
    deadline, pool = Deadline(60.0), Training(lambda: deadline.end())
    ended = made_up_study(tmp_path, monkeypatch, pool)
    assert study(ended, deadline, show).seeds == (2,)

    def again(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hil.study.study.run_arms", again)
    with pytest.raises(KeyboardInterrupt):
        study(ended, deadline, show)


def test_an_ended_study_tells_which_seeds_it_did_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = made_up_study(tmp_path, monkeypatch, AnsweringPool(), seeds=(2, 3, 4))
    begun = replace(settings, seeds=(2, 3))
    assert study(begun, Deadline(60.0), show).not_begun == ()
    ended = Deadline(60.0)
    ended.end()
    result = study(settings, ended, show)
    assert (result.seeds, result.not_begun) == ((2, 3), (4,))
    assert "not begun: seed 4" in gaps(result)


def made_up_study(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    pool: AnsweringPool,
    seeds: tuple[int, ...] = (2,),
) -> StudySettings:
    """A study of one arm on `pool`, for which nothing is trained."""

    def prepare(task: str, board: Board, seed: int, place: Path) -> Start:
        (place / "original.pt").write_bytes(b"weights")
        return Start(task, board, seed, place, b"weights")

    monkeypatch.setattr(Start, "prepare", prepare)
    monkeypatch.setattr(Start, "original", lambda start: None)
    monkeypatch.setattr("hil.study.study.adopt_sensitivity", lambda *_: None)
    monkeypatch.setattr(LookPrices, "of", lambda _: LookPrices())
    monkeypatch.setattr("hil.study.study._float_accuracies", lambda *_: {"val": 0.9, "test": 0.9})
    monkeypatch.setattr("hil.study.study.LocalPool", lambda *_: pool)
    arm = Arm("int8", "int8 only", "single", lambda *_: Sweep(map(genome, range(9)), seed=0))
    places = folder / "runs", folder / "log"
    return StudySettings("digits", load_board("m4"), *places, seeds, (arm,), ArmBudget(100, 1000.0))
