"""Rank correlation (Spearman) of accuracies at a low fidelity with those after full training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from compress.genome import Genome
from hil.types import Trial


@dataclass(frozen=True, slots=True)
class RungCorrelation:
    """Rank correlation (-1 .. 1) of accuracy at `fidelity` with full accuracy, over `n` genomes.

    `given_macs` is the partial correlation with the multiply-accumulates held fixed: what the rung
    says beyond "larger networks are more accurate". Undefined correlations are 0.
    """

    fidelity: float
    spearman: float
    given_macs: float
    n: int


def correlations(trials: Iterable[Trial]) -> tuple[RungCorrelation, ...]:
    """The correlation of each fidelity below 1, over the genomes that were also trained in full."""
    full: dict[Genome, Trial] = {}
    rungs: dict[float, dict[Genome, Trial]] = {}
    for trial in trials:
        if trial.accuracy is not None:
            rung = full if trial.fidelity == 1.0 else rungs.setdefault(trial.fidelity, {})
            rung[trial.genome] = trial
    return tuple(_correlation(fidelity, rungs[fidelity], full) for fidelity in sorted(rungs))


def _correlation(
    fidelity: float, rung: dict[Genome, Trial], full: dict[Genome, Trial]
) -> RungCorrelation:
    keys = [key for key in rung if key in full]
    cheap = [rung[key].accuracy or 0.0 for key in keys]
    dear = [full[key].accuracy or 0.0 for key in keys]
    sized = [(rung[key].estimate, i) for i, key in enumerate(keys)]
    known = [(estimate.macs, i) for estimate, i in sized if estimate is not None]
    partial = partial_spearman(
        [cheap[i] for _, i in known], [dear[i] for _, i in known], [macs for macs, _ in known]
    )
    return RungCorrelation(fidelity, spearman(cheap, dear), partial, len(keys))


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Pearson correlation of the ranks, ties at their mean rank; 0 if `a` or `b` is constant."""
    if len(a) < 2 or len(set(a)) == 1 or len(set(b)) == 1:
        return 0.0
    from scipy.stats import rankdata  # slow to import, and most commands do not need it

    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def partial_spearman(a: Sequence[float], b: Sequence[float], given: Sequence[float]) -> float:
    """Partial rank correlation of `a` and `b` given `given` (Kendall 1942); 0 if undefined.

    (r_ab - r_ag * r_bg) / sqrt((1 - r_ag^2) * (1 - r_bg^2)), all of them Spearman's.
    """
    ab, ag, bg = spearman(a, b), spearman(a, given), spearman(b, given)
    rest = (1 - ag**2) * (1 - bg**2)
    return float(np.clip((ab - ag * bg) / np.sqrt(rest), -1, 1)) if rest > 1e-12 else 0.0
