"""The verdicts of a study: for each goal of our search (`ours`), was it reached, with numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import Literal

from hil import formatting
from hil.study.arm_names import ADAPTIVE, ELASTIC, FIXED
from hil.study.choices import Choice, Cost, aims, arm_names, kinds, ratios_to, references
from hil.study.gaps import left_out, partial_arms
from hil.study.result import StudyResult
from hil.study.stats import LEAST_SEEDS, by_seed, holm, mean_and_spread, p_below, smallest_p
from hil.study.volume import Curves
from hil.types import Trial

# The searches to beat. NSGA-II varies genomes alike, but has no gate, warm start or fidelities.
RIVALS = ("random", "tpe", "nsga2")
GOAL_FLOOR_POINTS = 1.0
GOAL_RATIO = 0.5
GOAL_MEASUREMENTS = 200
SIGNIFICANT = 0.05
_HALVED: tuple[Cost, ...] = ("model flash", "count", "energy")
# Tolerance for float rounding: ratios closer than this are equal.
_EQUAL = 1e-9
Verdict = Literal["reached", "not reached", "not decided"]


def ours(result: StudyResult) -> str:
    """The arm that the goals are about: the elastic search, or without it the adaptive one."""
    return ELASTIC if ELASTIC in arm_names(result) else ADAPTIVE


@dataclass(frozen=True, slots=True)
class GoalVerdict:
    """A goal in words, its verdict, and the numbers that support it."""

    goal: str
    verdict: Verdict
    numbers: str


def goal_verdicts(
    result: StudyResult, choices: Sequence[Choice], curves: Mapping[str, Curves]
) -> tuple[GoalVerdict, ...]:
    """The verdicts on all goals of our search.

    The goals: half of int8's cost, for each of three costs; no fixed arm better in any seed; a
    larger hypervolume than each of `RIVALS`. While an arm is unfinished in any seed, every verdict
    is "not decided", with the numbers so far.
    """
    return while_partial(
        result,
        (
            *(_half(result, choices, cost) for cost in _HALVED),
            _no_recipe_better(result, choices),
            _more_volume(result, curves),
        ),
    )


def while_partial(
    result: StudyResult, verdicts: tuple[GoalVerdict, ...]
) -> tuple[GoalVerdict, ...]:
    """The verdicts, or, while an arm is unfinished, none but the numbers so far."""
    if not partial_arms(result):
        return verdicts
    return tuple(GoalVerdict(one.goal, "not decided", f"so far {one.numbers}") for one in verdicts)


def _half(result: StudyResult, choices: Sequence[Choice], cost: Cost) -> GoalVerdict:
    ratio = formatting.ratio(GOAL_RATIO)
    goal = f"{cost} at most {ratio} of int8-only at -{GOAL_FLOOR_POINTS:g} point"
    mine = by_seed(choices, ours(result), GOAL_FLOOR_POINTS, cost)
    if cost not in aims(result):
        return GoalVerdict(goal, "not decided", f"not known on {result.board.name}")
    if not mine:
        return GoalVerdict(goal, "not decided", f"arm {ours(result)} has no trials")
    chosen = [mine[seed] for seed in sorted(mine)]
    ratios = [choice.ratio for choice in chosen]
    whole = by_seed(choices, ours(result), GOAL_FLOOR_POINTS, "weighted").values()
    numbers = f"in the networks where it is smallest {spread(ratios)} (by seed {listed(ratios)})"
    if cost == "model flash":
        numbers += (
            f", their image flash {formatting.ratio(_mean_ratio(result, chosen, 'image flash'))}"
        )
    numbers += (
        f"; in those of the best weighted mean {formatting.ratio(_mean_ratio(result, whole, cost))}"
    )
    return GoalVerdict(goal, reached_if(fmean(ratios) <= GOAL_RATIO), numbers)


def _mean_ratio(result: StudyResult, chosen: Iterable[Choice], cost: Cost) -> float:
    """The mean ratio of `cost` over the chosen networks, whatever they were chosen for.

    The int8 network, ratio 1, takes the place of a missing one.
    """
    int8 = references(result)
    return fmean(
        ratios_to(one.trial, int8[one.seed], result.board)[cost] if one.trial else 1.0
        for one in chosen
    )


def _no_recipe_better(result: StudyResult, choices: Sequence[Choice]) -> GoalVerdict:
    goal = (
        f"in every seed at least as good as the best fixed arm at -{GOAL_FLOOR_POINTS:g} point "
        "in the weighted mean"
    )
    mine = by_seed(choices, ours(result), GOAL_FLOOR_POINTS, "weighted")
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
        return GoalVerdict(goal, "not decided", "no seed has both")
    good = [seed for seed, other in best.items() if mine[seed].ratio <= other.ratio + _EQUAL]
    each = ", ".join(
        f"{mine[seed].ratio:.3f} against {other.ratio:.3f} ({other.arm})"
        for seed, other in best.items()
    )
    numbers = f"in {len(good)} of {formatting.number_of(len(best), 'seed')}: {each}"
    missing = [arm for arm in left_out(result) if arm in FIXED]
    if missing:
        return GoalVerdict(goal, "not decided", f"{numbers}; without {', '.join(missing)}")
    if len(best) < LEAST_SEEDS:
        return GoalVerdict(
            goal, "not decided", f"{numbers}; too few for every seed: at least {LEAST_SEEDS}"
        )
    return GoalVerdict(goal, reached_if(len(good) == len(best)), numbers)


def _more_volume(result: StudyResult, curves: Mapping[str, Curves]) -> GoalVerdict:
    count = min(GOAL_MEASUREMENTS, result.budget_measurements)
    goal = (
        f"hypervolume at {count} measurements, or where the training ended before, above "
        f"{', '.join(RIVALS)}, p < {SIGNIFICANT}"
    )
    missing = [arm for arm in (ours(result), *RIVALS) if arm not in curves]
    if missing:
        return GoalVerdict(goal, "not decided", f"no trials of {', '.join(missing)}")
    mine = curves[ours(result)].at_count(count)
    p_values = p_above(curves, ours(result), RIVALS, count)
    adjusted = holm(p_values)
    each = []
    for arm in RIVALS:
        theirs = curves[arm].at_count(count)
        seeds = mine.keys() & theirs.keys()
        more = fmean(mine[seed] - theirs[seed] for seed in seeds) if seeds else 0.0
        each.append(f"{arm} {more:+.4f} ({p_words(p_values[arm])}, Holm {p_words(adjusted[arm])})")
    ends = ", ".join(f"{arm} {measured(result, arm)}" for arm in (ours(result), *RIVALS))
    numbers = f"{spread(list(mine.values()), 4)}; to {'; '.join(each)}; measured: {ends}"
    known = [p for p in p_values.values() if p is not None]
    if len(known) < len(RIVALS):
        return GoalVerdict(goal, "not decided", f"{numbers}; {too_few(len(mine))}")
    # Intersection-union test (Berger 1982): the goal needs every test to pass. If it is false, at
    # least one null hypothesis holds, and its test alone passes with a probability of at most
    # 0.05: no correction is needed.
    return GoalVerdict(goal, reached_if(max(known) < SIGNIFICANT), numbers)


def measured(result: StudyResult, arm: str) -> str:
    """The number of networks that the arm measured in a seed, as a range over the seeds."""
    return between(trace.measured for trace in result.traces if trace.arm == arm)


def p_above(
    curves: Mapping[str, Curves], own: str, arms: Iterable[str], measurements: int
) -> dict[str, float | None]:
    """The p-value, for each arm, that the hypervolume of `own` is larger.

    Paired over the seeds that both arms have; None with too few of them.
    """
    mine = curves[own].at_count(measurements)
    found = {}
    for arm in arms:
        theirs = curves[arm].at_count(measurements)
        found[arm] = p_below([theirs[s] - mine[s] for s in sorted(mine.keys() & theirs.keys())])
    return found


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The text "mean ± standard deviation"; a single value alone."""
    mean, deviation = mean_and_spread(values)
    text = f"{mean:.{digits}f}"
    return text if deviation is None else f"{text} ± {deviation:.{digits}f}"


def between(values: Iterable[float]) -> str:
    """The range as text, like `17 to 20`; one number if all are equal."""
    known = sorted(set(values))
    return f"{known[0]:.4g}" if len(known) == 1 else f"{known[0]:.4g} to {known[-1]:.4g}"


def listed(values: Iterable[float]) -> str:
    """The values as text, like `0.42 0.40 0.45`."""
    return " ".join(f"{value:.2f}" for value in values)


def too_few(seeds: int) -> str:
    """The reason why there is no p-value with so few seeds."""
    return (
        f"with {formatting.number_of(seeds, 'seed')} the smallest possible p is "
        f"{smallest_p(seeds):.3g}: no test below {LEAST_SEEDS} seeds"
    )


def p_text(p: float | None) -> str:
    """The p-value as text: three decimals, one digit below 0.001, a dash if there was no test."""
    if p is None:
        return "-"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"


def p_words(p: float | None) -> str:
    return "no p" if p is None else f"p = {p_text(p)}"


def reached_if(is_reached: bool) -> Verdict:
    return "reached" if is_reached else "not reached"


def warm_start_alone(result: StudyResult) -> StudyResult:
    """The study reduced to the adaptive arm's warm start, which includes the int8 network."""
    return replace(
        result,
        traces=tuple(
            one.only(partial(_is_among, one.warm))
            for one in result.traces
            if one.arm == ADAPTIVE and one.warm
        ),
    )


def _is_among(keys: frozenset[str], trial: Trial) -> bool:
    return trial.genome.key in keys
