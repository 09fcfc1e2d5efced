"""The cost gate: predicts a candidate's costs before training, and rejects what cannot fit.

Each cost (flash, RAM, count, cycles) is a linear model of terms that static analysis knows:

    cost = sum of coefficient_i * term_i,  coefficient_i >= 0

The coefficients are fitted to the measured networks by least squares of the relative error, since
costs differ by factors. Every term is work or bytes, so none can have a negative coefficient. The
residuals give an error margin, and a candidate is rejected only if even the prediction less the
margin breaks a limit. A candidate outside the range of the measured networks is rejected by proven
lower bounds only: an image is no smaller than its weights, RAM no smaller than the arena.
docs/decisions/0020 has the accuracy of the predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Self

import numpy as np

from compress.genome import Genome, Quantize
from hil.energy.energy import inference_energy
from hil.objective.costs import cycles_of, latency_ms
from hil.objective.goal import Goal
from hil.types import Estimate, Measurement, Trial

# The fewest networks to fit a model to: the number of terms of the largest one. With fewer, flash
# and RAM have their lower bounds, count and cycles no prediction.
FEWEST = 6
# The margin is three standard deviations of the relative residuals, at least half a percent: a fit
# to few networks can be exact by chance.
_SPREADS = 3.0
_LEAST_MARGIN = 0.005

Terms = Callable[[Estimate, Genome], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Fit:
    """A linear model: value = coefficients . terms, with the relative error `margin`."""

    coefficients: tuple[float, ...]
    margin: float

    def value(self, terms: Sequence[float]) -> float:
        return float(np.dot(self.coefficients, terms))

    @classmethod
    def of(cls, rows: Sequence[tuple[float, ...]], values: Sequence[float]) -> Self:
        """The model that minimizes the sum of squared relative errors, with coefficients >= 0.

        `rows` are (networks, terms), `values` the measured costs, all positive. The margin is the
        largest of three standard deviations of the relative residuals, the largest residual, and
        `_LEAST_MARGIN`: no measured network lies outside it.
        """
        from scipy.optimize import nnls  # type: ignore[attr-defined]  # slow to import

        measured = np.array(values, np.float64)
        # Relative errors are shares @ coefficients - 1. Columns are scaled to a maximum of 1: the
        # terms differ by many orders of magnitude (a constant 1, millions of MACs).
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
    """Predicted costs of a network: bytes, the board's count and core cycles (None if unknown).

    `margin` is the relative error of each of the four, in their order.
    """

    flash_bytes: float
    ram_bytes: float
    count: float | None
    cycles: float | None
    margin: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    @property
    def optimistic(self) -> Self:
        """The lower end of the error bars: value * (1 - margin)."""
        flash, ram, count, cycles = self.margin
        return type(self)(
            flash_bytes=self.flash_bytes * (1 - flash),
            ram_bytes=self.ram_bytes * (1 - ram),
            count=None if self.count is None else self.count * (1 - count),
            cycles=None if self.cycles is None else self.cycles * (1 - cycles),
        )


def flash_terms(estimate: Estimate, genome: Genome) -> tuple[float, ...]:
    """Terms of flash: bytes of stored weights, layers, the `linked_kernels`, 1.

    The coefficients are code bytes: for each layer, for each kind of kernel, and for the harness.
    """
    kernels = map(float, linked_kernels(genome))
    return estimate.weight_bytes, estimate.layers, *kernels, 1.0


def ram_terms(estimate: Estimate, _: Genome) -> tuple[float, ...]:
    """Terms of RAM: bytes of the arena, and 1 for static data and the stack."""
    return estimate.arena_bytes, 1.0


def count_terms(estimate: Estimate, genome: Genome) -> tuple[float, ...]:
    """Terms of count and cycles: MACs, MACs on int16, sqrt(MACs), weight bytes, layers, 1.

    sqrt(MACs) stands for im2col and requantization: their work grows with the channels, MACs with
    the channels squared. Weight bytes stand for the expansion of packed weights.
    """
    wide = estimate.macs * wide_share(genome)
    work = (estimate.macs, wide, sqrt(estimate.macs), estimate.weight_bytes)
    return *work, estimate.layers, 1.0


def linked_kernels(genome: Genome) -> tuple[bool, bool, bool]:
    """The code linked: expansion of packed weights, 8-bit kernels, 16-bit kernels."""
    spec = _scheme(genome)
    return min(spec.weight_bits) < 8, 8 in spec.activation_bits, 16 in spec.activation_bits


def wide_share(genome: Genome) -> float:
    """The share (0 .. 1) of layers with 16-bit activations."""
    bits = _scheme(genome).activation_bits
    return sum(each == 16 for each in bits) / len(bits)


def _scheme(genome: Genome) -> Quantize:
    """The quantization that the network is lowered with: the last one, int8 if there is none."""
    return next((s for s in reversed(genome.stages) if isinstance(s, Quantize)), Quantize())


# The proven lower bounds as models: an image holds its weights, RAM holds the arena.
_WEIGHTS_ONLY = Fit((1.0, 0.0, 0.0, 0.0, 0.0, 0.0), 0.0)
_ARENA_ONLY = Fit((1.0, 0.0), 0.0)


@dataclass(frozen=True, slots=True)
class Gate:
    """The cost models and the limits of `goal`; without measured networks, lower bounds only.

    `kernels`, `layers` and `smallest` are the range of the measured networks: the combinations of
    linked kernels, the fewest and most layers, and the fewest MACs and weight bytes.
    """

    goal: Goal
    flash: Fit = _WEIGHTS_ONLY
    ram: Fit = _ARENA_ONLY
    count: Fit | None = None
    cycles: Fit | None = None
    kernels: frozenset[tuple[bool, bool, bool]] = frozenset()
    layers: tuple[int, int] = (0, 0)
    smallest: tuple[int, int] = (0, 0)

    @classmethod
    def calibrated(cls, goal: Goal, trials: Iterable[Trial]) -> Self:
        """The gate fitted to the measured genomes, with their estimates at every fidelity.

        A genome's shapes, and so its estimates, may differ between fidelities (global pruning).
        """
        known_trials = list(trials)
        measured = {t.genome: t.measurement for t in known_trials if t.measurement is not None}
        pairs = [
            (t.estimate, t.genome, measured[t.genome])
            for t in known_trials
            if t.estimate is not None and t.genome in measured
        ]
        if len({genome for _, genome, _ in pairs}) < FEWEST:
            return cls(goal)

        def fit(terms: Terms, value: Callable[[Measurement], float | None]) -> Fit | None:
            known = [(terms(e, g), used) for e, g, m in pairs if (used := value(m)) is not None]
            return Fit.of(*zip(*known, strict=True)) if len(known) >= FEWEST else None

        flash = fit(flash_terms, lambda m: m.flash.total)
        ram = fit(ram_terms, lambda m: m.ram.total)
        count = fit(count_terms, lambda m: m.count)
        cycles = fit(count_terms, lambda m: cycles_of(m, goal.board))
        depths = [e.layers for e, _, _ in pairs]
        return cls(
            goal=goal,
            flash=flash or _WEIGHTS_ONLY,
            ram=ram or _ARENA_ONLY,
            count=count,
            cycles=cycles,
            kernels=frozenset(linked_kernels(genome) for _, genome, _ in pairs),
            layers=(min(depths), max(depths)),
            smallest=(min(e.macs for e, _, _ in pairs), min(e.weight_bytes for e, _, _ in pairs)),
        )

    def predict(self, estimate: Estimate, genome: Genome) -> Prediction:
        """The predicted costs of a network with this estimate, with their margins."""
        terms = count_terms(estimate, genome)
        count, cycles = self.count, self.cycles
        return Prediction(
            flash_bytes=self.flash.value(flash_terms(estimate, genome)),
            ram_bytes=self.ram.value(ram_terms(estimate, genome)),
            count=count.value(terms) if count else None,
            cycles=cycles.value(terms) if cycles else None,
            margin=(
                self.flash.margin,
                self.ram.margin,
                count.margin if count else 0.0,
                cycles.margin if cycles else 0.0,
            ),
        )

    def rejects(self, estimate: Estimate, genome: Genome) -> str:
        """The first limit that even the lower bound of a cost breaks, in words; "" if none is."""
        for unit, value, most in self._limited(self._lower_bound(estimate, genome)):
            if value > most:
                return f"at least {value:.4g} {unit}, limit {most:.4g}"
        return ""

    def excess(self, estimate: Estimate, genome: Genome) -> float:
        """The sum over the limits of the relative excess of the prediction; 0 if all are kept."""
        limited = self._limited(self.predict(estimate, genome))
        return sum(max(0.0, value / most - 1.0) for _, value, most in limited)

    def _lower_bound(self, estimate: Estimate, genome: Genome) -> Prediction:
        """The least possible costs: prediction less margin, or the bounds that analysis proves.

        The models are trusted only where they interpolate: for kernels linked before, and for
        depths within and sizes not below those of the measured networks. For a smaller network the
        prediction is mostly the constant term, which the larger ones hardly determine.
        """
        fewest, most = self.layers
        macs, weight_bytes = self.smallest
        inside = linked_kernels(genome) in self.kernels and fewest <= estimate.layers <= most
        if inside and estimate.macs >= macs and estimate.weight_bytes >= weight_bytes:
            return self.predict(estimate, genome).optimistic
        return Prediction(
            flash_bytes=estimate.weight_bytes,
            ram_bytes=estimate.arena_bytes,
            count=None,
            cycles=None,
        )

    def _limited(self, costs: Prediction) -> Iterator[tuple[str, float, float]]:
        """(unit, cost, limit) of every cost that has a limit and a prediction."""
        energy = inference_energy(self.goal.board, costs.cycles)
        used: tuple[tuple[str, float | None, float | None], ...] = (
            ("bytes of flash", costs.flash_bytes, self.goal.flash_bytes),
            ("bytes of RAM", costs.ram_bytes, self.goal.ram_bytes),
            ("ms", latency_ms(costs.cycles, self.goal.board), self.goal.latency_ms),
            ("uJ", energy.microjoules if energy else None, self.goal.energy_uj),
        )
        for unit, value, most in used:
            if value is not None and most is not None:
                yield unit, value, most
