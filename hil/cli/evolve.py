"""`hil evolve`: search for the best compression of a task on a board."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from compress.errors import UserError
from compress.projects.find import TaskRef, find_task, label_of
from compress.projects.project import Project
from hil.board import board_path, load_board, without_limits
from hil.cli.completions import runs as run_names
from hil.cli.options import BoardOption, JsonFlag, Minutes, SeedOption
from hil.cli.task_options import TaskChoice, tell, with_task_options
from hil.energy.calibration import calibrated
from hil.objective.choice import NEAR
from hil.objective.floor import CONFIDENCE
from hil.options.goal_options import (
    AccuracyOption,
    ConfidenceOption,
    EnergyBudgetOption,
    EngineOption,
    FloorOption,
    Limits,
    LimitsOption,
    MaxEnergy,
    MaxFlash,
    MaxLatency,
    MaxRam,
    NearOption,
    PreferOption,
    confidence_of,
    energy_budget_of,
    floor_of,
    goal_of,
    near_of,
    with_floor,
)
from hil.search.registry import AUTO, ENGINE_NAMES
from hil.terminal import working


def register(app: typer.Typer, runs: Path) -> None:
    """Add the command to `app`; runs are folders in `runs`."""

    @app.command()
    @with_task_options
    def evolve(
        chosen: TaskChoice,
        board: BoardOption = "m3",
        accuracy: AccuracyOption = None,
        floor: FloorOption = None,
        minutes: Minutes = 8.0,
        trials: Annotated[
            int,
            typer.Option(
                help="Stop after this many candidates trained in full, earlier calls included; a "
                "larger number continues."
            ),
        ] = 150,
        patience: Annotated[
            int,
            typer.Option(
                min=1,
                help="Once the goal is met, stop after this many trials in a row without a better "
                "network.",
            ),
        ] = 60,
        seed: SeedOption = 0,
        run: Annotated[
            str | None,
            typer.Option(
                help="Name of the run and of its folder in runs/.",
                show_default="TASK-BOARD",
                autocompletion=run_names,
            ),
        ] = None,
        max_flash: MaxFlash = None,
        max_ram: MaxRam = None,
        max_latency: MaxLatency = None,
        max_energy: MaxEnergy = None,
        prefer: PreferOption = None,
        energy_budget: EnergyBudgetOption = None,
        confidence: ConfidenceOption = CONFIDENCE,
        near: NearOption = f"{NEAR:.0%}",
        engine: EngineOption = AUTO,
        farm: Annotated[
            str | None,
            typer.Option(
                help="Address of a farm's scheduler (hil farm), such as tcp://host:8786; its "
                "workers then run the trials.",
                show_default="this machine",
            ),
        ] = None,
        processes: Annotated[
            int,
            typer.Option(min=1, help="Number of worker processes on this machine, without --farm."),
        ] = 2,
        limits: LimitsOption = Limits.BOARD,
        as_json: JsonFlag = False,
    ) -> None:
        """Search for the best compression of TASK on BOARD; an existing run is continued.

        Every candidate that is trained in full is measured on the board.

        The chosen network goes to runs/RUN/chosen, the report to runs/RUN/report.html.
        """
        check_positive("--trials", trials)
        check_positive("--minutes", minutes)
        facts = calibrated(load_board(board))
        chosen, prefer = without_former_weights(chosen, prefer)
        task = chosen.ref()
        if run is not None:
            check_name(run)
        if engine not in (AUTO, *ENGINE_NAMES):
            raise UserError(f"--engine {engine!r}: allowed are {AUTO}, {', '.join(ENGINE_NAMES)}")
        energy = energy_budget_of(energy_budget)
        limited = goal_of(
            facts if limits is Limits.BOARD else without_limits(facts),
            0.0,
            max_flash=max_flash,
            max_ram=max_ram,
            max_latency=max_latency,
            max_energy=max_energy,
            weights=prefer,
        )
        limited = replace(limited, confidence=confidence_of(confidence), near=near_of(near))
        folder = runs / check_name(run or f"{label_of(task)}-{facts.name}")
        # Importing torch takes seconds: options and board are checked before, as far as possible.
        if farm is None:
            from hil.target.open import check_reachable

            check_reachable(facts)
        with working("loading PyTorch, then the task"):
            wanted = find_task(task)
            tell(task)
            from hil.loop.evolve import Settings
            from hil.loop.evolve import evolve as search
        asked = floor_of(wanted, accuracy, floor or relative_floor(task, accuracy))
        goal = with_floor(limited, wanted, asked)
        settings = Settings(
            task=task,
            goal=goal,
            folder=folder,
            trials=trials,
            minutes=minutes,
            seed=seed,
            engine=engine,
            energy=energy,
            patience_trials=patience,
            processes=processes,
            farm=farm,
            board_file=board_path(board),
        )
        search(settings)
        with working("writing the report"):
            from hil.report.export import write_chosen
            from hil.report.features_of_run import keep_feature_costs
            from hil.report.report import print_summary, write_report
            from hil.report.summary import summarize
            from hil.report.summary_json import summary_to_json
            from hil.store.store import Store

            with Store.read(settings.folder) as store:
                summary = summarize(store)
            costs = keep_feature_costs(settings.folder, task, summary.chosen, facts)
            summary = replace(summary, features=costs)
            write_report(summary, settings.folder)
        if as_json:
            print(json.dumps(summary_to_json(summary)))
        else:
            print_summary(summary, settings.folder, Console())
        with working("building the chosen network"):
            write_chosen(summary, settings.folder)


def relative_floor(task: TaskRef, accuracy: float | None) -> str | None:
    """A project's floor if it is relative to the float network, and --accuracy is not given."""
    if accuracy is not None or not isinstance(task, Project):
        return None
    return task.settings.floor if isinstance(task.settings.floor, str) else None


def without_former_weights(chosen: TaskChoice, prefer: str | None) -> tuple[TaskChoice, str | None]:
    """The options, with --weights NAME=NUMBER,... of former versions taken as --prefer."""
    weights = str(chosen.parts.get("weights", ""))
    if "=" not in weights or Path(weights).exists():
        return chosen, prefer
    parts = {name: value for name, value in chosen.parts.items() if name != "weights"}
    return replace(chosen, parts=parts), prefer or weights


def check_positive(option: str, value: float) -> None:
    """Raise UserError unless `value` > 0."""
    if not value > 0:
        raise UserError(f"{option} {value}: must be more than 0")


def check_name(name: str) -> str:
    """Return a run's name, checked to be a folder in runs/. Raises UserError."""
    if not name or name != Path(name).name or name.startswith("."):
        raise UserError(
            f"--run {name!r}: must be a plain folder name, without / and not beginning with a dot, "
            "such as kws-m4 for runs/kws-m4"
        )
    return name
