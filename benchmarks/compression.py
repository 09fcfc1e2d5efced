"""What each compression method does to one task's network on one board: a table, with seeds.

    python benchmarks/compression.py [--task kws] [--board m4] [--seeds 3] [--budget 6]
        [--write docs/results/compression.md]

Every arm (`compression_arms.py`) is compressed, built, run on the board and compared bit for bit
like any candidate; trained arms all have the same budget of epochs. Networks are chosen by nobody:
the test split is looked at once per arm and seed. What is done is kept in runs/compression-*/ and
the same command goes on where it stopped. The raw figures and a picture go beside the Markdown.
"""

import resource
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from pathlib import Path
from typing import TypeVar

import typer
from compression_arms import Arm, arms
from compression_plot import figure_of
from compression_report import Result, grouped, report, write_csv

from compress.ops import Conv2D
from compress.pipeline.pipeline import preview
from hil.board import board_sha256, load_board
from hil.loop.trial_jobs import record_outcomes
from hil.report.plots import write_png
from hil.search.engine import Proposal
from hil.store.run_folder import network_path
from hil.store.store import RunIdentity, Store
from hil.terminal import ProgressLine
from hil.trial.candidate import Outcome
from hil.trial.jobs import result_of
from hil.trial.pool import LocalPool
from hil.trial.start import Start

T = TypeVar("T")

PROCESSES = 2


def main(
    task: str = "kws",
    board: str = "m4",
    seeds: int = 3,
    budget: int = 6,
    write: Path | None = None,
    runs: Path = Path("runs"),
) -> None:
    """Run what is missing, then print (or write) the tables. `budget` is in fine-tuning lengths."""
    facts = load_board(board)
    folder = runs / f"compression-{task}-{board}-{budget}"
    results: list[Result] = []
    with Progress(seeds) as progress:
        for seed in range(seeds):
            place = folder / f"seed{seed}"
            place.mkdir(parents=True, exist_ok=True)
            start = Start.prepare(task, facts, seed, place)
            compared = _arms(start, budget)
            identity = RunIdentity(task, board, seed, board_sha256(facts))
            with Store.open(place, identity) as store:
                store.begin_session(0.0)
                with LocalPool(PROCESSES, start.open) as pool:
                    run_missing(compared, store, pool, partial(progress.show, seed))
                store.end_session("trials")
                finals = {final.number: final for final in store.finals()}
                for arm in compared:
                    trial = store.find(arm.genome)
                    if trial is not None:
                        results.append(Result(arm, seed, trial, finals.get(trial.number)))
    peak_mib = _peak_mib(folder / "peak_mib")
    text = report(results, task, board, budget, write.stem if write else "compression", peak_mib)
    if write is None:
        print(text)
        return
    write.parent.mkdir(parents=True, exist_ok=True)
    write.write_text(text, encoding="utf-8")
    write_csv(results, write.with_suffix(".csv"))
    write_png(figure_of(grouped(results)), write.with_suffix(".png"))


def _peak_mib(kept: Path) -> float:
    """Memory of the largest process so far, of earlier calls, too."""
    now = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    peak = max(now, float(kept.read_text()) if kept.exists() else 0.0)
    kept.write_text(f"{peak:.1f}\n")
    return peak


def _arms(start: Start, budget: int) -> tuple[Arm, ...]:
    """The arms for this task's network, budget in epochs."""
    original = start.original()
    graph = preview(arms(6, (True,) * len(original.layers))[0].genome, original)
    kernels = {
        op.name: graph.tensors[op.weights].shape[1:3] for op in graph.ops if isinstance(op, Conv2D)
    }
    pointwise = tuple(kernels.get(name) == (1, 1) for name in original.layers)
    return arms(budget * original.task.fine_tune.epochs, pointwise)


def run_missing(
    compared: tuple[Arm, ...], store: Store, pool: LocalPool, show: Callable[[float, str], None]
) -> None:
    """Try every arm that the store does not have, then the test split of those measured."""
    missing = [arm for arm in compared if store.find(arm.genome) is None]
    number = store.next_number()
    jobs: dict[Future[Outcome], str] = {
        pool.trial(number + i, Proposal(arm.genome)): arm.name for i, arm in enumerate(missing)
    }
    done = len(compared) - len(missing)
    for future in _ended(jobs):
        record_outcomes(store, [result_of(future)])
        done += 1
        show(done / len(compared), f"{done}/{len(compared)} arms, last: {jobs[future]}")
    known = {final.number for final in store.finals()}
    measured = [t.number for t in store.trials() if t.measurement and t.number not in known]
    finals = {pool.final(n, network_path(store.folder, n).read_bytes()): str(n) for n in measured}
    for final in _ended(finals):
        store.add_final(result_of(final))
        show(1.0, "test split")


def _ended(jobs: "dict[Future[T], str]") -> "Iterator[Future[T]]":
    running = set(jobs)
    while running:
        ended, running = wait(running, return_when=FIRST_COMPLETED)
        yield from ended


class Progress:
    """One line for all seeds, as a context manager."""

    def __init__(self, seeds: int) -> None:
        self._seeds = seeds
        self._line = ProgressLine()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def show(self, seed: int, share: float, text: str) -> None:
        """`share` of this seed is done."""
        self._line.show((seed + share) / self._seeds, f"seed {seed}: {text}")


if __name__ == "__main__":
    sys.exit(typer.run(main))
