"""The tables about decisions on unseen data, and about other searches on the elastic network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean

from hil import formatting
from hil.study.arm_names import CONTROLS, ELASTIC, title
from hil.study.choices import kinds
from hil.study.confirmed import (
    CONFIRMED_COSTS,
    CONFIRMED_FLOORS_POINTS,
    Confirmed,
    confirmed,
    kept,
)
from hil.study.elastic_goals import CHECKED_AT, p_above_controls, seed_ranks
from hil.study.result import StudyResult
from hil.study.stats import holm
from hil.study.verdicts import p_text, spread
from hil.study.volume import Curves


def confirmed_table(result: StudyResult) -> str:
    """A row for each arm: ratios of the networks chosen by the decision rule, and who keeps.

    In brackets the ratio with int8 in place of networks that do not keep the floor on test.
    """
    every = confirmed(result)
    titles, asked = ["arm"], []
    for floor in CONFIRMED_FLOORS_POINTS:
        titles.append(f"sure of -{floor:g} in")
        asked += [(floor, cost) for cost in CONFIRMED_COSTS]
        titles += [f"{cost}, -{floor:g}" for cost in CONFIRMED_COSTS]
        titles.append(f"keep -{floor:g}")
    lines = [_line(titles), _line(["---", *["---:"] * (len(titles) - 1)])]
    for arm in kinds(result):
        own = [one for one in every if one.arm == arm]
        if own:
            lines.append(_line([title(arm), *_cells(own)]))
    return "\n".join(lines)


def _cells(own: list[Confirmed]) -> list[str]:
    cells = []
    for floor in CONFIRMED_FLOORS_POINTS:
        here = [one for one in own if one.floor_points == floor]
        seeds = {one.seed for one in here}
        sure = {one.seed for one in here if one.trial is not None}
        cells.append(f"{len(sure)} of {len(seeds)}")
        for cost in CONFIRMED_COSTS:
            mine = [one for one in here if one.cost == cost]
            strict = fmean(one.confirmed_ratio for one in mine)
            cells.append(f"{spread([one.ratio for one in mine], 3)} ({strict:.3f})")
        good, known = kept(tuple(here))
        cells.append(f"{good} of {known}")
    return cells


def controls_table(curves: Mapping[str, Curves], most: int) -> str:
    """A row for the elastic search and each control: hypervolume and p, at two counts."""
    counts = sorted({min(CHECKED_AT, most), most})
    tests = {count: p_above_controls(curves, count) for count in counts}
    titles = ["arm"]
    for count in counts:
        titles += [f"at {count}" if count < most else "at its end", "p, elastic above"]
    lines = [_line(titles), _line(["---", *["---:"] * (len(titles) - 1)])]
    for arm in (ELASTIC, *(control for control in CONTROLS if control in curves)):
        cells = [f"**{title(arm)}**" if arm == ELASTIC else title(arm)]
        for count in counts:
            p, adjusted = tests[count].get(arm), holm(tests[count]).get(arm)
            cells.append(spread(list(curves[arm].at_count(count).values()), 4))
            cells.append("" if arm == ELASTIC else f"{p_text(p)} ({p_text(adjusted)})")
        lines.append(_line(cells))
    return "\n".join(lines)


def ranks_text(result: StudyResult) -> str:
    """What inherited accuracy says of trained accuracy, by seed, in a paragraph."""
    found = seed_ranks(result)
    if not found:
        return "No seed trained three shapes that were looked at: no rank correlation."
    columns = {
        "alone": [one.spearman for one in found],
        "given the MACs": [one.given_macs for one in found],
        "given the count": [one.given_count for one in found],
    }
    told = ", ".join(f"{name} {spread(values)}" for name, values in columns.items())
    shapes = ", ".join(str(one.shapes) for one in found)
    return (
        "Spearman's rank correlation of the accuracy that a shape inherits with that after its "
        f"first training, in {formatting.number_of(len(found), 'seed')}: {told} (shapes by seed: "
        f"{shapes}). Looks are judged on one half of the validation samples, trained networks "
        "here on the other. Only shapes that the search chose to train are in it."
    )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
