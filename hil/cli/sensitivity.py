"""`hil sensitivity`: the accuracy after compressing each layer alone, as tables and a heat map."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compress.errors import UserError
from compress.projects.find import find_task, label_of
from compress.types import LabeledMatrix
from hil import formatting
from hil.cli.options import JsonFlag, SeedOption
from hil.cli.task_options import TaskChoice, tell, with_task_options
from hil.files import write_file
from hil.terminal import warn

if TYPE_CHECKING:
    from compress.pipeline.sensitivity import Sensitivity

_FILE_STEM = "sensitivity"


def register(app: typer.Typer, runs: Path) -> None:
    """Add the command to `app`; results are written to a folder in `runs`."""

    @app.command()
    @with_task_options
    def sensitivity(
        chosen: TaskChoice,
        seed: SeedOption = 0,
        samples: Annotated[
            int | None,
            typer.Option(
                min=1, help="Number of validation samples to evaluate on.", show_default="all"
            ),
        ] = None,
        epochs: Annotated[
            int | None,
            typer.Option(
                min=0, help="Epochs of fine-tuning after pruning.", show_default="the task's"
            ),
        ] = None,
        as_json: JsonFlag = False,
    ) -> None:
        """Measure how sensitive each layer of TASK's network is to pruning and quantization.

        It shows the accuracy by layer for keep ratios and weight bits, and the SQNR by kind of
        pruning.
        """
        task = chosen.ref()
        wanted = find_task(task)
        tell(task)
        folder = runs / f"sensitivity-{label_of(task)}-{seed}"
        # Importing torch takes seconds: the options are checked before.
        from compress.pipeline.network import check_net, train_original
        from compress.pipeline.pipeline import prefix_cache
        from compress.pipeline.sensitivity import measure_sensitivity
        from hil.benchmark.first_look import show_first_look
        from hil.terminal import training_progress

        data = wanted.load()
        check_net(wanted)
        show_first_look(wanted, data, None)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write {folder}: {error.strerror}") from error
        with training_progress(f"training {wanted.name}") as tick:
            original = train_original(wanted, data, seed, folder / "original.pt", tick)
        with training_progress(f"sensitivity of {wanted.name}") as tick:
            found = measure_sensitivity(
                original,
                samples=len(data.val) if samples is None else samples,
                epochs=wanted.fine_tune.epochs if epochs is None else epochs,
                cache=prefix_cache(original),
                tick=tick,
            )
        write(found, folder)
        for remark in found.remarks:
            warn(remark)
        if as_json:
            print(json.dumps(asdict(found)))
        else:
            show(found, folder, Console())


def write(found: Sensitivity, folder: Path) -> None:
    """Write sensitivity.json and sensitivity.png. Raises UserError if that fails."""
    from hil.report.heat_map import Panel, heat_map
    from hil.report.plots import write_png

    path = folder / f"{_FILE_STEM}.json"
    write_file(path, json.dumps(asdict(found), indent=1).encode())
    value, baseline = found.metric.value, found.baseline
    # The better end is the bright one, also where less is better.
    form = "{:.1%}" if found.metric.in_percent else "{:.3g}"
    worst, best = value(min(baseline - 0.2, _lowest(found))), value(baseline)
    shares = (found.keep, found.bits, found.pruned)
    panels = (
        *(Panel(in_unit(table, value), form, worst, best) for table in shares),
        *(Panel(table, "{:.0f}", 0.0, 45.0) for table in found.sqnr_db),
    )
    write_png(heat_map(panels, _headline(found)), folder / f"{_FILE_STEM}.png")


def show(found: Sensitivity, folder: Path, console: Console) -> None:
    """Print all tables, a legend, and the path of the heat map."""
    console.print(Text(_headline(found), style="bold"))
    metric = found.metric

    def cell(share: float) -> str:
        if metric.in_percent:
            return f"{100 * share:.2f}"
        return formatting.metric(metric, share)

    for table in (found.keep, found.bits, found.pruned):
        console.print(_shown(table, cell))
    for table in found.sqnr_db:
        console.print(_shown(table, lambda value: f"{value:.1f}"))
    unit = " in percent" if metric.in_percent else ""
    console.print(
        Text(
            f"{metric.title}{unit}, by the integer reference; groups are narrowed without "
            "training, with batch-norm statistics recomputed; one layer has weights of fewer bits, "
            "the others have 8; kinds of pruning after the same fine-tuning",
            style="dim",
        )
    )
    console.print(Text(f"heat map: {folder / _FILE_STEM}.png"), soft_wrap=True)


def in_unit(table: LabeledMatrix, value: Callable[[float], float]) -> LabeledMatrix:
    """A table of shares as one of the metric's values."""
    rows = (tuple(None if v is None else value(v) for v in row) for row in table.values)
    return replace(table, values=tuple(rows))


def _lowest(found: Sensitivity) -> float:
    values = [v for table in (found.keep, found.bits) for row in table.values for v in row if v]
    return max(min(values), found.baseline - 0.5)


def _headline(found: Sensitivity) -> str:
    metric = found.metric
    return (
        f"{found.task}, seed {found.seed}: int8 {metric.title} "
        f"{formatting.metric(metric, found.baseline)}, of the float network "
        f"{formatting.metric(metric, found.float_accuracy)}, on {found.samples} samples of the "
        "validation split"
    )


def _shown(table: LabeledMatrix, text: Callable[[float], str]) -> Table:
    shown = Table(
        box=SIMPLE_HEAD, pad_edge=False, title=Text(table.title, "bold"), title_justify="left"
    )
    shown.add_column("")
    for column in table.columns:
        shown.add_column(Text(column), justify="right")
    for row, values in zip(table.rows, table.values, strict=True):
        shown.add_row(Text(row), *("" if v is None else text(v) for v in values))
    return shown
