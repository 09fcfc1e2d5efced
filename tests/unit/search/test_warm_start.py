"""The warm start, guided by given losses and by the sensitivity of a network."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.genome import Distill, Genome, Prune, Quantize
from compress.pipeline.network import Original, space_of
from compress.pipeline.pipeline import compress, evenly_spaced
from compress.space.canonical import canonical
from compress.space.recipes import baseline, recipes
from compress.space.space import KEEP_RATIOS, Space, random_stage
from helpers.networks import original
from hil.board import load_board
from hil.objective.goal import Goal
from hil.search.adaptive import Adaptive
from hil.search.registry import open_engine
from hil.search.warm_start import (
    QuickSensitivity,
    cached_sensitivity,
    guided_bits,
    guided_keep,
    quick_sensitivity,
    warm_start,
)


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=9), st.sampled_from(KEEP_RATIOS))
@settings(deadline=None)
def test_the_more_sensitive_keep_no_less(losses: list[float], level: float) -> None:
    keep = guided_keep(losses, level)
    assert set(keep) <= set(KEEP_RATIOS)
    ranked = sorted(zip(losses, keep, strict=True))
    for (less, mine), (more, theirs) in pairwise(ranked):
        assert mine <= theirs or less == more
    if KEEP_RATIOS[0] < level < KEEP_RATIOS[-1] and len(losses) > 1:
        assert max(keep) > level > min(keep)
        assert math.isclose(sum(keep) / len(keep), level)
    if len(losses) == 1:
        assert keep == (level,)


def test_insensitive_layers_get_two_bits() -> None:
    assert guided_bits((0.0, 0.3, -0.01, 0.021)) == (2, 4, 2, 4)


def test_the_baseline_comes_first_and_the_recipes_are_among_it() -> None:
    warm = warm_start(QuickSensitivity((0.1, 0.0, 0.3), (0.0, 0.2, 0.0, 0.5)), 2)
    assert warm[0] == baseline()
    assert set(recipes(2)) <= set(warm)
    assert len(set(warm)) == len(warm)
    assert all(canonical(genome) == genome for genome in warm)
    kinds = {tuple(type(stage) for stage in genome.stages) for genome in warm}
    assert {(Prune, Quantize), (Distill, Prune, Quantize), (Prune, Quantize, Distill)} <= kinds
    assert any(
        s.weight_bits == (2, 4, 2, 4) for g in warm for s in g.stages if s.__class__ is Quantize
    )  # type: ignore[union-attr]


def test_the_most_promising_genomes_come_first_and_students_train_longest() -> None:
    """Two widths alternate, each in all variants, before the other two."""
    warm = warm_start(QuickSensitivity((0.1, 0.0, 0.3), (0.0, 0.2)), 2)
    students = [g.stages[0] for g in warm[2:6] if isinstance(g.stages[0], Distill)]
    assert [student.width for student in students] == [0.625, 0.5, 0.625, 0.5]
    assert {student.epochs for student in students} == {8}
    pruned = [g.stages[0] for g in warm[6:10] if isinstance(g.stages[0], Prune)]
    assert [max(prune.keep) for prune in pruned] == [0.75, 0.625, 0.625, 0.5]
    assert sum(genome.epochs for genome in warm[:10]) == 58


def test_a_network_that_cannot_get_narrower_gets_no_ratios() -> None:
    warm = warm_start(QuickSensitivity((), (0.0, 0.2)), 1)
    assert warm[0] == baseline()
    guided = [g for g in warm if g not in recipes(1)]
    assert not any(isinstance(stage, Prune) for genome in guided for stage in genome.stages)


def test_sensitivity_is_the_loss_of_accuracy_and_is_reproducible() -> None:
    start = original("mobile")
    found = quick_sensitivity(start, samples=60)
    assert len(found.groups) == len(start.groups)
    assert len(found.layers) == len(start.layers)
    assert all(-1 <= loss <= 1 for loss in (*found.groups, *found.layers))
    judged = replace(start, data=replace(start.data, val=evenly_spaced(start.data.val, 60)))
    whole = compress(baseline(), judged, fidelity=0.0).accuracy
    halved = Genome((Prune((1.0, 0.5), epochs=0), Quantize()))
    assert found.groups[1] == whole - compress(halved, judged, fidelity=0.0).accuracy
    coarse = Genome((Quantize((8, 8, 8, 2), weight_range="mse"),))
    assert found.layers[3] == whole - compress(coarse, judged, fidelity=0.0).accuracy
    assert quick_sensitivity(start, samples=60) == found


@pytest.mark.parametrize("samples", [1, 7])
def test_sensitivity_uses_so_many_samples(samples: int) -> None:
    losses = quick_sensitivity(original("mobile"), samples).groups
    assert all(math.isclose(loss * samples, round(loss * samples), abs_tol=1e-9) for loss in losses)


def test_the_adaptive_engine_starts_from_it() -> None:
    start, board = original("mobile"), load_board("m4")
    first = Adaptive(start, Goal.of(board, 0.5), seed=3).ask()
    warm = warm_start(quick_sensitivity(start), space_of(start).epochs[-1])
    assert [one.genome for one in first[: len(warm)]] == list(warm)
    assert {one.fidelity for one in first} == {0.0}
    again = open_engine("adaptive", start, Goal.of(board, 0.5), 3).ask()
    assert first == again


def test_sensitivity_is_measured_once_and_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    start = original("mobile")
    first = cached_sensitivity(start)
    assert first == quick_sensitivity(start)

    def never(original: Original) -> QuickSensitivity:
        raise AssertionError("looked at again")

    monkeypatch.setattr("hil.search.warm_start.quick_sensitivity", never)
    assert cached_sensitivity(start) == first
    with pytest.raises(AssertionError, match="again"):
        cached_sensitivity(replace(start, seed=start.seed + 1))


def test_students_without_convolutions_are_not_compared_inside() -> None:
    """Else each of them would be infeasible."""
    warm = warm_start(QuickSensitivity((0.1,), (0.0, 0.2)), 1, "none")
    students = [stage for genome in warm for stage in genome.stages if isinstance(stage, Distill)]
    assert students
    assert {stage.features for stage in students} == {"none"}
    space = Space(groups=1, layers=2, epochs=(1,), has_convolutions=False)
    drawn = [random_stage(Random(seed), space, Distill) for seed in range(50)]
    assert {(one.features, one.kernel, one.separable) for one in drawn} == {("none", 0, False)}
