"""The report of a study: Markdown with figures and the raw data as CSV, or JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compress.projects.find import find_task, identity_of_task, label_of
from hil import formatting
from hil.files import write_file
from hil.report.plots import write_png
from hil.study.arm_names import ADAPTIVE, ELASTIC, title
from hil.study.choices import FLOORS_POINTS, Choice, arm_names, choices, drop_on_test
from hil.study.confirmed import confirmed
from hil.study.csv_files import write_csv
from hil.study.elastic_goals import elastic_verdicts, seed_ranks
from hil.study.elastic_tables import confirmed_table, controls_table, ranks_text
from hil.study.gaps import gaps, left_out
from hil.study.method import (
    ABOUT_CONTROLS,
    ABOUT_USE,
    about_confirmed,
    about_p,
    about_warm_start,
    how_to_read,
    method,
)
from hil.study.orders import Orders, orders_won
from hil.study.plots import floors_figure, hypervolume_figure, orders_figure
from hil.study.result import StudyResult
from hil.study.tables import floor_table, orders_table, p_table, use_table, volume_table, warm_table
from hil.study.verdicts import GoalVerdict, between, goal_verdicts, ours, while_partial
from hil.study.volume import Curves, curves

_MOST_GAPS = 6


def write_study(result: StudyResult, folder: Path, command: str, called: str = "") -> Path:
    """Write study-TASK-BOARD.md, its three figures and its traces into `folder`.

    The file names contain what the study is `called`, or else, of a study of some arms, their
    names, so that it does not replace the study of all arms. `command` is the command line that
    made the study. An incomplete study is labeled partial. Returns the path of the Markdown file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = _name(result, called)
    chosen, grown = choices(result), curves(result)
    orders = orders_won(result, chosen)
    write_png(hypervolume_figure(result, grown), folder / f"{name}-hypervolume.png")
    write_png(floors_figure(result, chosen), folder / f"{name}-floors.png")
    write_png(orders_figure(orders, ours(result)), folder / f"{name}-orders.png")
    write_csv(result, folder / f"{name}-traces.csv.gz")
    page = _page(result, chosen, grown, orders, name, command)
    path = folder / f"{name}.md"
    write_file(path, page.encode())
    return path


def study_page(result: StudyResult, command: str, called: str = "") -> str:
    """The text of the Markdown page that `write_study` writes."""
    chosen, grown = choices(result), curves(result)
    orders = orders_won(result, chosen)
    return _page(result, chosen, grown, orders, _name(result, called), command)


def _page(
    result: StudyResult,
    chosen: Sequence[Choice],
    grown: Mapping[str, Curves],
    orders: Sequence[Orders],
    name: str,
    command: str,
) -> str:
    missing = gaps(result)
    parts = [
        f"# Study: {find_task(result.task).title}, on `{result.board.name}`"
        f"{' (partial)' if missing else ''}\n",
        f"Made by `{command}`; raw figures: [{name}-traces.csv.gz]({name}-traces.csv.gz).\n",
        _partial(missing),
        _summary(result, all_verdicts(result, chosen, grown)),
        f"![Smallest costs of each arm]({name}-floors.png)\n",
        f"![Hypervolume]({name}-hypervolume.png)\n",
        "## What each arm used\n",
        ABOUT_USE,
        f"{use_table(result)}\n",
        about_warm_start(warm_table(result, chosen, grown)),
        "## The smallest costs above each accuracy floor\n",
        how_to_read(result),
        *(
            f"### At most {floor:g} {'point' if floor <= 1 else 'points'} below float\n\n"
            f"{floor_table(result, chosen, floor)}\n"
            for floor in FLOORS_POINTS
        ),
        "## What the test split confirms\n",
        about_confirmed(),
        f"{confirmed_table(result)}\n",
        *controls_section(result, grown),
        "## Which differences are more than chance\n",
        about_p(result),
        f"{p_table(result, chosen)}\n",
        "## Hypervolume\n",
        "After some numbers of measurements, and at the end of each arm. A cell is empty if no "
        "seed of the arm came so far; a seed that ended earlier counts with its last value.\n",
        f"{volume_table(result, grown)}\n",
        "## Which orders won\n",
        "Initials of prune, sparsify, quantize, distill, elastic (with its pick; I is a pick "
        "that comes later), in the order applied. “Won” counts the "
        "networks of the best weighted mean, one for each search and seed that reached the "
        "floor; “of the fronts” is the share of the non-dominated networks that keep it.\n",
        f"![Orders that won]({name}-orders.png)\n",
        f"{orders_table(orders, ours(result))}\n",
        method(result),
    ]
    return "\n".join(part for part in parts if part)


def study_to_json(result: StudyResult) -> dict[str, Any]:
    """The study as one JSON object: traces, verdicts, choices, hypervolume at the budget's end.

    Values are in bytes, counts or microjoules. A choice's `number` is null if no network was above
    the floor, its `test_drop_points` if it was not tested. `gaps` is empty for a complete study.
    """
    chosen, grown = choices(result), curves(result)
    return {
        "task": identity_of_task(result.task),
        "board": result.board.name,
        "seeds": list(result.seeds),
        "budget_measurements": result.budget_measurements,
        "budget_epochs": result.budget_epochs,
        "gaps": gaps(result),
        "traces": [
            {
                "arm": trace.arm,
                "kind": trace.kind,
                "seed": trace.seed,
                "measurements": sum(trial.fidelity == 1.0 for trial in trace.trials),
                "measured_of_warm_start": trace.warm_measured,
                "measured_of_random_start": trace.drawn_measured,
                "screened": trace.screened,
                "looks": trace.looked,
                "epochs": trace.epochs,
                "seconds": trace.seconds,
                "ended": trace.ended,
            }
            for trace in result.traces
        ],
        "goals": [asdict(one) for one in all_verdicts(result, chosen, grown)],
        "choices": [
            {
                "arm": one.arm,
                "seed": one.seed,
                "floor_points": one.floor_points,
                "aim": one.aim,
                "number": one.trial and one.trial.number,
                "order": one.trial and one.trial.genome.order,
                "value": one.value,
                "ratio": one.ratio,
                "test_drop_points": one.trial and drop_on_test(result, one.seed, one.trial),
            }
            for one in chosen
        ],
        "confirmed": [
            {
                "arm": one.arm,
                "seed": one.seed,
                "floor_points": one.floor_points,
                "cost": one.cost,
                "number": one.trial and one.trial.number,
                "ratio": one.ratio,
                "test_drop_points": one.drop_points,
                "keeps_floor": one.keeps_floor,
            }
            for one in confirmed(result)
        ],
        "inherited_ranks": [asdict(one) for one in seed_ranks(result)],
        "hypervolume": {
            arm: {str(seed): volume for seed, volume in found.items()}
            for arm, found in (
                (arm, one.at_count(result.budget_measurements)) for arm, one in grown.items()
            )
        },
    }


def all_verdicts(
    result: StudyResult, chosen: Sequence[Choice], grown: Mapping[str, Curves]
) -> tuple[GoalVerdict, ...]:
    """The verdicts on all goals of a study."""
    elastic = while_partial(result, elastic_verdicts(result, grown))
    return (*elastic, *goal_verdicts(result, chosen, grown))


def controls_section(result: StudyResult, grown: Mapping[str, Curves]) -> tuple[str, ...]:
    """The parts about the elastic network's controls; none in a study without the elastic arm."""
    if ELASTIC not in grown:
        return ()
    return (
        "## Other searches on the same elastic network\n",
        ABOUT_CONTROLS,
        f"{controls_table(grown, result.most_measured)}\n",
        f"{ranks_text(result)}\n",
    )


def _name(result: StudyResult, called: str) -> str:
    arms = arm_names(result) if left_out(result) else ()
    shown = (called,) if called else arms
    return "-".join(["study", label_of(result.task), result.board.name, *shown])


def _partial(missing: Sequence[str]) -> str:
    if not missing:
        return ""
    more = len(missing) - _MOST_GAPS
    shown = [*missing[:_MOST_GAPS], *([f"and {more} more gaps"] if more > 0 else [])]
    return f"**Partial**: {'; '.join(shown)}. Nothing below is final.\n"


def _summary(result: StudyResult, verdicts: Sequence[GoalVerdict]) -> str:
    lines = [f"- **{one.verdict.capitalize()}**: {one.goal}. {_sentence(one)}" for one in verdicts]
    warm = [trace for trace in result.traces if trace.arm == ADAPTIVE and trace.warm]
    if warm:
        lines.append(
            "- Of the networks that the adaptive search measured in a seed "
            f"({between(one.measured for one in warm)}), "
            f"{between(one.warm_measured for one in warm)} are of its warm start: "
            "[what these alone give](#what-each-arm-used)."
        )
    return "\n".join(["## In short\n", *lines, *_random_starts(result), ""])


def _random_starts(result: StudyResult) -> list[str]:
    """Lines that tell how much of each search was its random start.

    An arm that never got beyond it is random search: to beat it is no second win.
    """
    lines = []
    for arm in arm_names(result):
        begun = [one for one in result.traces if one.arm == arm and one.drawn and one.trials]
        if begun:
            alike = sum(one.is_random_search for one in begun)
            seeds = formatting.number_of(len(begun), "seed")
            where = f"all of them in {alike} of {seeds}, where it is "
            lines.append(
                f"- Of the networks that {title(arm)} measured in a seed "
                f"({between(one.measured for one in begun)}), it drew "
                f"{between(one.drawn_measured for one in begun)} at random before it used what it "
                f"had learned{f': {where}no more than random search' if alike else ''}."
            )
    return lines


def _sentence(one: GoalVerdict) -> str:
    return f"{one.numbers[0].upper()}{one.numbers[1:]}."
