"""The tables of a study's report, as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from hil import formatting
from hil.study.arm_names import ADAPTIVE, title
from hil.study.choices import FLOORS_POINTS, WEIGHTED, Aim, Choice, aims, drop_on_test, kinds
from hil.study.choices import choices as all_choices
from hil.study.orders import Orders, grouped
from hil.study.result import Ending, StudyResult
from hil.study.stats import by_seed, holm, mean_and_spread, p_below_int8, p_smaller
from hil.study.verdicts import (
    GOAL_FLOOR_POINTS,
    between,
    ours,
    p_above,
    p_text,
    spread,
    warm_start_alone,
)
from hil.study.volume import Curves
from hil.study.volume import curves as volumes

_MOST_ORDERS = 12
_ENDINGS: dict[Ending | None, str] = {
    "settings": "all settings tried",
    "epochs": "epochs used up",
    "measurements": "measurements used up",
    None: "not finished",
}


def use_table(result: StudyResult) -> str:
    """A row for each arm: networks, epochs and seconds by seed, and what ended it."""
    titles = ["arm", "measured", "looked at", "screened", "epochs charged", "seconds", "ended as"]
    lines = [_line(titles), _line(["---", *["---:"] * 5, "---"])]
    for arm in kinds(result):
        traces = [trace for trace in result.traces if trace.arm == arm]
        cells = [
            _mean_and_range([trace.measured for trace in traces]),
            _mean_and_range([trace.looked for trace in traces]),
            _mean_and_range([trace.screened - trace.looked for trace in traces]),
            _mean_and_range([trace.epochs for trace in traces]),
            _mean_and_range([round(trace.seconds) for trace in traces]),
        ]
        lines.append(_line([_name(result, arm), *cells, _ended([trace.ended for trace in traces])]))
    return "\n".join(lines)


def warm_table(result: StudyResult, choices: Sequence[Choice], curves: Mapping[str, Curves]) -> str:
    """A row for the adaptive arm's warm start alone and one for the whole search.

    The figures are those at the goal's floor. Empty without a measured warm start.
    """
    alone = warm_start_alone(result)
    first = volumes(alone)
    if ADAPTIVE not in first:
        return ""
    shown = aims(result)
    titles = ["", "measured", *shown, "hypervolume"]
    lines = [_line(titles), _line(["---", *["---:"] * (len(titles) - 1)])]
    for name, part, found, grown in (
        ("warm start alone", alone, all_choices(alone), first),
        ("whole search", result, choices, curves),
    ):
        cells = [between([trace.measured for trace in part.traces if trace.arm == ADAPTIVE])]
        for aim in shown:
            mine = by_seed(found, ADAPTIVE, GOAL_FLOOR_POINTS, aim).values()
            ratio = fmean(choice.ratio for choice in mine)
            cells.append(f"{ratio:.3f}" if aim == "weighted" else formatting.ratio(ratio))
        volume = grown[ADAPTIVE].at_count(result.budget_measurements)
        lines.append(_line([name, *cells, spread(list(volume.values()), 4)]))
    return "\n".join(lines)


def floor_table(result: StudyResult, choices: Sequence[Choice], floor: float) -> str:
    """A row for each arm: smallest costs, their ratios to int8, and the drop on the test split."""
    shown = aims(result)
    titles = ["arm", "reached", *(f"{aim}{_unit(aim)}" for aim in shown), "test drop", "kept"]
    lines = [_line(titles), _line(["---", *["---:"] * (len(titles) - 1)])]
    for arm in kinds(result):
        found = {aim: by_seed(choices, arm, floor, aim) for aim in shown}
        seeds = found["weighted"]
        if not seeds:
            continue
        reached = sum(choice.trial is not None for choice in seeds.values())
        cells = [_name(result, arm), f"{reached} of {len(seeds)}"]
        cells += [_cost(aim, list(found[aim].values())) for aim in shown]
        lines.append(_line([*cells, *_on_test(result, found.values(), floor)]))
    return "\n".join(lines)


def p_table(result: StudyResult, choices: Sequence[Choice]) -> str:
    """A row of p-values for each arm: that it beats int8, and that our arm beats it.

    One-sided, raw and after Holm's correction; for the weighted mean at every floor, and for each
    cost at the goal's floor.
    """
    arms = [arm for arm in kinds(result) if by_seed(choices, arm, GOAL_FLOOR_POINTS, "weighted")]
    asked: list[tuple[float, Aim]] = [(floor, "weighted") for floor in FLOORS_POINTS]
    asked += [(GOAL_FLOOR_POINTS, aim) for aim in aims(result) if aim in WEIGHTED]
    columns, own = [_below_int8(choices, arms)], ours(result)
    for floor, aim in asked:
        mine = by_seed(choices, own, floor, aim)
        theirs = {arm: by_seed(choices, arm, floor, aim) for arm in arms if arm != own}
        columns.append(_pairs({arm: p_smaller(mine, found) for arm, found in theirs.items()}))
    titles = ["arm", f"below int8, weighted, -{GOAL_FLOOR_POINTS:g}"]
    titles += [f"{own} below it, {aim}, -{floor:g}" for floor, aim in asked]
    lines = [_line(titles), _line(["---", *["---:"] * (len(titles) - 1)])]
    lines += [
        _line([_name(result, arm), *(column.get(arm, "") for column in columns)]) for arm in arms
    ]
    return "\n".join(lines)


def volume_table(result: StudyResult, curves: Mapping[str, Curves]) -> str:
    """A row for each arm: hypervolume after some counts and at its end, and the p-value.

    The p-value is that our arm's hypervolume is larger (`ours`). A cell is empty if no seed of the
    arm measured so many networks.
    """
    most = result.most_measured
    counts = sorted({max(1, most // part) for part in (16, 8, 4, 2)})
    own = ours(result)
    others = [arm for arm in curves if arm != own]
    above = _pairs(p_above(curves, own, others, most)) if own in curves else {}
    titles = [
        "arm",
        *(f"at {count}" for count in counts),
        "at its end",
        f"p, {own} above at the ends",
    ]
    lines = [_line(titles), _line(["---", *["---:"] * (len(titles) - 1)])]
    for arm, found in curves.items():
        ends = [trace.measured for trace in result.traces if trace.arm == arm]
        cells = [_volume(found, count) if count <= max(ends) else "" for count in counts]
        end = f"{_volume(found, most)} at {between(ends)}"
        name = f"{_name(result, arm)} (replayed)" if found.replayed else _name(result, arm)
        lines.append(_line([name, *cells, end, above.get(arm, "")]))
    return "\n".join(lines)


def orders_table(orders: Sequence[Orders], own: str) -> str:
    """A row for each order: wins of all searches, of the arm `own`, and share of the fronts."""
    titles = ["order"]
    for one in orders:
        floor = f"-{one.floor_points:g}"
        titles += [f"{floor}: won", own, "of the fronts"]
    lines = [_line(titles), _line(["---", *["---:"] * (len(titles) - 1)])]
    for row, names in grouped(orders, _MOST_ORDERS).items():
        cells = [row]
        for one in orders:
            mine = one.won.get(own, Counter[str]())
            share = sum(one.front[name] for name in names) / max(1, one.front.total())
            won = (sum(counts[name] for name in names) for counts in (one.all_won, mine))
            cells += [*map(str, won), f"{100 * share:.0f} %"]
        lines.append(_line(cells))
    return "\n".join(lines)


def _volume(found: Curves, count: int) -> str:
    return spread(list(found.at_count(count).values()), 4)


def _mean_and_range(values: Sequence[float]) -> str:
    return between(values) if len(set(values)) == 1 else f"{fmean(values):.4g} ({between(values)})"


def _ended(endings: Sequence[Ending | None]) -> str:
    """The endings as text, like `epochs used up in 2 of 3 seeds, not finished in 1`."""
    counts = Counter(endings).most_common()
    if len(counts) == 1:
        return _ENDINGS[endings[0]]
    (most, seeds), *others = ((_ENDINGS[ended], count) for ended, count in counts)
    first = f"{most} in {seeds} of {formatting.number_of(len(endings), 'seed')}"
    return ", ".join([first, *(f"{text} in {count}" for text, count in others)])


def _cost(aim: Aim, found: Sequence[Choice]) -> str:
    ratios = [choice.ratio for choice in found]
    if aim == "weighted":
        return spread(ratios, 3)
    mean, deviation = mean_and_spread([choice.value for choice in found])
    value = _value(aim, mean) + ("" if deviation is None else f" ± {_value(aim, deviation)}")
    return f"{value} ({formatting.ratio(fmean(ratios))})"


def _value(aim: Aim, value: float) -> str:
    if aim == "count":
        return formatting.short_count(value)
    return f"{value:.4g}" if aim == "energy" else formatting.kib(value)


def _unit(aim: Aim) -> str:
    return {"count": "", "weighted": " mean", "energy": ", µJ"}.get(aim, ", KiB")


def _on_test(
    result: StudyResult, found: Iterable[Mapping[int, Choice]], floor: float
) -> tuple[str, str]:
    """The mean drop of the row's networks on the test split, and how many keep the floor there."""
    networks = {
        (choice.seed, choice.trial.number): choice.trial
        for by_seeds in found
        for choice in by_seeds.values()
        if choice.trial is not None
    }
    drops = [drop_on_test(result, seed, trial) for (seed, _), trial in networks.items()]
    known = [drop for drop in drops if drop is not None]
    if not known:
        return "", ""
    kept = sum(drop <= floor + 1e-7 for drop in known)
    return spread(known), f"{kept} of {len(known)}"


def _below_int8(choices: Sequence[Choice], arms: Sequence[str]) -> dict[str, str]:
    found = {arm: by_seed(choices, arm, GOAL_FLOOR_POINTS, "weighted") for arm in arms}
    return _pairs({arm: p_below_int8(mine) for arm, mine in found.items()})


def _pairs(raw: Mapping[str, float | None]) -> dict[str, str]:
    """The p-values as text, like `0.031 (0.094)`: raw, and after Holm's correction."""
    adjusted = holm(raw)
    return {
        arm: p_text(p) if p is None else f"{p_text(p)} ({p_text(adjusted[arm])})"
        for arm, p in raw.items()
    }


def _name(result: StudyResult, arm: str) -> str:
    return f"**{title(arm)}**" if arm == ours(result) else title(arm)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
