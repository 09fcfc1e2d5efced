"""A farm of real processes: whoever dies, no trial is lost and none is measured twice."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from compress.cache import cache_folder
from compress.errors import UserError
from compress.genome import Distill, Elastic, Genome, Pick, Prune, Quantize
from helpers.checkout import ROOT
from helpers.farms import LIMIT_S, Farm, farm_of_one_worker, kill, train
from hil.board import board_sha256, load_board
from hil.errors import BenchError
from hil.farm.pool import FarmPool
from hil.loop.batch import run_batch
from hil.loop.progress import SearchProgress
from hil.loop.stop import StopRule
from hil.objective.goal import Goal
from hil.search.engine import Proposal
from hil.store.run_folder import network_path
from hil.store.store import RunIdentity, Store
from hil.trial.pool import LocalPool, Watched
from hil.trial.start import Start
from hil.trial.training_file import Training
from hil.types import Trial

BOARD = "m3"
TASK = str(ROOT / "tests" / "helpers" / "small_task.py")
SHORT = Proposal(Genome((Quantize(),)))
PROPOSALS = [
    SHORT,
    *(
        Proposal(Genome((Prune((keep,), scope="uniform", epochs=epochs), Quantize((bits,)))))
        for keep in (0.75, 0.5)
        for epochs in (0, 1)
        for bits in (8, 4)
    ),
    Proposal(Genome((Distill(width=0.5, epochs=1), Quantize()))),
    Proposal(Genome((Prune((0.5,), scope="uniform", epochs=1), Quantize())), 0.5),
    Proposal(Genome((Prune((0.25,) * 99, epochs=1), Quantize()))),  # infeasible: no such groups
]
LOOKS = [
    Proposal(Genome((Elastic(epochs=0.2), Pick((keep, 1.0)), Quantize())), 0.0)
    for keep in (1.0, 0.5)
]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    folder = tmp_path_factory.mktemp("run")
    return Start.prepare(TASK, load_board(BOARD), 0, folder)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """It finds what is built once in its cache, but no trained network."""
    folder = tmp_path_factory.mktemp("farm")
    cache = folder / "cache" / "hil-compress"
    for entry in cache_folder().glob("*/*"):
        kind = entry.parent.name
        if kind not in ("prefixes", "farm"):
            (cache / kind).mkdir(parents=True, exist_ok=True)
            (cache / kind / entry.name).symlink_to(entry)
    with farm_of_one_worker(folder) as farm:
        yield farm


@pytest.fixture(autouse=True)
def _no_bench_is_left(farm: Farm) -> Iterator[None]:
    yield
    while len(farm.processes) > 2:
        kill(farm.processes.pop())


def tried(proposals: list[Proposal], start: Start, pool: FarmPool) -> list[Trial]:
    """A batch, run into the store of the run's folder."""
    board = start.board
    budget = SimpleNamespace(trials=100, minutes=60.0, patience_trials=100)
    goal = Goal.of(board, 0.9)
    identity = RunIdentity(start.task, board.name, start.seed, board_sha256(board))
    with Store.open(start.folder, identity) as store, SearchProgress(budget, goal) as progress:
        store.begin_session(goal.accuracy)
        rule = StopRule(budget, goal)
        trials = run_batch(proposals, store, pool, rule, progress)
        assert sorted(t.number for t in store.trials()) == sorted(t.number for t in trials)
    return trials


def result(trial: Trial) -> object:
    """What must not depend on where a trial ran."""
    return trial.accuracy, trial.measurement, trial.program_sha256, trial.estimate


def test_no_trial_is_lost_and_none_measured_twice(farm: Farm, start: Start) -> None:
    """One bench dies for good with its first answer unsent, the other in its first measurement."""
    benches = [farm.work("--board", BOARD, dies=dies) for dies in ("answering", "measuring")]
    with FarmPool(farm.address, start) as pool:
        assert pool.count == 3 + 2 + 2
        trials = tried(PROPOSALS, start, pool)
        number = trials[0].number
        network = network_path(start.folder, number).read_bytes()
        figures = pool.final(number, network).result(LIMIT_S)
        looked = [outcome.trial for outcome in pool.inherited(50, LOOKS).result(LIMIT_S)]
    assert [(t.genome.key, t.fidelity, t.repeat) for t in trials] == [p.key for p in PROPOSALS]
    assert [t.state for t in trials[-2:]] == ["screened", "infeasible"]
    assert {t.state for t in trials[:-2]} == {"measured"}
    assert {path.name for path in farm.folder.glob("died-*")} == {
        "died-answering", "died-measuring",
    }  # fmt: skip
    assert benches[0].wait(LIMIT_S) == -signal.SIGKILL
    log = farm.log()
    assert Counter(key for key, _ in log) == Counter(p.key[:2] for p in PROPOSALS[:-2])
    assert [worker for _, worker in log].count("answering") == 1
    with LocalPool(1, replace(start, folder=start.folder / "local").open) as local:
        assert local.final(number, network).result(LIMIT_S) == figures
        here = [outcome.trial for outcome in local.inherited(50, LOOKS).result(LIMIT_S)]
        assert [(t.number, t.state) for t in looked] == [(50, "screened"), (51, "screened")]
        assert list(map(result, looked)) == list(map(result, here))
        for proposal, trial in zip(PROPOSALS[3:5], trials[3:5], strict=True):
            assert result(local.trial(0, proposal).result(LIMIT_S).trial) == result(trial)


def test_a_board_that_is_not_there(farm: Farm, start: Start) -> None:
    """None at the start is the user's error; one that leaves is waited for, and not for ever."""
    bench = farm.work("--board", BOARD, "--trainers", "0")
    with pytest.raises(UserError, match=rf"board m4 \(boards there: {BOARD}\)"):
        FarmPool(farm.address, replace(start, board=load_board("m4")))
    with FarmPool(farm.address, start) as pool:
        assert pool.count == 1 + 1 + 2
        kill(bench)
        waiting = pool.trial(0, SHORT)
        late = farm.work("--board", BOARD, "--trainers", "0")
        assert waiting.result(LIMIT_S).trial.state == "measured"
    with FarmPool(farm.address, start, patience_s=1.0) as pool:
        kill(late)
        with pytest.raises(BenchError, match=f"no worker of the farm has board:{BOARD} any more"):
            pool.trial(0, SHORT).result(LIMIT_S)
    with pytest.raises(UserError, match="no worker has a board"):
        FarmPool(farm.address, start)


def test_errors_come_back_with_where_they_arose(farm: Farm, start: Start) -> None:
    """Here: the worker has other sources than the search."""
    farm.work("--board", BOARD)
    with FarmPool(farm.address, start) as pool:
        pool._ticket = replace(pool._ticket, code="hil-compress 0.0.1")
        with pytest.raises(UserError, match=r"the search has hil-compress 0\.0\.1: .*\(on [^,]*\)"):
            pool.trial(0, SHORT).result(LIMIT_S)
        running = pool.trial(0, PROPOSALS[2])
        until = time.monotonic() + LIMIT_S
        while not running.running():  # one that no thread has taken yet is cancelled as such
            assert time.monotonic() < until
            time.sleep(0.01)
    assert isinstance(running.exception(LIMIT_S), BenchError)  # cancelled by leaving
    with pytest.raises(BenchError, match="ended"):
        pool._submit("train", len, ())  # a thread that was about to hand its job in


def test_a_worker_with_other_code_gets_no_jobs(farm: Farm, start: Start, tmp_path: Path) -> None:
    """It may join at any time, and ends no search; the others tell how far their trainings are."""
    other = "from hil.farm import nodes; nodes.code_id = lambda: 'hil-compress 0.0.1'\n"
    farm.work("--board", BOARD, first=other)
    with pytest.raises(UserError, match=r"no worker has a board.*code: hil-compress 0\.0\.1, here"):
        FarmPool(farm.address, start)
    farm.work("--board", BOARD, "--trainers", "0")
    with FarmPool(farm.address, start) as pool:
        assert pool.count == 1 + 1 + 2
        assert isinstance(pool, Watched)
        told, until = [pool.trainings()], time.monotonic() + LIMIT_S
        job = pool._client.submit(train, pool._ticket.session, tmp_path, pure=False)
        while told[-1] or len(told) < 2:  # until the training was told and has ended
            assert time.monotonic() < until
            time.sleep(0.1)
            told += [now] if (now := pool.trainings()) != told[-1] else []
            if now:
                (tmp_path / "seen").touch()
        job.result(LIMIT_S)
    assert told == [(), (Training(3.0, 8.0, None),), ()]


def test_a_scheduler_that_hangs(farm: Farm, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is nobody who trains or measures: a search waits for it, and not for ever."""
    monkeypatch.setattr("hil.farm.pool._CONNECT_S", 1.0)
    farm.work("--board", BOARD)
    try:
        with FarmPool(farm.address, start, patience_s=2.0) as pool:
            os.kill(farm.processes[0].pid, signal.SIGSTOP)
            with pytest.raises(BenchError, match="its scheduler does not answer"):
                pool.trial(0, SHORT).result(LIMIT_S)
            assert pool.count == 2
        with pytest.raises(UserError, match="no farm at"):
            FarmPool(farm.address, start)
    finally:
        os.kill(farm.processes[0].pid, signal.SIGCONT)


def test_the_scheduler_goes_away(farm: Farm, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Last: the search stops with what it has, workers end by themselves, nothing hangs."""
    monkeypatch.setattr("hil.farm.pool._CONNECT_S", 2.0)
    bench = farm.work("--board", BOARD)
    with FarmPool(farm.address, start) as pool:
        kill(farm.processes[0])
        with pytest.raises(BenchError, match="run again"):
            pool.trial(0, SHORT).result(LIMIT_S)
    assert bench.wait(LIMIT_S) == BenchError.exit_code
    with pytest.raises(UserError, match="no farm at"):
        FarmPool(farm.address, start)
