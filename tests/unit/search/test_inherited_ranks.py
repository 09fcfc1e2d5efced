"""Rank correlation of inherited and trained accuracy, against scipy on the pairs by hand."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import pytest
from scipy import stats

from compress.genome import Distill, Elastic, Genome, Pick, Quantize
from helpers.trials import measured, screened
from hil.figures import HalfFigures
from hil.search.inherited_ranks import inherited_ranks
from hil.types import Estimate, Trial

ELASTIC = Elastic(epochs=16)
INHERITED = (0.80, 0.84, 0.83, 0.90, 0.88)
TRAINED = (0.88, 0.91, 0.86, 0.93, 0.95)
MACS = (100, 200, 300, 250, 400)


def look(index: int) -> Trial:
    genome = Genome((ELASTIC, Pick((0.2 + index / 10,)), Quantize()))
    return screened(index, genome, 0.0, INHERITED[index])


def tuned(index: int, accuracy: float, epochs: float = 2, other_half: float = 0.5) -> Trial:
    """A trial whose accuracy on the half that looks did not use is the given one."""
    genome = Genome((ELASTIC, Pick((0.2 + index / 10,)), Quantize((4,)), Distill(epochs=epochs)))
    trial = measured(100 + index, genome, accuracy=0.7, estimate=Estimate(MACS[index], 0, 1, 1, 4))
    assert trial.measurement is not None
    halves = HalfFigures(other_half, 0.01, 0.0, 0.01), HalfFigures(accuracy, 0.01, 0.0, 0.01)
    counted = replace(trial.measurement, count=1_000 - MACS[index], halves=halves)
    return replace(trial, measurement=counted)


def test_the_correlations_are_scipys() -> None:
    trials = [look(i) for i in range(5)]
    # Two trainings of a shape count as their mean, longer ones, which were chosen, not at all.
    trials += [tuned(i, TRAINED[i]) for i in range(1, 5)]
    trials += [tuned(0, TRAINED[0] - 0.1), tuned(0, TRAINED[0] + 0.1), tuned(1, 0.1, epochs=8)]
    found = inherited_ranks(trials)
    assert found is not None
    assert found.shapes == 5
    ab = stats.spearmanr(INHERITED, TRAINED).statistic
    ag, bg = (stats.spearmanr(one, MACS).statistic for one in (INHERITED, TRAINED))
    assert found.spearman == pytest.approx(ab)
    partial = (ab - ag * bg) / sqrt((1 - ag**2) * (1 - bg**2))
    assert found.given_macs == pytest.approx(partial)
    # The count falls as the MACs rise: the same is held fixed.
    assert found.given_count == pytest.approx(partial)


def test_what_is_not_both_looked_at_and_trained_is_left_out() -> None:
    untrained = Genome((ELASTIC, Pick((0.2,)), Quantize()))
    trials = [look(0), look(1), tuned(0, 0.9), tuned(1, 0.9), tuned(2, 0.9), measured(9, untrained)]
    assert inherited_ranks(trials) is None  # two shapes
    found = inherited_ranks([*trials, look(2)])
    assert found is not None
    assert found.shapes == 3
    assert found.spearman == 0.0  # all trained alike
