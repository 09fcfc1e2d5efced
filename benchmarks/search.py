"""What searching costs beside training and measuring, and what it costs to be killed.

    python benchmarks/search.py compare [--task kws] [--board m4] [--trials 200] [--kills 10]
        [--write docs/results/search.md]

The same search runs twice, one after the other on an otherwise idle machine: once through, and
killed (SIGKILL, all its processes) and called again. Both begin without trained prefixes and have
no patience, so that both try the same candidates; their stores are compared trial by trial.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from compress.cache import cache_folder
from hil import formatting
from hil.board import load_board
from hil.loop.evolve import Settings, evolve
from hil.measure.provenance import provenance
from hil.objective.goal import Goal
from hil.report.time_profile import TimeProfile, profile_of, rows
from hil.search.registry import ENGINE_NAMES
from hil.store.store import STORE_FILE, Store
from hil.terminal import ProgressLine
from hil.types import Trial

MINUTES = 24.0 * 60
# Built by a search itself: not there when a search is the first of its kind.
COLD = ("prefixes", "sensitivity")
# Steps that compress (screening does so without training) or run what came of it.
WORK = ("prune", "sparsify", "quantize", "distill", "screening", "measure")

app = typer.Typer(add_completion=False)
Text = Annotated[str, typer.Option()]
Share = Annotated[float, typer.Option(min=0.0, max=1.0)]
Number = Annotated[int, typer.Option(min=1)]


@dataclass(frozen=True, slots=True)
class Run:
    """A search that is over: its wall time with all restarts, its trials, where the time went."""

    seconds: float
    trials: tuple[Trial, ...]
    profile: TimeProfile

    @property
    def answers(self) -> set[tuple[str, float, float | None, int | None]]:
        """What it found out: genome, fidelity, accuracy, count."""
        return {
            (t.genome.key, t.fidelity, t.accuracy, t.measurement.count if t.measurement else None)
            for t in self.trials
        }


@app.command()
def once(
    folder: Path,
    task: Text,
    board: Text,
    accuracy: Share,
    trials: Number,
    seed: Annotated[int, typer.Option()],
    engine: Text,
) -> None:
    """The search itself, in a process of its own."""
    goal = Goal.of(load_board(board), accuracy)
    evolve(Settings(task, goal, folder, trials, MINUTES, seed, engine, patience_trials=10**9))


@app.command()
def compare(
    task: Text = "kws",
    board: Text = "m4",
    accuracy: Share = 0.9,
    trials: Number = 200,
    kills: Number = 10,
    seed: int = 0,
    engine: Annotated[str, typer.Option(help=", ".join(ENGINE_NAMES))] = "adaptive",
    write: Path | None = None,
) -> None:
    """Run both searches, then print (or write) what they cost."""
    options = {
        "--task": task, "--board": board, "--accuracy": accuracy, "--trials": trials,
        "--seed": seed, "--engine": engine,
    }  # fmt: skip
    command = [str(part) for pair in options.items() for part in pair]
    with tempfile.TemporaryDirectory(prefix="hil-search-") as place:
        whole = run(Path(place) / "whole", command, trials, 0)
        killed = run(Path(place) / "killed", command, trials, kills)
    title = f"{task} on {board}, engine {engine}, seed {seed}"
    text = report(whole, killed, kills, command, title, board)
    if write is None:
        print(text)
    else:
        write.write_text(text, encoding="utf-8")


def run(place: Path, command: list[str], trials: int, kills: int) -> Run:
    """A search in `place` with a cold cache of its own; killed at `kills` even distances."""
    folder, chance, line = place / "run", random.Random(0), ProgressLine()
    environment = dict(os.environ, XDG_CACHE_HOME=str(cold_cache(place)))
    marks = [trials * (k + 1) // (kills + 1) for k in range(kills)]
    began = time.monotonic()
    log = place / "stderr"
    try:
        while True:
            with log.open("a") as errors:
                process = subprocess.Popen(
                    [sys.executable, __file__, "once", str(folder), *command],
                    env=environment,
                    stderr=errors,
                    start_new_session=True,
                )
            while process.poll() is None and not (marks and _measured(folder) >= marks[0]):
                time.sleep(0.2)
                done = _measured(folder)
                line.show(done / trials, f"{done}/{trials} trials, {len(marks)} kills to come")
            if process.poll() is not None:
                break
            # Anywhere within the time that a trial takes, so that kills do not follow a commit.
            trial_s = (time.monotonic() - began) / max(1, marks.pop(0))
            time.sleep(chance.uniform(0.0, trial_s))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    finally:
        line.close()
    if process.returncode:
        sys.exit(f"the search ended with {process.returncode}: {log.read_text()[-2000:]}")
    seconds = time.monotonic() - began
    with Store.read(folder) as store:
        return Run(seconds, store.trials(), profile_of(store.trials(), store.sessions()))


def cold_cache(place: Path) -> Path:
    """What the user's cache has, without what a search builds."""
    here = place / "cache" / "hil-compress"
    here.mkdir(parents=True)
    for kind in cache_folder().iterdir():
        if kind.name not in COLD:
            shutil.copytree(kind, here / kind.name, copy_function=os.symlink)
    return place / "cache"


def _measured(folder: Path) -> int:
    if not (folder / STORE_FILE).exists():
        return 0
    with Store.read(folder) as store:
        return store.count()


def report(whole: Run, killed: Run, kills: int, command: list[str], title: str, board: str) -> str:
    """Both runs, made with the options of `command`, as Markdown."""
    source = provenance(load_board(board), 0)
    profile = whole.profile
    same = "the same trials" if whole.answers == killed.answers else "NOT the same trials"
    work = sum(profile.steps.get(step, 0.0) for step in WORK) / (profile.capacity_seconds or 1.0)
    table = "\n".join(f"| {name} | {spent} | {share:.1%} |" for name, spent, share in rows(profile))
    return f"""# Search: {title}

Made by `python benchmarks/search.py compare {" ".join(command)} --kills {kills}` at \
{source.git_sha[:7]};
{source.compiler}, {source.kernels}, {source.probe},
torch {source.torch}; {source.processor};
{len(os.sched_getaffinity(0))} cores, two processes, one torch thread each.

Once through: {formatting.duration(whole.seconds)}, {profile.measured} measured and \
{profile.screened} screened; {profile.per_hour(profile.measured):.0f} measured and \
{profile.per_hour(profile.screened):.0f} screened an hour.
Killed {kills} times: {formatting.duration(killed.seconds)}, \
{killed.seconds / whole.seconds:.3f} times as long, {same}.
Compressing and emulating ({", ".join(WORK)}) took {work:.1%} of the time, the search itself \
{1 - work:.1%}.

| step | time of both processes | share |
| --- | ---: | ---: |
{table}
"""


if __name__ == "__main__":
    app()
