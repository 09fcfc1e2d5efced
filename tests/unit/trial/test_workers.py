"""Worker processes: one context each, errors are returned, a death is reported, nothing hangs."""

import multiprocessing
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from compress.errors import UserError
from hil.trial.jobs import WorkerDied, result_of
from hil.trial.workers import Workers


def start() -> dict[str, int]:
    return {"pid": os.getpid(), "jobs": 0}


def start_without_tools() -> None:
    raise UserError("no compiler: apt install one")


def mark(folder: Path) -> None:
    (folder / str(os.getpid())).touch()


def count(context: dict[str, int], more: int) -> tuple[int, int]:
    context["jobs"] += more
    return context["pid"], context["jobs"]


def fail(context: dict[str, int]) -> None:
    raise UserError(f"no, says {context['pid']}")


def die(context: dict[str, int]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt_yourself(context: dict[str, int]) -> str:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)
    return "still here"


def sleep(context: dict[str, int], mark: Path) -> None:
    mark.write_text(str(context["pid"]))
    time.sleep(60)


def test_each_process_keeps_its_context() -> None:
    with Workers(1, start) as workers:
        first = result_of(workers.submit(count, 2))
        second = result_of(workers.submit(count, 3))
    assert first[0] == second[0] != os.getpid()
    assert (first[1], second[1]) == (2, 5)


def test_processes_start_before_there_is_work(tmp_path: Path) -> None:
    with Workers(2, partial(mark, tmp_path)):
        until = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_errors_come_back_as_they_are_and_ctrl_c_is_the_parents() -> None:
    with Workers(1, start) as workers:
        with pytest.raises(UserError, match="no, says"):
            result_of(workers.submit(fail))
        assert result_of(workers.submit(interrupt_yourself)) == "still here"


def test_what_a_process_lacks_to_start_comes_back_as_it_is() -> None:
    with (
        Workers(2, start_without_tools) as workers,
        pytest.raises(UserError, match="no compiler: apt install one"),
    ):
        result_of(workers.submit(count, 1))


def start_without_module() -> None:
    import no_such_module  # type: ignore[import-not-found]  # noqa: F401


def test_why_a_worker_cannot_start_is_told() -> None:
    with (
        Workers(1, start_without_module) as workers,
        pytest.raises(WorkerDied, match="cannot start: ModuleNotFoundError: No module named"),
    ):
        result_of(workers.submit(count, 1))


def start_for_ever() -> None:
    time.sleep(1000)


def test_a_worker_that_does_not_start_in_time_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.trial.workers.START_S", 0.5)
    with Workers(1, start_for_ever) as workers, pytest.raises(WorkerDied, match="too slow"):
        result_of(workers.submit(count, 1))


def test_a_dead_worker_is_told() -> None:
    with Workers(2, start) as workers, pytest.raises(WorkerDied, match="finished trials are kept"):
        result_of(workers.submit(die))


def _interrupted(mark: Path) -> None:
    with Workers(1, start) as workers:
        workers.submit(sleep, mark)
        while not mark.exists() or not mark.read_text():
            time.sleep(0.05)
        raise KeyboardInterrupt


def test_leaving_with_an_error_kills_what_runs(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        _interrupted(mark)
    assert time.monotonic() - began < 50  # the job would sleep for 60 s
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def stop_yourself(context: dict[str, int]) -> None:
    """Stop this process a moment after its answer, as Ctrl-Z or a debugger would."""
    if os.fork() == 0:
        time.sleep(0.3)
        os.kill(context["pid"], signal.SIGSTOP)
        os._exit(0)


def test_a_stopped_worker_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.trial.workers.END_S", 0.5)
    with Workers(1, start) as workers:
        result_of(workers.submit(stop_yourself))
        time.sleep(1.0)


def test_an_interrupt_while_workers_end_kills_them() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def be_interrupted() -> None:
        with Workers(1, start) as workers:
            result_of(workers.submit(stop_yourself))
            time.sleep(1.0)
            signal.setitimer(signal.ITIMER_REAL, 0.5)

    others = set(multiprocessing.active_children())  # of pools that other tests keep
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            be_interrupted()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    # The pool's own thread may have waited for a process and not noted it yet.
    until = time.monotonic() + 60
    while (left := set(multiprocessing.active_children()) - others) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left
