"""How well a cheap accuracy ranks candidates by the full one: Spearman's rank correlation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from compress.genome import Genome
from hil.types import Trial


@dataclass(frozen=True, slots=True)
class RungCorrelation:
    """Rank correlation (-1 .. 1) of accuracy at `fidelity` with full accuracy, over `n` genomes.

    `given_macs` is the partial correlation, multiply-accumulates held fixed: what the rung knows
    beyond "larger networks do better". Both are 0 where they are not defined.
    """

    fidelity: float
    spearman: float
    given_macs: float
    n: int


def correlations(trials: Iterable[Trial]) -> tuple[RungCorrelation, ...]:
    """One for each fidelity below 1, over the genomes that were also trained in full."""
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
    """Correlation of the ranks, ties at their mean rank; 0 if either does not vary."""
    if len(a) < 2 or len(set(a)) == 1 or len(set(b)) == 1:
        return 0.0
    from scipy.stats import rankdata  # takes longer to import than all that most commands do

    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def partial_spearman(a: Sequence[float], b: Sequence[float], given: Sequence[float]) -> float:
    """Of `a` and `b` with the ranks of `given` held fixed (Kendall 1942); 0 if undefined."""
    ab, ag, bg = spearman(a, b), spearman(a, given), spearman(b, given)
    rest = (1 - ag**2) * (1 - bg**2)
    return float(np.clip((ab - ag * bg) / np.sqrt(rest), -1, 1)) if rest > 1e-12 else 0.0
