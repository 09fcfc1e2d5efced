"""The probability of keeping the floor, against simulations with known true accuracies."""

from __future__ import annotations

from dataclasses import replace
from math import hypot, sqrt

import numpy as np
import pytest

from helpers.trials import measured, pruned
from hil.figures import HalfFigures
from hil.objective.decision import floor_odds, margin
from hil.types import Trial

FLOAT = 0.95


def trial(
    number: int,
    halves: tuple[float, float],
    error: float,
    count: int = 1_000_000,
    keep: float | None = None,
    repeat: int = 0,
    common: float = 0.0,
    floats: tuple[float, float] = (FLOAT, FLOAT),
) -> Trial:
    """A measured trial with these accuracies on the halves and these of the float network.

    `error` is the own part of the error on a half, `common` that of all networks.
    """
    genome = pruned(keep if keep is not None else number / 1000)
    made = measured(number, genome, accuracy=sum(halves) / 2, count=count, repeat=repeat)
    assert made.measurement is not None
    figures = tuple(
        HalfFigures(a, hypot(error, common), f - a, sqrt(2) * error)
        for a, f in zip(halves, floats, strict=True)
    )
    return replace(made, measurement=replace(made.measurement, halves=figures))


def run(
    rng: np.random.Generator, floor: float, own: float, common: float = 0.0
) -> tuple[list[Trial], dict[int, float], float]:
    """60 networks whose true accuracy rises with the count, and the float network as it was seen.

    `own` is the error of each network on each half, the float one's too, `common` that of all.
    """
    trials, truth = [], {}
    shared = rng.normal(0, common, 2)
    floats = FLOAT + shared + rng.normal(0, own, 2)
    for number in range(1, 61):
        count = int(200_000 * 5 ** (number / 60))
        true = floor - 0.02 + 0.04 * number / 60 + rng.normal(0, 0.006)
        truth[number] = true
        a, b = true + shared + rng.normal(0, own, 2)
        trials.append(
            trial(number, (a, b), own, count, common=common, floats=(floats[0], floats[1]))
        )
    return trials, truth, float(floats.mean())


@pytest.mark.parametrize("common", [0.0, 0.008])
@pytest.mark.parametrize("is_distance", [False, True])
def test_the_cheapest_that_is_probable_enough_keeps_the_floor_that_often(
    is_distance: bool, common: float
) -> None:
    """Choosing by validation accuracy alone keeps it in far fewer runs."""
    rng, floor, runs = np.random.default_rng(5), 0.93, 200
    kept = naive = 0
    for _ in range(runs):
        trials, truth, seen = run(rng, floor, 0.012, common)
        asked = seen - (FLOAT - floor) if is_distance else floor
        odds = floor_odds(trials, asked, is_distance)
        surest = max(trials, key=lambda one: odds[one.number].probability).number
        probable = [t.number for t in trials if odds[t.number].probability >= 0.8] or [surest]
        lucky = [t.number for t in trials if (t.accuracy or 0) >= asked]
        kept += truth[min(probable)] >= floor
        naive += truth[min(lucky)] >= floor
    assert naive / runs < 0.45
    assert 0.72 <= kept / runs <= 0.95


@pytest.mark.parametrize("common", [0.0, 0.012])
def test_the_probabilities_are_calibrated(common: float) -> None:
    """Of networks said to keep the floor with a probability, about that share keeps it."""
    rng, said, true = np.random.default_rng(6), [], []
    for _ in range(60 if common == 0.0 else 300):
        trials, truth, _ = run(rng, 0.93, 0.012, common)
        odds = floor_odds(trials, 0.93, is_distance=False)
        said += [odds[t.number].probability for t in trials]
        true += [truth[t.number] >= 0.93 for t in trials]
    chances, kept = np.array(said), np.array(true)
    for low in (0.1, 0.3, 0.5, 0.7):
        inside = (chances >= low) & (chances < low + 0.2)
        assert inside.sum() > 100
        assert kept[inside].mean() == pytest.approx(chances[inside].mean(), abs=0.06)


def test_the_luckiest_of_equal_networks_is_shrunk_toward_the_others() -> None:
    rng = np.random.default_rng(0)
    trials = [trial(n, tuple(0.93 + rng.normal(0, 0.01, 2)), 0.01) for n in range(1, 41)]
    best = max(trials, key=lambda t: t.accuracy or 0)
    odds = floor_odds(trials, 0.93, is_distance=False)[best.number]
    assert best.accuracy is not None
    assert abs(odds.accuracy - 0.93) < 0.4 * (best.accuracy - 0.93)


def test_with_few_networks_nothing_is_shrunk() -> None:
    lone = trial(1, (0.94, 0.96), 0.01)
    odds = floor_odds([lone], 0.95 - 0.01 / sqrt(2), is_distance=False)[1]
    assert odds.accuracy == pytest.approx(0.95)
    assert odds.deviation == pytest.approx(0.01 / sqrt(2))
    assert odds.probability == pytest.approx(0.8413, abs=1e-3)  # one standard error above


def test_repeats_of_a_genome_inform_each_other() -> None:
    """A lucky training beside two poor ones of its genome is believed less than a lone one."""
    rng = np.random.default_rng(1)
    others = [trial(n, tuple(0.93 + rng.normal(0, 0.012, 2)), 0.006) for n in range(1, 31)]
    lone = trial(100, (0.945, 0.945), 0.006)
    poor = [trial(n, (0.925, 0.925), 0.006, keep=0.5, repeat=n - 200) for n in (201, 202)]
    same = trial(200, (0.945, 0.945), 0.006, keep=0.5)
    pairs = [
        trial(300 + 2 * g + r, (a, a + rng.normal(0, 0.002)), 0.006, keep=0.6 + g / 100, repeat=r)
        for g, a in enumerate(rng.normal(0.93, 0.012, 10))
        for r in (0, 1)
    ]
    odds = floor_odds([*others, lone, *poor, same, *pairs], 0.94, is_distance=False)
    assert odds[200].probability < odds[100].probability


def test_trials_without_figures_by_halves_have_no_odds() -> None:
    old = measured(1, pruned(0.5))
    assert floor_odds([old], 0.9, is_distance=False) == {}
    assert margin([old], 0.8, is_distance=False) == 0.0


def test_the_margin_is_a_quantile_of_the_error() -> None:
    trials = [trial(n, (0.9, 0.9), 0.02) for n in (1, 2, 3)]
    assert margin(trials, 0.8, is_distance=True) == pytest.approx(0.8416 * 0.02, rel=1e-3)
