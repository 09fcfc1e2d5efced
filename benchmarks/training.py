"""What an epoch of each kind of training takes, as ratios to plain fine-tuning in the same run.

    python benchmarks/training.py [--task kws] [--epochs 0.5] [--rounds 5]

Kinds take turns, so that a busy machine slows all of them; the figure is the median of the ratios
of CPU time within a round.
"""

import statistics
import tempfile
import time
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from compress.genome import Distill, Prune, Quantize, Sparsify, Stage
from compress.pipeline.network import Network, train_original
from compress.pipeline.stages import apply_stage
from compress.tasks import get_task
from hil.terminal import ProgressLine, training_progress

PLAIN = "fine-tuning"


def kinds(epochs: float) -> dict[str, Stage]:
    """Stages that leave the network's shape alone, so that only the kind of training differs."""
    learned = Quantize((4,), weight_range="mse", learn_ranges=True, epochs=epochs)
    return {
        PLAIN: Prune((1.0,), scope="uniform", epochs=epochs),
        "keeping half of the weights zero": Sparsify(0.5, scope="global", epochs=epochs),
        "distilling logits": Distill(epochs=epochs),
        "distilling attention": Distill(features="attention", epochs=epochs),
        "8 bits, fixed ranges": Quantize(epochs=epochs),
        "4 bits, fixed ranges": Quantize((4,), weight_range="mse", epochs=epochs),
        "4 bits, learned ranges": learned,
    }


def main(task: str = "kws", epochs: float = 0.5, rounds: int = 5) -> None:
    """Time every kind `rounds` times and print the table."""
    wanted, stages, line = get_task(task), kinds(epochs), ProgressLine()
    with tempfile.TemporaryDirectory() as place, training_progress(f"training {task}") as tick:
        original = train_original(wanted, wanted.load(), 0, Path(place) / "original.pt", tick)
    assert len(original.outputs)  # the teacher's answers: computed once, in no training
    seconds: dict[str, list[float]] = {name: [] for name in stages}
    for turn in range(rounds):
        for index, (name, stage) in enumerate(stages.items()):
            line.show((turn + index / len(stages)) / rounds, f"round {turn + 1}/{rounds}: {name}")
            began = time.process_time()
            apply_stage(Network(original.module), stage, original, seed=0)
            seconds[name].append(time.process_time() - began)
    line.close()
    Console().print(table(seconds, epochs, task))


def table(seconds: dict[str, list[float]], epochs: float, task: str) -> Table:
    """Median seconds an epoch, and the median ratio with the smallest and the largest."""
    shown = Table(title=f"Training {task}, CPU time, one thread", box=None, title_justify="left")
    for name in ("kind", "s/epoch", "ratio", "from", "to"):
        shown.add_column(name, justify="left" if name == "kind" else "right")
    for name, spent in seconds.items():
        ratios = [one / plain for one, plain in zip(spent, seconds[PLAIN], strict=True)]
        cells = (statistics.median(ratios), min(ratios), max(ratios))
        each = f"{statistics.median(spent) / epochs:.2f}"
        shown.add_row(name, each, *(f"{cell:.2f}" for cell in cells))
    return shown


if __name__ == "__main__":
    typer.run(main)
