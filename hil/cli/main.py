"""The command `hil`: options in, one job done, the result shown; errors become one line."""

import errno
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from compress.errors import HilError, UserError
from compress.tasks import TASK_NAMES, get_task
from hil.board import board_names, load_board, without_limits
from hil.cli import bench, boards, doctor, sensitivity, study
from hil.cli import energy as cli_energy
from hil.cli import farm as cli_farm
from hil.cli import store as cli_store
from hil.cli.bench import Limits, LimitsOption
from hil.cli.goal_options import (
    EnergyBudgetOption,
    EngineOption,
    MaxEnergy,
    MaxFlash,
    MaxLatency,
    MaxRam,
    WeightsOption,
    energy_budget_of,
    goal_of,
)
from hil.cli.options import JsonFlag, Minutes, SeedOption
from hil.cli.usage import usage_line
from hil.energy.calibration import calibrated
from hil.report.summary import summarize, to_json
from hil.search.engine import ENGINE_NAMES
from hil.store.store import Store

app = typer.Typer(
    help="Compress neural networks for Cortex-M boards; measure every candidate on the board.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

RUNS = Path("runs")

bench.register(app, RUNS)
boards.register(app)
doctor.register(app)
cli_energy.register(app)
cli_farm.register(app)
sensitivity.register(app, RUNS)
cli_store.register(app, RUNS)
study.register(app, RUNS)


def main() -> None:
    """Entry point of the command."""
    with errors_as_lines():
        sys.exit(app(standalone_mode=False))


@app.command()
def evolve(
    board: Annotated[str, typer.Option(help=f"One of: {', '.join(board_names())}.")] = "m3",
    task: Annotated[str, typer.Option(help=f"One of: {', '.join(TASK_NAMES)}.")] = "digits",
    accuracy: Annotated[
        float | None,
        typer.Option(help="Accuracy to keep, a share of 1.", show_default="the task's"),
    ] = None,
    minutes: Minutes = 8.0,
    trials: Annotated[int, typer.Option(help="Budget of candidates.")] = 150,
    patience: Annotated[
        int,
        typer.Option(
            min=1, help="Trials without improvement that end the search once the goal is met."
        ),
    ] = 60,
    seed: SeedOption = 0,
    run: Annotated[
        str | None,
        typer.Option(help="Name of the run's folder in runs/.", show_default="TASK-BOARD"),
    ] = None,
    max_flash: MaxFlash = None,
    max_ram: MaxRam = None,
    max_latency: MaxLatency = None,
    max_energy: MaxEnergy = None,
    weights: WeightsOption = None,
    energy_budget: EnergyBudgetOption = None,
    engine: EngineOption = ENGINE_NAMES[0],
    farm: Annotated[
        str | None,
        typer.Option(help="Address of a farm's scheduler (hil farm), as tcp://host:8786."),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Candidates at a time, here.")] = 2,
    limits: LimitsOption = Limits.BOARD,
    as_json: JsonFlag = False,
) -> None:
    """Search for the best compression of TASK on BOARD; go on where an earlier run stopped."""
    check_positive("--trials", trials)
    check_positive("--minutes", minutes)
    facts, wanted = calibrated(load_board(board)), get_task(task)
    folder = RUNS / check_name(run or f"{task}-{board}")
    if accuracy is not None:
        check_accuracy(accuracy)
    floor = wanted.accuracy_floor if accuracy is None else accuracy
    asked = (max_flash, max_ram, max_latency, max_energy, weights)
    goal = goal_of(facts if limits is Limits.BOARD else without_limits(facts), floor, *asked)
    if engine not in ENGINE_NAMES:
        raise UserError(f"--engine {engine!r}: allowed are {', '.join(ENGINE_NAMES)}")
    energy = energy_budget_of(energy_budget)
    # torch takes seconds to import: only once the options are known to be good.
    from hil.loop.evolve import Settings
    from hil.loop.evolve import evolve as search
    from hil.report.export import export_chosen
    from hil.report.report import print_summary, write_report

    settings = Settings(
        task, goal, folder, trials, minutes, seed, engine, energy, patience, processes, farm
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    search(settings)
    with Store.read(settings.folder) as store:
        summary = summarize(store)
        write_report(summary, settings.folder)
    if as_json:
        print(json.dumps(to_json(summary)))
    else:
        print_summary(summary, settings.folder, Console())
    export_chosen(settings.folder, summary.chosen, facts, task)


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="Name of a run in runs/, or a path to one.")],
    profile: Annotated[bool, typer.Option(help="Show where the time went.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show what a run has found so far and write its report.html anew, where it may be written."""
    from hil.report import time_profile
    from hil.report.report import print_profile, print_summary, print_table, write_report

    folder = Path(run) if Path(run).is_dir() else RUNS / run
    with Store.read(folder) as store:
        summary = summarize(store)
    may_write = os.access(folder, os.W_OK)
    if may_write:
        write_report(summary, folder)
    if as_json:
        extra = {"profile": time_profile.to_json(summary.profile)} if profile else {}
        print(json.dumps({**to_json(summary), **extra}))
    elif profile:
        print_profile(summary, Console())
    elif may_write:
        print_summary(summary, folder, Console())
    else:
        print_table(summary, Console())


def check_accuracy(value: float) -> None:
    """Raises UserError for what is not a share of 1."""
    if not 0.0 < value < 1.0:
        hint = f"; did you mean {value / 100:g}?" if 1.0 < value < 100.0 else ""
        raise UserError(f"--accuracy {value:g}: a share of 1, 0 < accuracy < 1{hint}")


def check_positive(option: str, value: float) -> None:
    """Raises UserError for a budget that allows nothing."""
    if not value > 0:
        raise UserError(f"{option} {value}: must be more than 0")


def check_name(name: str) -> str:
    """Raises UserError for a run name that would leave the runs folder."""
    if not name or name != Path(name).name or name.startswith("."):
        raise UserError(
            f"--run {name!r}: a plain folder name, without / and not beginning with a dot, as the "
            "kws-m4 in runs/kws-m4"
        )
    return name


@contextmanager
def errors_as_lines() -> Iterator[None]:
    """Turn errors, typer's too, into one line on stderr and the culprit's exit code."""
    try:
        yield
    except HilError as error:
        fail(error)
    except typer.TyperException as error:
        line = usage_line(error)
        if not line:
            sys.exit(UserError.exit_code)
        fail(UserError(line))
    except typer.Abort as error:
        if error.__cause__ is not None:  # typer takes every EOFError for the end of answers
            raise error.__cause__ from None
        fail(UserError("ended before the question was answered: nothing was changed"))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" ({error.filename})" if error.filename else ""
        fail(UserError(f"disk full{where}: free some space; finished trials are kept, run again"))


def fail(error: HilError) -> NoReturn:
    """Print the error and leave with its exit code."""
    kind = "error" if isinstance(error, UserError) else type(error).__name__
    width = shutil.get_terminal_size().columns
    Console(stderr=True, width=max(width, 200), highlight=False).print(
        f"hil: {kind}: {error}", markup=False, soft_wrap=True
    )
    sys.exit(error.exit_code)
