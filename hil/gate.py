"""What a candidate will cost, told from its estimate before it is trained: the gate.

Flash, RAM, count and cycles are sums of what analysis knows, each with a coefficient that is
fitted to what was built (least squares of relative errors, no coefficient negative). How far the
fit is off on what it was fitted to is its margin: nothing is turned away that might fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Self

import numpy as np
from scipy.optimize import nnls  # type: ignore[attr-defined]

from compress.genome import Genome, Quantize
from hil.costs import cycles_of
from hil.energy import energy_of
from hil.goal import Goal
from hil.pareto import front, measurement_of
from hil.types import Estimate, Measurement, Trial

# Before so many networks were built, sizes have the lower bounds of analysis, counts none.
FEWEST = 6
# Margins in standard deviations of the relative residuals, and the least margin.
_SPREADS = 3.0
_LEAST_MARGIN = 0.005
# So much better than the best accuracy measured might an untrained candidate become.
_OPTIMISM = 0.005

Terms = Callable[[Estimate, Genome], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Fit:
    """value = coefficients . terms, within a share `margin` of it."""

    coefficients: tuple[float, ...]
    margin: float

    def value(self, terms: Sequence[float]) -> float:
        return float(np.dot(self.coefficients, terms))

    @classmethod
    def of(cls, rows: Sequence[tuple[float, ...]], values: Sequence[float]) -> Self:
        """Least squares of relative errors, coefficients >= 0."""
        measured = np.array(values, np.float64)
        shares = np.array(rows, np.float64) / measured[:, None]
        scale = np.maximum(shares.max(axis=0), 1e-30)
        coefficients, _ = nnls(shares / scale, np.ones(len(measured)))
        error = shares @ (coefficients / scale) - 1.0
        freedom = max(1, len(error) - int(np.count_nonzero(coefficients)))
        spread = float(np.sqrt((error**2).sum() / freedom))
        margin = max(_LEAST_MARGIN, _SPREADS * spread, float(np.abs(error).max()))
        return cls(tuple(map(float, coefficients / scale)), margin)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network will need: bytes, the board's count, core cycles (None where not known).

    `margin` has the relative error bar of each; the optimistic value is value * (1 - margin).
    """

    flash_bytes: float
    ram_bytes: float
    count: float | None
    cycles: float | None
    margin: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    @property
    def optimistic(self) -> Self:
        """The least of all that may be."""
        values = (self.flash_bytes, self.ram_bytes, self.count, self.cycles)
        least = (
            None if v is None else v * (1 - m) for v, m in zip(values, self.margin, strict=True)
        )
        flash, ram, count, cycles = least
        return type(self)(flash or 0.0, ram or 0.0, count, cycles)


def flash_terms(estimate: Estimate, genome: Genome) -> tuple[float, ...]:
    """Weights as stored; code for each layer, for expanding, for int16, and always."""
    spec = _scheme(genome)
    narrow, wide = min(spec.weight_bits) < 8, max(spec.activation_bits) > 8
    return estimate.weight_bytes, estimate.layers, float(narrow), float(wide), 1.0


def ram_terms(estimate: Estimate, _: Genome) -> tuple[float, ...]:
    """The arena, and what is always there."""
    return estimate.arena_bytes, 1.0


def count_terms(estimate: Estimate, genome: Genome) -> tuple[float, ...]:
    """MACs, those on int16, what is done for each channel, weights to expand, layers, a call.

    With the channels grows what gathers inputs and rescales outputs, MACs with their square.
    """
    wide = estimate.macs * wide_share(genome)
    work = (estimate.macs, wide, sqrt(estimate.macs), estimate.weight_bytes)
    return *work, estimate.layers, 1.0


def wide_share(genome: Genome) -> float:
    """Share of layers with 16-bit activations in the scheme that the network is lowered with."""
    bits = _scheme(genome).activation_bits
    return sum(each == 16 for each in bits) / len(bits)


def _scheme(genome: Genome) -> Quantize:
    return next((s for s in reversed(genome.stages) if isinstance(s, Quantize)), Quantize())


# No image is smaller than its weights, no RAM than the arena.
_ALL_WEIGHTS = Fit((1.0, 0.0, 0.0, 0.0, 0.0), 0.0)
_ALL_ARENA = Fit((1.0, 0.0), 0.0)


@dataclass(frozen=True, slots=True)
class Gate:
    """Calibrated predictions of cost, and the limits and the front that they are held against."""

    goal: Goal
    flash: Fit = _ALL_WEIGHTS
    ram: Fit = _ALL_ARENA
    count: Fit | None = None
    cycles: Fit | None = None
    front: tuple[Trial, ...] = ()

    @classmethod
    def calibrated(cls, goal: Goal, trials: Iterable[Trial]) -> Self:
        """Fitted to all estimates, at any fidelity, of genomes that were measured."""
        told = list(trials)
        built = {t.genome: t.measurement for t in told if t.measurement is not None}
        best = front(t for t in told if goal.violation(t) == 0.0)
        pairs = [
            (t.estimate, t.genome, built[t.genome])
            for t in told
            if t.estimate is not None and t.genome in built
        ]
        if len({genome for _, genome, _ in pairs}) < FEWEST:
            return cls(goal, front=best)

        def fit(terms: Terms, value: Callable[[Measurement], float | None]) -> Fit | None:
            known = [(terms(e, g), used) for e, g, m in pairs if (used := value(m)) is not None]
            return Fit.of(*zip(*known, strict=True)) if len(known) >= FEWEST else None

        flash = fit(flash_terms, lambda m: m.flash.total)
        ram = fit(ram_terms, lambda m: m.ram.total)
        count = fit(count_terms, lambda m: m.count)
        cycles = fit(count_terms, cycles_of)
        return cls(goal, flash or _ALL_WEIGHTS, ram or _ALL_ARENA, count, cycles, best)

    def predict(self, estimate: Estimate, genome: Genome) -> Prediction:
        """What a network of this estimate will need, with margins."""
        terms = count_terms(estimate, genome)
        count, cycles = self.count, self.cycles
        return Prediction(
            self.flash.value(flash_terms(estimate, genome)),
            self.ram.value(ram_terms(estimate, genome)),
            count.value(terms) if count else None,
            cycles.value(terms) if cycles else None,
            (
                self.flash.margin,
                self.ram.margin,
                count.margin if count else 0.0,
                cycles.margin if cycles else 0.0,
            ),
        )

    def rejects(self, estimate: Estimate, genome: Genome) -> str:
        """Why not even the most optimistic prediction is of use; '' where it may be."""
        least = self.predict(estimate, genome).optimistic
        return self._over_limit(least) or self._dominated(least)

    def _over_limit(self, least: Prediction) -> str:
        cycles = least.cycles
        energy = energy_of(self.goal.board, cycles)
        latency_ms = None if cycles is None else 1e3 * cycles / self.goal.board.clock_hz
        used: tuple[tuple[str, float | None, float | None], ...] = (
            ("bytes of flash", least.flash_bytes, self.goal.flash_bytes),
            ("bytes of RAM", least.ram_bytes, self.goal.ram_bytes),
            ("ms", latency_ms, self.goal.latency_ms),
            ("uJ", energy.microjoules if energy else None, self.goal.energy_uj),
        )
        for unit, value, most in used:
            if value is not None and most is not None and value > most:
                return f"at least {value:.4g} {unit}, limit {most:.4g}"
        return ""

    def _dominated(self, least: Prediction) -> str:
        """By a network that is as accurate as anything might be."""
        if least.count is None:
            return ""
        hoped = max((t.accuracy or 0.0 for t in self.front), default=0.0) + _OPTIMISM
        for trial in self.front:
            m = measurement_of(trial)
            costs = (m.flash.total, m.ram.total, m.count)
            mine = (least.flash_bytes, least.ram_bytes, least.count)
            if (trial.accuracy or 0.0) >= min(hoped, 1.0) and all(
                theirs <= own for theirs, own in zip(costs, mine, strict=True)
            ):
                return f"trial {trial.number} is as accurate and smaller"
        return ""
