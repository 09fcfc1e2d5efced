"""The example at the head of README.md: its picture, and the figures to write below it.

    python benchmarks/example.py [--minutes 8]

The search of README.md (`make evolve BOARD=m7 TASK=kws ACCURACY=0.86 MINUTES=8`) as a newcomer has
it: in a folder of its own, without networks trained before, on an otherwise idle machine. The
picture goes to docs/kws-m7.png, the figures to stdout.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import typer
from search import cold_cache

from hil import formatting
from hil.objective import pareto
from hil.report.summary import Summary, summarize
from hil.store.store import Store
from hil.types import Trial

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "kws-m7.png"
HIL = "from hil.cli.main import main; main()"


def main(minutes: float = 8.0) -> None:
    """Search, copy the picture, print the figures."""
    options = f"--board m7 --task kws --accuracy 0.86 --minutes {minutes:g} --run example"
    with tempfile.TemporaryDirectory(prefix="hil-example-") as name:
        place = Path(name)
        environment = dict(os.environ, XDG_CACHE_HOME=str(cold_cache(place)))
        command = [sys.executable, "-c", HIL, "evolve", *options.split()]
        subprocess.run(command, cwd=place, env=environment, stdout=sys.stderr, check=True)
        folder = place / "runs" / "example"
        with Store.read(folder) as store:
            summary = summarize(store)
        shutil.copyfile(folder / "pareto.png", PICTURE)
    print(figures(summary))


def figures(summary: Summary) -> str:
    """What README.md says of a run: how much it measured, and what its best networks need."""
    tried = f"{len(summary.measured)} networks measured, {len(summary.screened)} screened"
    lines = [
        f"{tried}, {formatting.duration(60 * summary.used_minutes)}, ended by {summary.stopped_by}"
    ]
    if summary.chosen is not None:
        lines.append(f"chosen: {_network(summary, summary.chosen)}")
    equal = as_accurate(summary)
    if equal is not None:
        lines.append(f"no less accurate than int8: {_network(summary, equal)}")
    return "\n".join(lines)


def as_accurate(summary: Summary) -> Trial | None:
    """The smallest network that is as accurate as int8 on the validation split, if not int8."""
    least = summary.baseline.accuracy if summary.baseline else None
    found = pareto.best(summary.measured, least or 1.0)
    return None if found == summary.baseline else found


def _network(summary: Summary, trial: Trial) -> str:
    """Its stages, its costs as ratios to int8's, and both networks' accuracies."""
    base = summary.baseline
    if base is None:
        raise ValueError("the int8 baseline was not measured")
    mine, theirs = pareto.measurement_of(trial), pareto.measurement_of(base)
    accuracies = [f"{_validation(trial)} instead of {_validation(base)} on the validation split"]
    tested, tested_base = summary.final(trial), summary.final(base)
    if tested and tested_base:
        pair = " instead of ".join(
            formatting.percent(one.accuracy) for one in (tested, tested_base)
        )
        accuracies.append(f"{pair} on the test split")
    return (
        f"{formatting.stage_order(trial.genome)}, "
        f"{mine.flash.total / theirs.flash.total:.2f} of the flash, "
        f"{mine.ram.total / theirs.ram.total:.2f} of the RAM, "
        f"{mine.count / theirs.count:.2f} of the instructions; {', '.join(accuracies)}"
    )


def _validation(trial: Trial) -> str:
    return formatting.percent(trial.accuracy or 0.0)


if __name__ == "__main__":
    typer.run(main)
