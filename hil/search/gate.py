"""What a candidate will cost, told from its estimate before it is trained: the gate.

Flash, RAM, count and cycles are sums of what analysis knows, each with a coefficient that is
fitted to what was built (least squares of relative errors, no coefficient negative). How far the
fit is off on what it was fitted to is its margin. Of what is unlike all that was built, only what
analysis proves counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Self

import numpy as np
from scipy.optimize import nnls  # type: ignore[attr-defined]

from compress.genome import Genome, Quantize
from hil.energy.energy import inference_energy
from hil.objective.costs import cycles_of
from hil.objective.goal import Goal
from hil.types import Estimate, Measurement, Trial

# Before so many networks were built, sizes have the lower bounds of analysis, counts none.
FEWEST = 6
# Margins in standard deviations of the relative residuals, and the least margin.
_SPREADS = 3.0
_LEAST_MARGIN = 0.005

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
    """Weights as stored; code for each layer, for expanding, of the kernels in use, and always."""
    kernels = map(float, kernels_of(genome))
    return estimate.weight_bytes, estimate.layers, *kernels, 1.0


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


def kernels_of(genome: Genome) -> tuple[bool, bool, bool]:
    """Whether weights are expanded, and whether kernels for 8 and for 16 bits are linked."""
    spec = _scheme(genome)
    return min(spec.weight_bits) < 8, 8 in spec.activation_bits, 16 in spec.activation_bits


def wide_share(genome: Genome) -> float:
    """Share of layers with 16-bit activations in the scheme that the network is lowered with."""
    bits = _scheme(genome).activation_bits
    return sum(each == 16 for each in bits) / len(bits)


def _scheme(genome: Genome) -> Quantize:
    return next((s for s in reversed(genome.stages) if isinstance(s, Quantize)), Quantize())


# No image is smaller than its weights, no RAM than the arena.
_ALL_WEIGHTS = Fit((1.0, 0.0, 0.0, 0.0, 0.0, 0.0), 0.0)
_ALL_ARENA = Fit((1.0, 0.0), 0.0)


@dataclass(frozen=True, slots=True)
class Gate:
    """Calibrated predictions of cost, and the limits that they are held against.

    Of the networks that were built, `kernels` are those in use, `layers` the fewest and most, and
    `smallest` the fewest MACs and bytes of weights.
    """

    goal: Goal
    flash: Fit = _ALL_WEIGHTS
    ram: Fit = _ALL_ARENA
    count: Fit | None = None
    cycles: Fit | None = None
    kernels: frozenset[tuple[bool, bool, bool]] = frozenset()
    layers: tuple[int, int] = (0, 0)
    smallest: tuple[int, int] = (0, 0)

    @classmethod
    def calibrated(cls, goal: Goal, trials: Iterable[Trial]) -> Self:
        """Fitted to all estimates, at any fidelity, of genomes that were measured."""
        told = list(trials)
        built = {t.genome: t.measurement for t in told if t.measurement is not None}
        pairs = [
            (t.estimate, t.genome, built[t.genome])
            for t in told
            if t.estimate is not None and t.genome in built
        ]
        if len({genome for _, genome, _ in pairs}) < FEWEST:
            return cls(goal)

        def fit(terms: Terms, value: Callable[[Measurement], float | None]) -> Fit | None:
            known = [(terms(e, g), used) for e, g, m in pairs if (used := value(m)) is not None]
            return Fit.of(*zip(*known, strict=True)) if len(known) >= FEWEST else None

        flash = fit(flash_terms, lambda m: m.flash.total)
        ram = fit(ram_terms, lambda m: m.ram.total)
        count = fit(count_terms, lambda m: m.count)
        cycles = fit(count_terms, cycles_of)
        depths = [e.layers for e, _, _ in pairs]
        return cls(
            goal,
            flash or _ALL_WEIGHTS,
            ram or _ALL_ARENA,
            count,
            cycles,
            frozenset(kernels_of(genome) for _, genome, _ in pairs),
            (min(depths), max(depths)),
            (min(e.macs for e, _, _ in pairs), min(e.weight_bytes for e, _, _ in pairs)),
        )

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
        """The limit that not even the most optimistic prediction keeps; '' where all may be."""
        for unit, value, most in self._limited(self._least(estimate, genome)):
            if value > most:
                return f"at least {value:.4g} {unit}, limit {most:.4g}"
        return ""

    def excess(self, estimate: Estimate, genome: Genome) -> float:
        """Sum of the shares by which the prediction, as it is, exceeds the limits."""
        told = self._limited(self.predict(estimate, genome))
        return sum(max(0.0, value / most - 1.0) for _, value, most in told)

    def _least(self, estimate: Estimate, genome: Genome) -> Prediction:
        """The least that may be: of what is unlike all that was built, what analysis proves.

        Among that is what is smaller than all, where constant parts are all that the fit goes by.
        """
        fewest, most = self.layers
        macs, weight_bytes = self.smallest
        alike = kernels_of(genome) in self.kernels and fewest <= estimate.layers <= most
        if alike and estimate.macs >= macs and estimate.weight_bytes >= weight_bytes:
            return self.predict(estimate, genome).optimistic
        return Prediction(estimate.weight_bytes, estimate.arena_bytes, None, None)

    def _limited(self, told: Prediction) -> Iterator[tuple[str, float, float]]:
        """Unit, prediction and the most allowed, where there is a limit and a prediction."""
        energy = inference_energy(self.goal.board, told.cycles)
        latency_ms = None if told.cycles is None else 1e3 * told.cycles / self.goal.board.clock_hz
        used: tuple[tuple[str, float | None, float | None], ...] = (
            ("bytes of flash", told.flash_bytes, self.goal.flash_bytes),
            ("bytes of RAM", told.ram_bytes, self.goal.ram_bytes),
            ("ms", latency_ms, self.goal.latency_ms),
            ("uJ", energy.microjoules if energy else None, self.goal.energy_uj),
        )
        for unit, value, most in used:
            if value is not None and most is not None:
                yield unit, value, most
