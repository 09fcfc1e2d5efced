"""The surrogate of the adaptive engine: predicts a genome's accuracy after full training.

    accuracy = trend(size, training) + trees(features) +- spread

The trend is a monotone linear model: more MACs, more weights and more training after the last
pruning never lower the accuracy. Extremely randomized trees (Geurts et al. 2006,
doi:10.1007/s10994-006-6226-1) are fitted to its residuals. Trees need no scaling and ignore genes
without effect, and their disagreement measures the uncertainty. But trees do not extrapolate: a
network smaller than any tried looks as good as the smallest one tried. There the trend goes on.
Both are fitted from scratch to all trials each time (docs/decisions/0020).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log1p
from typing import Any

import numpy as np

from compress.genome import Distill, Genome, Prune, Quantize, Sparsify, Stage
from hil.types import Estimate, Floats

# Accuracies are clipped this far below the floor (shares of 1): a network there is useless however
# bad it is, and the trees should spend their splits near the floor.
_BELOW = 0.06
_TREES = 120
# The number of leading `features` in the trend: log MACs, log weight bytes, log training.
_TRENDED = 3
# The weight of the ridge penalty, |_RIDGE * slopes|^2: with few trials the slopes stay near 0.
_RIDGE = 0.3


def features(genome: Genome, estimate: Estimate, rungs: Sequence[float]) -> tuple[float, ...]:
    """The input vector of the surrogate: sizes, accuracies at `rungs`, and genes as numbers.

    The first `_TRENDED` entries are those of the trend. A gene of an absent stage has the value
    that means "no effect", so that there is no NaN and the length depends on `rungs` only.
    """
    prunes = [s for s in genome.stages if isinstance(s, Prune)]
    sparse = [s for s in genome.stages if isinstance(s, Sparsify)]
    teach = [s for s in genome.stages if isinstance(s, Distill)]
    spec = next((s for s in reversed(genome.stages) if isinstance(s, Quantize)), Quantize())
    trained = [s for s in genome.stages if s.epochs > 0]
    keep = [ratio for s in prunes for ratio in s.keep] or [1.0]
    return (
        log(1 + estimate.macs),
        log(1 + estimate.weight_bytes),
        log1p(_recovery(genome)),
        *rungs,
        log(1 + estimate.arena_bytes),
        log((1 + estimate.bops) / (1 + estimate.macs)),
        float(estimate.layers),
        log1p(genome.epochs),
        float(len(genome.stages)),
        min(keep),
        float(sum(s.criterion in ("l2", "taylor", "l1") for s in prunes)),
        float(sum(s.scope == "global" for s in prunes)),
        float(sum(len(s.drop) for s in prunes)),
        float(max((s.share for s in sparse), default=0.0)),
        sum(spec.weight_bits) / len(spec.weight_bits),
        float(min(spec.weight_bits)),
        float(spec.granularity == "tensor"),
        float(spec.calibration == "kl"),
        float(spec.learn_ranges),
        float(spec.rounding == "adaround"),
        log1p(spec.epochs),
        float(any(s.fresh for s in teach)),
        float(any(s.separable or s.kernel for s in teach)),
        min((s.narrowest for s in teach), default=1.0),
        min((s.depth for s in teach), default=1.0),
        log1p(sum(s.epochs for s in teach)),
        float(any(s.features == "attention" for s in teach)),
        float(any(s.teacher == "original" for s in teach)),
        trained[-1].rate if trained else 0.0,
        max((s.rate for s in trained), default=0.0),
        log1p(sum(s.epochs * s.rate for s in trained)),
    )


def _recovery(genome: Genome) -> float:
    """Epochs times learning rate since the network last shrank, the shrinking stage included."""
    spent = 0.0
    for stage in genome.stages:
        if _shrinks(stage):
            spent = 0.0
        spent += stage.epochs * stage.rate
    return spent


def _shrinks(stage: Stage) -> bool:
    if isinstance(stage, Distill):
        return stage.reshapes or min(stage.narrowest, stage.depth) < 1.0
    return isinstance(stage, Prune)


class Surrogate:
    """A model of full accuracy, fitted to rows of `features` and measured accuracies (0 .. 1).

    `floor` is the accuracy floor of the goal: the model resolves accuracies around and above it.
    """

    def __init__(
        self, rows: Sequence[tuple[float, ...]], accuracies: Sequence[float], floor: float
    ):
        # These take a second to import.
        from scipy.optimize import nnls  # type: ignore[attr-defined]
        from sklearn.ensemble import ExtraTreesRegressor

        points = np.array(rows, np.float64)
        wanted = np.maximum(accuracies, floor - _BELOW)
        # Ridge regression with slopes >= 0: NNLS of the centered trend features, with one row
        # _RIDGE * e_i and target 0 appended for each slope.
        self._center, self._mean = points[:, :_TRENDED].mean(axis=0), float(wanted.mean())
        penalty = _RIDGE * np.eye(_TRENDED)
        self._slopes, _ = nnls(
            np.vstack([points[:, :_TRENDED] - self._center, penalty]),
            np.concatenate([wanted - self._mean, np.zeros(_TRENDED)]),
        )
        left = wanted - self._trend(points)
        self._trees: Any = ExtraTreesRegressor(  # type: ignore[no-untyped-call]
            _TREES,
            min_samples_leaf=2,
            max_features=0.5,
            bootstrap=True,
            oob_score=True,
            random_state=0,
        )
        self._trees.fit(points, left)
        # Out-of-bag: each residual is predicted by the trees that were not fitted to it.
        errors = self._trees.oob_prediction_ - left
        self._error = float(np.sqrt(np.mean(errors**2)))

    def predict(self, rows: Sequence[tuple[float, ...]]) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the full accuracy: two float64 (rows,), shares of 1.

        The variance is the average of two terms: the variance over the trees, which is larger far
        from the trials, and the squared out-of-bag error, which is the same for all rows and
        includes the noise of training.
        """
        points = np.array(rows, np.float64)
        single = points.astype(np.float32)
        # (trees, rows). Converted to scikit-learn's float32 once, not again by every tree.
        each = np.array([tree.predict(single) for tree in self._trees.estimators_])
        spread = np.sqrt(each.var(axis=0) / 2 + self._error**2 / 2)
        return self._trend(points) + each.mean(axis=0), spread

    def _trend(self, points: Floats) -> Floats:
        trend: Floats = self._mean + (points[:, :_TRENDED] - self._center) @ self._slopes
        return trend
