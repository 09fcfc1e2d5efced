"""`hil compare`: the changes between the figures of two networks, and whether they are accepted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from compress.errors import UserError
from hil.cli import completions
from hil.cli.options import JsonFlag, finite
from hil.comparison.changes import Change, changes
from hil.comparison.figures import COMPARED_COSTS, SAME, Figures, figures_from_json
from hil.comparison.policy import read_policy, uniform
from hil.formatting import number_of
from hil.store.store import Store, check_is_run

_WHAT = (
    "A run (its name in runs/ or its folder: the chosen network), RUN:NUMBER for a trial of it, or "
    "a file of hil bench --json, hil evolve --json or hil report --json."
)


def register(app: typer.Typer, runs: Path) -> None:
    """Add the command to `app`; runs are folders in `runs`."""

    @app.command()
    def compare(
        a: Annotated[str, typer.Argument(metavar="A", help=_WHAT, autocompletion=completions.runs)],
        b: Annotated[
            str,
            typer.Argument(
                metavar="B", help="Compared with A; named as A is.", autocompletion=completions.runs
            ),
        ],
        policy: Annotated[
            Path | None,
            typer.Option(
                help="A TOML file of tolerances by quantity (docs/ci.md); what it does not name is "
                "shown and decides nothing.",
                show_default="nothing may get worse",
            ),
        ] = None,
        tolerance: Annotated[
            float,
            typer.Option(
                min=0.0,
                callback=finite,
                help="Growth of costs that is accepted without a policy, in percent.",
            ),
        ] = 0.0,
        across: Annotated[
            str,
            typer.Option(
                metavar=",".join(SAME),
                help="What may differ between A and B; otherwise such figures are refused.",
                show_default="nothing",
            ),
        ] = "",
        as_json: JsonFlag = False,
    ) -> None:
        """Compare the figures of B with those of A; exit code 1 if one grew beyond its tolerance.

        Of an accuracy: if it fell by more than that.
        """
        if policy is not None and tolerance:
            raise UserError("--policy and --tolerance: give one of them")
        wanted = uniform(tolerance / 100.0) if policy is None else read_policy(policy)
        differ = _checked_facts(across)
        found = changes(figures_of(a, runs), figures_of(b, runs), wanted, differ)
        _show(found, as_json)


def _checked_facts(across: str) -> list[str]:
    named = [one for one in across.split(",") if one]
    unknown = [one for one in named if one not in SAME]
    if unknown:
        raise UserError(f"--across {unknown[0]!r}: allowed are {', '.join(SAME)}")
    return named


def figures_of(named: str, runs: Path) -> Figures:
    """The figures of a run, a trial or a file. Raises UserError for what is none of these."""
    if Path(named).is_file():
        return figures_from_json(named, _json_in(Path(named), named))
    run, number = named, ""
    if not Path(named).is_dir() and named.rpartition(":")[2].isdigit():
        run, _, number = named.rpartition(":")
    folder = Path(run) if Path(run).is_dir() else runs / run
    check_is_run(folder)
    # These imports take a while; a comparison of files does without.
    from hil.report.summary import summarize
    from hil.store.trial_json import trial_to_json

    with Store.read(folder) as store:
        summary = summarize(store)
    trial = summary.chosen
    if number:
        trial = next((one for one in summary.measured if one.number == int(number)), None)
        if trial is None:
            raise UserError(f"{named}: {folder} has no measured trial {number}")
    chosen = None if trial is None else trial_to_json(trial)
    content: dict[str, object] = {"chosen": chosen, "front": [], "metric": summary.metric.to_json()}
    return figures_from_json(named, content)


def show_comparison(old: Path, new: Path, tolerance: float, as_json: bool) -> None:
    """`hil bench --compare`: the costs of two files; exit 1 if one grew by more than `tolerance` %.

    Accuracies are not compared, and compilers may differ. Raises UserError for other files.
    """
    former, latter = (
        figures_from_json(f"--compare {path}", _json_in(path, f"--compare {path}"))
        for path in (old, new)
    )
    policy = uniform(tolerance / 100.0, accuracy=False)
    found = changes(former, latter, policy, across=("compiler",))
    _show([one for one in found if one.name in COMPARED_COSTS], as_json)


def _show(found: Sequence[Change], as_json: bool) -> None:
    """Print the changes; exit 1 if one is worse than its tolerance."""
    worse = [one for one in found if one.worse]
    if as_json:
        print(json.dumps({"changes": [one.to_json() for one in found], "worse": len(worse)}))
    else:
        Console().print(_table(found))
        names = ", ".join(one.name for one in worse)
        broken = f"{number_of(len(worse), 'tolerance')} broken: {names}"
        Console().print(broken if worse else "no tolerance broken", style="red" if worse else "")
    if worse:
        raise typer.Exit(1)


def _table(found: Sequence[Change]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    for heading in ("A", "B", "change", "allowed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        allowed = "not limited" if one.allowed is None else _allowed(one)
        style = "red" if one.worse else ""
        change = f"{100 * one.change:+.2f} %"
        table.add_row(one.name, _number(one.old), _number(one.new), change, allowed, style=style)
    return table


def _allowed(one: Change) -> str:
    sign = "-" if one.name not in COMPARED_COSTS else "+"
    share = 100 * (one.allowed or 0.0) / one.old if one.old else 0.0
    return f"{sign}{share:.2f} %"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def _json_in(path: Path, name: str) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{name}: cannot be read as a result of hil bench --json: {error}"
        ) from error
