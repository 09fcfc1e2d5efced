"""Tests between arms: Wilcoxon's signed-rank test, paired by seed, with Holm's correction.

Each seed has its own original network, and seeds differ more than arms do: only the differences
within a seed are compared. There are few seeds, hence exact tests on ranks
(docs/decisions/0023-statistics-of-a-study.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from scipy.stats import wilcoxon

from hil.study.choices import Aim, Choice

# Differences are rounded to so many decimals, so that values equal but for float rounding are ties.
_DECIMALS = 12
# The fewest pairs with which p < 0.05 is possible: 2**-5 = 0.031 (see `smallest_p`).
LEAST_SEEDS = 5


def smallest_p(pairs: int) -> float:
    """The smallest possible p of a one-sided signed-rank test, reached if all pairs agree.

    Under the null hypothesis each of the 2**pairs assignments of signs is equally likely.
    """
    return 2.0**-pairs


def p_below(differences: Sequence[float]) -> float | None:
    """The p-value of a one-sided Wilcoxon signed-rank test that `differences` are below zero.

    None with fewer than `LEAST_SEEDS` differences, 1 if all are zero. scipy's method "auto" is
    exact up to 50 pairs, or up to 13 with zeros or ties; zeros are dropped ("wilcox").
    """
    if len(differences) < LEAST_SEEDS:
        return None
    rounded = [round(difference, _DECIMALS) for difference in differences]
    if not any(rounded):
        return 1.0
    return float(wilcoxon(rounded, alternative="less").pvalue)


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """The p-values by name after Holm's step-down correction (Holm 1979); None stays None.

    In ascending order, the k-th of m becomes min(1, (m - k + 1) * p_k), and no adjusted value is
    smaller than the one before it. It controls the probability of any false rejection.
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
    """The arm's choice of each seed for one floor and one aim."""
    return {
        choice.seed: choice
        for choice in choices
        if (choice.arm, choice.floor_points, choice.aim) == (arm, floor_points, aim)
    }


def p_smaller(mine: Mapping[int, Choice], theirs: Mapping[int, Choice]) -> float | None:
    """The p-value that the ratios of one arm are smaller than another's, over their common seeds.

    Logarithms are compared, as costs differ by factors.
    """
    seeds = sorted(mine.keys() & theirs.keys())
    return p_below([math.log(mine[s].ratio) - math.log(theirs[s].ratio) for s in seeds])


def p_below_int8(mine: Mapping[int, Choice]) -> float | None:
    """The p-value that the ratios of one arm are below 1, the ratio of the int8 network itself."""
    return p_below([math.log(mine[seed].ratio) for seed in sorted(mine)])


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean and the sample standard deviation, None for a single value."""
    return fmean(values), stdev(values) if len(values) > 1 else None
