"""`hil study`: a statistical comparison of single methods, fixed recipes and search engines."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from compress.errors import UserError
from compress.projects.find import find_task, identity_of_task, label_of
from hil.board import load_board
from hil.cli.options import BoardOption, JsonFlag, Minutes, finite
from hil.cli.task_options import TaskChoice, tell, with_task_options
from hil.study.arm_names import NAMES

RESULTS = Path("docs/results")
# Seeds 0 and 1 were used to develop the engines, so they are no evidence for any of them.
_FIRST_SEED = 2
_MOST_SEEDS = 1000


def register(app: typer.Typer, runs: Path) -> None:
    """Add the command to `app`; its stores are in a folder in `runs`."""

    @app.command()
    @with_task_options
    def study(
        chosen: TaskChoice,
        board: BoardOption = "m4",
        seeds: Annotated[
            int,
            typer.Option(
                min=1,
                max=_MOST_SEEDS,
                help="Number of seeds, each with an original network of its own.",
            ),
        ] = 5,
        first_seed: Annotated[
            int,
            typer.Option(
                min=0,
                max=2**31,
                help="The first of the seeds; 0 and 1 were used to develop the engines.",
            ),
        ] = _FIRST_SEED,
        measurements: Annotated[
            int,
            typer.Option(
                min=1, help="Budget of networks that an arm (a method) trains in full, per seed."
            ),
        ] = 200,
        epochs: Annotated[
            float,
            typer.Option(
                min=0.0,
                callback=finite,
                help="Budget of training of an arm, per seed, in units of the task's fine-tuning.",
            ),
        ] = 120.0,
        minutes: Minutes = 360.0,
        arms: Annotated[
            str | None,
            typer.Option(
                help=f"Arms to compare, separated by commas: {', '.join(NAMES)}.",
                show_default="all",
            ),
        ] = None,
        label: Annotated[
            str,
            typer.Option(
                help="Name of this study in the names of its report's files.",
                show_default="its arms, if not all",
            ),
        ] = "",
        results: Annotated[
            Path, typer.Option(help="Folder for the report and the log of all trials.")
        ] = RESULTS,
        as_json: JsonFlag = False,
    ) -> None:
        """Compare methods, recipes and searches for TASK on BOARD; an earlier study goes on."""
        facts, names = load_board(board), chosen_arms(arms)
        check_label(label)
        task = chosen.ref()
        wanted = find_task(task)
        tell(task)
        # Importing torch takes seconds: the options are checked before.
        from hil.study.arm_replay import ArmBudget
        from hil.study.arms import arms as all_arms
        from hil.study.report import study_to_json, write_study
        from hil.study.study import Deadline, StudySettings
        from hil.study.study import study as run
        from hil.target.open import check_reachable
        from hil.terminal import ProgressLine

        check_reachable(facts)
        settings = StudySettings(
            task=task,
            board=facts,
            folder=runs / f"study-{label_of(task)}-{facts.name}",
            log=results / f"study-{label_of(task)}-{facts.name}",
            seeds=tuple(range(first_seed, first_seed + seeds)),
            arms=tuple(arm for arm in all_arms() if arm.name in names),
            budget=ArmBudget(measurements, epochs * wanted.fine_tune.epochs),
        )
        command = (
            f"hil study --task {identity_of_task(task)} --board {board} --seeds {seeds} "
            f"--measurements {measurements} --epochs {epochs:g}"
        )
        if first_seed != _FIRST_SEED:
            command += f" --first-seed {first_seed}"
        if names != NAMES:
            command += f" --arms {','.join(names)}"
        if label:
            command += f" --label {label}"
        line, deadline = ProgressLine(), Deadline(minutes)
        try:
            with ended_by_signals(deadline.end):
                result = run(settings, deadline, line.show)
            line.show(1.0, "drawing the plots, writing the report")
            page = write_study(result, results, command, label)
        finally:
            line.close()
        if as_json:
            print(json.dumps(study_to_json(result)))
        else:
            Console().print(Text(f"report: {page}"), soft_wrap=True)


def chosen_arms(wanted: str | None) -> tuple[str, ...]:
    """The arms named in `wanted`, separated by commas, in the order of `NAMES`; all if None.

    Raises UserError for an unknown arm.
    """
    if wanted is None:
        return NAMES
    asked = wanted.split(",")
    unknown = [name for name in asked if name not in NAMES]
    if unknown:
        raise UserError(f"--arms {unknown[0]!r}: allowed are {', '.join(NAMES)}")
    return tuple(name for name in NAMES if name in asked)


def check_label(label: str) -> None:
    """Check that a label can be part of file names. Raises UserError."""
    if not re.fullmatch(r"[a-z0-9-]{0,40}", label):
        raise UserError(
            f"--label {label!r}: allowed are lower-case letters, digits and hyphens, at most 40"
        )


@contextmanager
def ended_by_signals(end: Callable[[], None]) -> Iterator[None]:
    """Call `end` at the first SIGINT or SIGTERM; the second one raises KeyboardInterrupt."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def leave(_: int, frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.default_int_handler)
        Console(stderr=True).print(
            "ending with the trials so far and a report; press Ctrl-C again to stop at once"
        )
        end()

    before = [signal.signal(number, leave) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
