"""Standard errors on halves of a split, against repeated sampling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compress.pipeline.network import Original, train_original
from compress.tasks.digits import TASK
from compress.types import Array, Recipe
from hil.trial.half_figures import half_figures

QUICK = replace(TASK, recipe=Recipe(epochs=1, batch=64, learning_rate=0.01))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    path = tmp_path_factory.mktemp("original") / "original.pt"
    return train_original(QUICK, QUICK.load(), 0, path)


def wrong_at(original: Original, share: float, seed: int) -> Array:
    """The float network's answers, a share of which was replaced by those to other samples."""
    answers = original.judged_answers.copy()
    rng = np.random.default_rng(seed)
    chosen = np.flatnonzero(rng.random(len(answers)) < share)
    answers[chosen] = answers[rng.permutation(len(answers))[: len(chosen)]]
    return answers


def test_the_float_network_loses_nothing_to_itself(original: Original) -> None:
    halves = half_figures(original, original.judged_answers)
    assert [half.drop for half in halves] == [0.0, 0.0]
    assert all(half.drop_error > 0 for half in halves)  # of 180 samples nobody knows more
    whole = np.mean([half.accuracy for half in halves])
    assert whole == pytest.approx(original.share(original.data.val), abs=1e-6)


def test_errors_are_those_of_repeated_draws(original: Original) -> None:
    """Over networks that are wrong at other samples each time, which is the noise of a draw."""
    drawn = [half_figures(original, wrong_at(original, 0.1, seed))[0] for seed in range(200)]
    spread = float(np.std([half.drop for half in drawn]))
    said = float(np.mean([half.drop_error for half in drawn]))
    assert said == pytest.approx(spread, rel=0.25)
    accuracy = float(np.mean([half.accuracy for half in drawn]))
    assert float(np.mean([half.error for half in drawn])) == pytest.approx(
        (accuracy * (1 - accuracy) / 180) ** 0.5, rel=0.1
    )


def test_a_bootstrap_of_accuracies_gives_the_same_errors(original: Original) -> None:
    """Another metric's errors are from a bootstrap: here of accuracy under another name."""

    answers = wrong_at(original, 0.2, 1)
    exact = half_figures(original, answers)
    judge = replace(original.judge, metric=replace(original.judge.metric, name="another"))
    object.__setattr__(original, "judge", judge)
    try:
        resampled = half_figures(original, answers)
    finally:
        del original.__dict__["judge"]
    for one, other in zip(exact, resampled, strict=True):
        assert other.accuracy == one.accuracy
        assert other.error == pytest.approx(one.error, rel=0.3)
        assert other.drop_error == pytest.approx(one.drop_error, rel=0.3)


def test_without_answers_there_are_no_figures(original: Original) -> None:
    assert half_figures(original, None) == ()
