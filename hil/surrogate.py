"""Full accuracy, guessed from a genome, its estimate and its accuracy at the cheap rungs.

Randomized trees (Geurts et al. 2006), fitted anew to every trial told: they need no scaling, bear
genes that mean nothing, and their disagreement says how sure they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log1p
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesRegressor

from compress.genome import Distill, Genome, Prune, Quantize, Sparsify
from hil.types import Estimate

Floats = npt.NDArray[np.float64]

# Accuracies this far below the floor are all equally bad: the trees should not tell them apart.
_BELOW = 0.06
_TREES = 120


def features(genome: Genome, estimate: Estimate, rungs: Sequence[float]) -> tuple[float, ...]:
    """Sizes, cheap accuracies, and what the stages do, as numbers; NaN-free, of fixed length."""
    prunes = [s for s in genome.stages if isinstance(s, Prune)]
    sparse = [s for s in genome.stages if isinstance(s, Sparsify)]
    teach = [s for s in genome.stages if isinstance(s, Distill)]
    spec = next((s for s in reversed(genome.stages) if isinstance(s, Quantize)), Quantize())
    trained = [s for s in genome.stages if s.epochs > 0]
    keep = [ratio for s in prunes for ratio in s.keep] or [1.0]
    return (
        *rungs,
        log(1 + estimate.macs),
        log(1 + estimate.weight_bytes),
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


class Surrogate:
    """Fitted to rows of `features` and full accuracies; `floor` is the accuracy that matters."""

    def __init__(
        self, rows: Sequence[tuple[float, ...]], accuracies: Sequence[float], floor: float
    ):
        self._least = floor - _BELOW
        self._trees: Any = ExtraTreesRegressor(  # type: ignore[no-untyped-call]
            _TREES,
            min_samples_leaf=2,
            max_features=0.5,
            bootstrap=True,
            oob_score=True,
            random_state=0,
        )
        wanted = np.maximum(accuracies, self._least)
        self._trees.fit(np.array(rows), wanted)
        errors = self._trees.oob_prediction_ - wanted
        self._error = float(np.sqrt(np.mean(errors**2)))

    def predict(self, rows: Sequence[tuple[float, ...]]) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the full accuracy of each row."""
        points = np.array(rows, np.float32)
        each = np.array([tree.predict(points) for tree in self._trees.estimators_])
        return each.mean(axis=0), np.sqrt(each.var(axis=0) / 2 + self._error**2 / 2)
