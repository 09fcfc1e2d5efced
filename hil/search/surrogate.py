"""Full accuracy, guessed from a genome, its estimate and its accuracy at the cheap rungs.

A trend and, on what it leaves over, randomized trees (Geurts et al. 2006), fitted anew to every
trial told. Trees need no scaling, bear genes that mean nothing, and their disagreement says how
sure they are; but beyond what was tried they know only the nearest that was. There the trend goes
on: more arithmetic, more weights, more training after the network shrank never hurt.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log1p
from typing import Any

import numpy as np
from scipy.optimize import nnls  # type: ignore[attr-defined]
from sklearn.ensemble import ExtraTreesRegressor

from compress.genome import Distill, Genome, Prune, Quantize, Sparsify, Stage
from hil.types import Estimate, Floats

# Accuracies this far below the floor are all equally bad: the trees should not tell them apart.
_BELOW = 0.06
_TREES = 120
# The first of `features` have a trend; its slopes are held small by this (ridge regression).
_TRENDED = 3
_RIDGE = 0.3


def features(genome: Genome, estimate: Estimate, rungs: Sequence[float]) -> tuple[float, ...]:
    """Sizes, cheap accuracies, and what the stages do, as numbers; NaN-free, of fixed length."""
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
        min((s.width for s in teach), default=1.0),
        min((s.depth for s in teach), default=1.0),
        log1p(sum(s.epochs for s in teach)),
        float(any(s.features == "attention" for s in teach)),
        float(any(s.teacher == "original" for s in teach)),
        trained[-1].rate if trained else 0.0,
        max((s.rate for s in trained), default=0.0),
        log1p(sum(s.epochs * s.rate for s in trained)),
    )


def _recovery(genome: Genome) -> float:
    """Training since the network last shrank, that stage's own with it: epochs times rate."""
    spent = 0.0
    for stage in genome.stages:
        if _shrinks(stage):
            spent = 0.0
        spent += stage.epochs * stage.rate
    return spent


def _shrinks(stage: Stage) -> bool:
    if isinstance(stage, Distill):
        return stage.reshapes or min(stage.width, stage.depth) < 1.0
    return isinstance(stage, Prune)


class Surrogate:
    """Fitted to rows of `features` and full accuracies; `floor` is the accuracy that matters."""

    def __init__(
        self, rows: Sequence[tuple[float, ...]], accuracies: Sequence[float], floor: float
    ):
        points = np.array(rows, np.float64)
        wanted = np.maximum(accuracies, floor - _BELOW)
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
        errors = self._trees.oob_prediction_ - left
        self._error = float(np.sqrt(np.mean(errors**2)))

    def predict(self, rows: Sequence[tuple[float, ...]]) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the full accuracy of each row."""
        points = np.array(rows, np.float64)
        single = points.astype(np.float32)
        each = np.array([tree.predict(single) for tree in self._trees.estimators_])
        spread = np.sqrt(each.var(axis=0) / 2 + self._error**2 / 2)
        return self._trend(points) + each.mean(axis=0), spread

    def _trend(self, points: Floats) -> Floats:
        trend: Floats = self._mean + (points[:, :_TRENDED] - self._center) @ self._slopes
        return trend
