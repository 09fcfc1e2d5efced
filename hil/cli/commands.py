"""The commands of `hil` in the order of use, each imported when it is called.

`hil --help` and the completion of a shell need names and one line each: those are here. A command
whose module is not there is left out.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from compress.scratch import sweep_cache, sweep_temporary

RUNS = Path("runs")


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its name, the module of `hil.cli` that registers it, and what it does."""

    name: str
    module: str
    help: str


COMMANDS = (
    Entry(
        "init",
        "init",
        "Write an example project to FOLDER: network, data and settings, each explained.",
    ),
    Entry(
        "doctor",
        "doctor",
        "Check tools, probes, serial ports and permissions; with --board, run a test program.",
    ),
    Entry(
        "boards",
        "boards",
        "List the boards with core, clock, memory limits, and known cycles and power.",
    ),
    Entry(
        "operators",
        "operators",
        "List the operators of .tflite files that run, with their types and limits.",
    ),
    Entry(
        "bench",
        "bench",
        "Measure MODEL on BOARD: time in total and per layer, flash, RAM, bit-exactness.",
    ),
    Entry(
        "evolve",
        "evolve",
        "Search for the best compression of TASK on BOARD; an existing run is continued.",
    ),
    Entry("report", "report", "Show the results of a run so far and write its report.html."),
    Entry("dashboard", "report", "Serve the report of RUN while its search goes on, until Ctrl-C."),
    Entry(
        "export", "export", "Write a network as a C library: sources, build files, figures, proof."
    ),
    Entry(
        "compare",
        "compare",
        "Compare the figures of B with those of A; exit code 1 if one grew beyond its tolerance.",
    ),
    Entry(
        "sensitivity",
        "sensitivity",
        "Measure how sensitive each layer of TASK's network is to pruning and quantization.",
    ),
    Entry(
        "study",
        "study",
        "Compare methods, recipes and searches for TASK on BOARD; an earlier study goes on.",
    ),
    Entry(
        "calibrate",
        "energy",
        "Save the measured power of BOARD in calibration.toml, for energies of this very board.",
    ),
    Entry(
        "energy",
        "energy",
        "Compute the energy per inference from TRACE, a recording of power or current.",
    ),
    Entry("farm", "farm", "Train and measure on many machines, for hil evolve --farm ADDRESS."),
    Entry("trials", "store", "Trials of runs as tables (CSV, Parquet) and back; merged runs."),
)


class CommandsInOrder(TyperGroup):
    """The group of all commands, as lines of a help text until one of them is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {
            entry.name: TyperCommand(entry.name, help=entry.help) for entry in present_entries()
        }

    def resolve_command(
        self, ctx: Any, args: list[str]
    ) -> tuple[str | None, Any | None, list[str]]:
        """As typer's, with the command imported that `args` name."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and load_command(str(name)), rest


def present_entries() -> tuple[Entry, ...]:
    """The entries of `COMMANDS` whose modules are there."""
    return tuple(entry for entry in COMMANDS if find_spec(f"hil.cli.{entry.module}"))


def load_command(name: str) -> Any:
    """The command of that name in `COMMANDS`, from its module, as typer makes it."""
    module = next(entry.module for entry in COMMANDS if entry.name == name)
    register = import_module(f"hil.cli.{module}").register
    part = typer.Typer(rich_markup_mode="markdown")
    given = (RUNS,) if "runs" in inspect.signature(register).parameters else ()
    register(part, *given)
    command = get_group(part).commands[name]
    for one in getattr(command, "commands", {"": command}).values():
        one.params.append(_quiet_option())
        one.callback = _after_sweep(one.callback)
    return command


def _after_sweep(run: Callable[..., object]) -> Callable[..., object]:
    """`run`, once its options are read, after the removal of what killed processes left before."""

    @functools.wraps(run)
    def sweep_and_run(*values: object, **options: object) -> object:
        sweep_temporary()
        sweep_cache()
        return run(*values, **options)

    return sweep_and_run


def _be_quiet(asked: bool) -> None:
    if asked:
        from hil.terminal import be_quiet

        be_quiet()


def _quiet_option() -> Any:
    """The option --quiet, which each command has and none reads."""
    part = typer.Typer()

    @part.command()
    def _(
        _: Annotated[
            bool,
            typer.Option(
                "--quiet",
                callback=_be_quiet,
                is_eager=True,
                expose_value=False,
                help="Show no progress and no notes, only results, warnings and errors.",
            ),
        ] = False,
    ) -> None:
        pass

    return get_command(part).params[0]
