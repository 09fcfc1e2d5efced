"""Whether one arm is better than another: paired by seed, by rank, corrected for many questions.

Each seed has an original network of its own, so that only differences within a seed say something
(docs/decisions/0023-statistics-of-a-study.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from scipy.stats import wilcoxon

from hil.study.choices import Aim, Choice

# Differences that are equal but for rounding are ties.
_DECIMALS = 12
# With fewer pairs no result whatever could reach p < 0.05: the smallest possible is 2**-pairs.
LEAST_SEEDS = 5


def smallest_p(pairs: int) -> float:
    """The p that a one-sided signed-rank test gives if all `pairs` agree: it cannot be smaller."""
    return 2.0**-pairs


def p_below(differences: Sequence[float]) -> float | None:
    """One-sided Wilcoxon signed-rank test: are paired differences below zero? None if too few.

    Exact up to 50 pairs, with zeros or ties among them up to 13 (scipy's "auto", "wilcox" zeros).
    """
    if len(differences) < LEAST_SEEDS:
        return None
    rounded = [round(difference, _DECIMALS) for difference in differences]
    if not any(rounded):
        return 1.0
    return float(wilcoxon(rounded, alternative="less").pvalue)


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Adjusted for asking all these questions at once (Holm 1979); None stays None.

    Sorted upward, the k-th of m is multiplied by m - k + 1; none is smaller than one before it.
    """
    known = sorted((p, name) for name, p in p_values.items() if p is not None)
    adjusted: dict[str, float | None] = dict.fromkeys(p_values)
    highest = 0.0
    for index, (p, name) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - index)))
        adjusted[name] = highest
    return adjusted


def by_seed(
    choices: Sequence[Choice], arm: str, floor_points: float, aim: Aim
) -> dict[int, Choice]:
    """The arm's choices for one floor and one aim, by seed."""
    return {
        choice.seed: choice
        for choice in choices
        if (choice.arm, choice.floor_points, choice.aim) == (arm, floor_points, aim)
    }


def p_smaller(mine: Mapping[int, Choice], theirs: Mapping[int, Choice]) -> float | None:
    """Whether the ratios of one arm are below another's: of log ratios, in the seeds of both."""
    seeds = sorted(mine.keys() & theirs.keys())
    return p_below([math.log(mine[s].ratio) - math.log(theirs[s].ratio) for s in seeds])


def p_below_int8(mine: Mapping[int, Choice]) -> float | None:
    """Whether the ratios of one arm are below 1, those of the int8 network itself."""
    return p_below([math.log(mine[seed].ratio) for seed in sorted(mine)])


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation, which one value alone does not have."""
    return fmean(values), stdev(values) if len(values) > 1 else None
