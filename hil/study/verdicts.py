"""Whether a study reached what it set out for: one verdict with its numbers for each goal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from hil import formatting
from hil.study.arm_names import FIXED
from hil.study.choices import (
    Choice,
    Cost,
    aims,
    kinds,
    ratios_to,
    references,
)
from hil.study.gaps import left_out, partial_arms
from hil.study.result import StudyResult
from hil.study.stats import LEAST_SEEDS, by_seed, holm, mean_and_spread, p_below, smallest_p
from hil.study.volume import Curves

ADAPTIVE = "adaptive"
# Searches that the adaptive one is to beat: the last without gates, warm start and fidelities.
RIVALS = ("random", "tpe", "nsga2")
GOAL_FLOOR_POINTS = 1.0
GOAL_RATIO = 0.5
GOAL_MEASUREMENTS = 200
SIGNIFICANT = 0.05
_HALVED: tuple[Cost, ...] = ("model flash", "count", "energy")
# Ratios are quotients of integers: this is rounding.
_EQUAL = 1e-9
Verdict = Literal["reached", "not reached", "not decided"]


@dataclass(frozen=True, slots=True)
class Judged:
    """A goal in words, its verdict, and the numbers behind it."""

    goal: str
    verdict: Verdict
    numbers: str


def judge(
    result: StudyResult, choices: Sequence[Choice], curves: Mapping[str, Curves]
) -> tuple[Judged, ...]:
    """All goals: each half, no fixed recipe better in any seed, more volume than other searches.

    Nothing is decided before all arms are finished in all seeds: the numbers are then those so far.
    """
    judged = (
        *(_half(result, choices, cost) for cost in _HALVED),
        _no_recipe_better(result, choices),
        _more_volume(result, curves),
    )
    if not partial_arms(result):
        return judged
    return tuple(Judged(one.goal, "not decided", f"so far {one.numbers}") for one in judged)


def _half(result: StudyResult, choices: Sequence[Choice], cost: Cost) -> Judged:
    ratio = formatting.ratio(GOAL_RATIO)
    goal = f"{cost} at most {ratio} of int8-only at -{GOAL_FLOOR_POINTS:g} point"
    mine = by_seed(choices, ADAPTIVE, GOAL_FLOOR_POINTS, cost)
    if cost not in aims(result):
        return Judged(goal, "not decided", f"not known on {result.board.name}")
    if not mine:
        return Judged(goal, "not decided", f"arm {ADAPTIVE} has no trials")
    chosen = [mine[seed] for seed in sorted(mine)]
    ratios = [choice.ratio for choice in chosen]
    whole = by_seed(choices, ADAPTIVE, GOAL_FLOOR_POINTS, "weighted").values()
    numbers = f"in the networks smallest in it {spread(ratios)} (by seed {listed(ratios)})"
    if cost == "model flash":
        numbers += (
            f", their image flash {formatting.ratio(_mean_ratio(result, chosen, 'image flash'))}"
        )
    numbers += (
        f"; in those of the best weighted mean {formatting.ratio(_mean_ratio(result, whole, cost))}"
    )
    return Judged(goal, _verdict(fmean(ratios) <= GOAL_RATIO), numbers)


def _mean_ratio(result: StudyResult, chosen: Iterable[Choice], cost: Cost) -> float:
    """Of any cost of the networks that were chosen for one; 1 where int8 stands in."""
    int8 = references(result)
    return fmean(
        ratios_to(one.trial, int8[one.seed], result.board)[cost] if one.trial else 1.0
        for one in chosen
    )


def _no_recipe_better(result: StudyResult, choices: Sequence[Choice]) -> Judged:
    goal = (
        f"in every seed at least as good as the best fixed arm at -{GOAL_FLOOR_POINTS:g} point "
        "in the weighted mean"
    )
    mine = by_seed(choices, ADAPTIVE, GOAL_FLOOR_POINTS, "weighted")
    fixed = [
        choice
        for arm, kind in kinds(result).items()
        if kind != "search"
        for choice in by_seed(choices, arm, GOAL_FLOOR_POINTS, "weighted").values()
    ]
    best = {
        seed: min((c for c in fixed if c.seed == seed), key=lambda c: c.ratio)
        for seed in sorted(mine.keys() & {choice.seed for choice in fixed})
    }
    if not best:
        return Judged(goal, "not decided", "no seed has both")
    good = [seed for seed, other in best.items() if mine[seed].ratio <= other.ratio + _EQUAL]
    each = ", ".join(
        f"{mine[seed].ratio:.3f} against {other.ratio:.3f} ({other.arm})"
        for seed, other in best.items()
    )
    numbers = f"in {len(good)} of {formatting.number_of(len(best), 'seed')}: {each}"
    missing = [arm for arm in left_out(result) if arm in FIXED]
    if missing:
        return Judged(goal, "not decided", f"{numbers}; without {', '.join(missing)}")
    if len(best) < LEAST_SEEDS:
        return Judged(
            goal, "not decided", f"{numbers}; too few for every seed: at least {LEAST_SEEDS}"
        )
    return Judged(goal, _verdict(len(good) == len(best)), numbers)


def _more_volume(result: StudyResult, curves: Mapping[str, Curves]) -> Judged:
    count = min(GOAL_MEASUREMENTS, result.budget_measurements)
    goal = (
        f"hypervolume at {count} measurements, or where the training ended before, above "
        f"{', '.join(RIVALS)}, p < {SIGNIFICANT}"
    )
    missing = [arm for arm in (ADAPTIVE, *RIVALS) if arm not in curves]
    if missing:
        return Judged(goal, "not decided", f"no trials of {', '.join(missing)}")
    mine = curves[ADAPTIVE].at_count(count)
    p_values = p_above(curves, RIVALS, count)
    adjusted = holm(p_values)
    each = []
    for arm in RIVALS:
        theirs = curves[arm].at_count(count)
        seeds = mine.keys() & theirs.keys()
        more = fmean(mine[seed] - theirs[seed] for seed in seeds) if seeds else 0.0
        each.append(f"{arm} {more:+.4f} ({_p(p_values[arm])}, Holm {_p(adjusted[arm])})")
    ends = ", ".join(f"{arm} {measured(result, arm)}" for arm in (ADAPTIVE, *RIVALS))
    numbers = f"{spread(list(mine.values()), 4)}; to {'; '.join(each)}; measured: {ends}"
    known = [p for p in p_values.values() if p is not None]
    if len(known) < len(RIVALS):
        return Judged(goal, "not decided", f"{numbers}; {too_few(len(mine))}")
    # To be above all of them, each test has to be passed: that needs no correction (Berger 1982).
    return Judged(goal, _verdict(max(known) < SIGNIFICANT), numbers)


def measured(result: StudyResult, arm: str) -> str:
    """How many networks the arm measured, from the least to the most of all seeds."""
    return between(trace.measured for trace in result.traces if trace.arm == arm)


def p_above(
    curves: Mapping[str, Curves], arms: Iterable[str], measurements: int
) -> dict[str, float | None]:
    """By arm, whether the adaptive one's hypervolume is above its own, in the seeds of both."""
    mine = curves[ADAPTIVE].at_count(measurements)
    found = {}
    for arm in arms:
        theirs = curves[arm].at_count(measurements)
        found[arm] = p_below([theirs[s] - mine[s] for s in sorted(mine.keys() & theirs.keys())])
    return found


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean ± standard deviation, or the one value."""
    mean, deviation = mean_and_spread(values)
    text = f"{mean:.{digits}f}"
    return text if deviation is None else f"{text} ± {deviation:.{digits}f}"


def between(values: Iterable[float]) -> str:
    """From the least to the most, as `17 to 20`; one number where they are alike."""
    known = sorted(set(values))
    return f"{known[0]:.4g}" if len(known) == 1 else f"{known[0]:.4g} to {known[-1]:.4g}"


def listed(values: Iterable[float]) -> str:
    """As `0.42 0.40 0.45`."""
    return " ".join(f"{value:.2f}" for value in values)


def too_few(seeds: int) -> str:
    """Why there is no p."""
    return (
        f"with {formatting.number_of(seeds, 'seed')} the smallest possible p is "
        f"{smallest_p(seeds):.3g}: no test below {LEAST_SEEDS} seeds"
    )


def p_text(p: float | None) -> str:
    """Two digits, or a dash where there was no test."""
    if p is None:
        return "-"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"


def _p(p: float | None) -> str:
    return "no p" if p is None else f"p = {p_text(p)}"


def _verdict(is_reached: bool) -> Verdict:
    return "reached" if is_reached else "not reached"


def warm_start_alone(result: StudyResult) -> StudyResult:
    """The adaptive arm, cut to the genomes that it had before it learned anything.

    The int8 network that ratios are taken to is the first of them. No other arm is in it.
    """
    return replace(
        result,
        traces=tuple(
            replace(one, trials=tuple(t for t in one.trials if t.genome.key in one.warm))
            for one in result.traces
            if one.arm == ADAPTIVE and one.warm
        ),
    )
