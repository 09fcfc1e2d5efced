"""The fidelity ladder, and the rank correlations by which its rungs are dropped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compress.errors import UserError
from compress.genome import Genome, Prune, Quantize
from helpers.trials import measured
from hil.search.ladder import Ladder
from hil.search.rank import correlations, partial_spearman, spearman
from hil.types import Estimate, Trial

values = st.lists(st.integers(0, 12).map(float), min_size=3, max_size=30)


def pair(number: int, cheap: float, full: float, fidelity: float, macs: int = 1) -> list[Trial]:
    genome = Genome((Prune((number / 1000,)), Quantize()))
    trained = measured(2 * number, genome, accuracy=full)
    looked = replace(
        trained,
        number=2 * number + 1,
        state="screened",
        measurement=None,
        accuracy=cheap,
        fidelity=fidelity,
        estimate=Estimate(macs, macs, 1, 1, 1),
    )
    return [looked, trained]


@given(values, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_correlation_is_scipys(a: list[float], random: object) -> None:
    b = list(a)
    random.shuffle(b)  # type: ignore[attr-defined]
    if len(set(a)) == 1:
        assert spearman(a, b) == 0.0
    else:
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)


def test_the_partial_correlation_is_that_of_residual_ranks() -> None:
    rng = np.random.default_rng(3)
    given_, noise = rng.normal(size=60), rng.normal(size=(2, 60))
    a, b = given_ + 0.5 * noise[0], given_ + 0.5 * noise[1]
    ranks = [stats.rankdata(x) for x in (a, b, given_)]
    rest = [y - np.polyval(np.polyfit(ranks[2], y, 1), ranks[2]) for y in ranks[:2]]
    expected = np.corrcoef(rest[0], rest[1])[0, 1]
    assert partial_spearman(list(a), list(b), list(given_)) == pytest.approx(expected)
    assert abs(expected) < 0.4 < spearman(list(a), list(b))
    assert partial_spearman([1, 2, 3], [1, 2, 3], [1, 2, 3]) == 0.0


def test_only_genomes_with_both_accuracies_count() -> None:
    trials = [t for i in range(5) for t in pair(i + 1, 0.1 * i, 0.9 + 0.01 * i, 0.0, 5 - i)]
    trials += pair(9, 0.9, 0.1, 0.0)[:1] + pair(10, 0.9, 0.1, 0.25)[:1]
    first, second = correlations(trials)
    assert (first.fidelity, first.n, first.spearman) == (0.0, 5, pytest.approx(1.0))
    assert (second.fidelity, second.n, second.spearman) == (0.25, 0, 0.0)
    assert correlations([]) == ()


def test_a_rung_with_a_low_rank_correlation_is_dropped() -> None:
    ladder = Ladder((0.0, 0.25, 1.0), (40, 20, 8), trusted=0.6, fewest=10)
    whole = ((0.0, 40), (0.25, 20), (1.0, 8))
    good = [t for i in range(12) for t in pair(i + 1, 0.1 + 0.01 * i, 0.01 * i, 0.25)]
    bad = [t for i in range(12) for t in pair(i + 1, 0.1 + 0.01 * i, -0.01 * i, 0.25)]
    assert ladder.in_use([]) == ladder.in_use(good) == whole
    assert ladder.in_use(bad[:18]) == whole  # nine genomes prove nothing yet
    assert ladder.in_use(bad) == (whole[0], whole[2])
    never = [t for i in range(12) for t in pair(i + 1, 0.01 * i, -0.01 * i, 0.0)]
    assert ladder.in_use(never) == whole  # rung 0 gives the costs, whatever it says of accuracy


@pytest.mark.parametrize(
    ("rungs", "counts"),
    [
        ((0.25, 1.0), (9, 3)),
        ((0.0, 0.5), (9, 3)),
        ((0.0, 0.5, 0.5, 1.0), (9, 5, 4, 3)),
        ((0.0, 1.0), (3, 9)),
        ((0.0, 1.0), (9, 0)),
        ((0.0, 1.0), (9,)),
    ],
)
def test_a_ladder_rises_from_none_to_all(rungs: tuple[float, ...], counts: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"rungs|counts"):
        Ladder(rungs, counts)
