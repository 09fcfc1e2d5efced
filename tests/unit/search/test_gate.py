"""The cost gate, fitted to synthetic networks whose cost coefficients are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.genome import Genome, Prune, Quantize
from helpers.trials import measured, pruned, with_cycles
from hil.board import load_board
from hil.objective.costs import cycles_of
from hil.objective.goal import Goal
from hil.objective.pareto import measurement_of
from hil.search.gate import FEWEST, Gate, wide_share
from hil.types import Estimate, Sizes, Trial

BOARD = load_board("m4")
GOAL = Goal(BOARD, accuracy=0.9, flash_bytes=60_000, ram_bytes=20_000, latency_ms=100.0)
CYCLES_PER_COUNT = 1.5


def estimate(macs: int, weights: int, arena: int, layers: int) -> Estimate:
    return Estimate(macs, 64 * macs, weights, arena, layers)


def built(number: int, known: Estimate, accuracy: float = 0.95, noise: float = 1.0) -> Trial:
    """A measured trial: code 12,000 bytes plus 300 a layer, RAM 2,500 plus arena, 3 insn a MAC."""
    count = round(noise * (3 * known.macs + 2 * known.weight_bytes + 500 * known.layers + 4_000))
    trial = measured(
        number,
        Genome((Prune((number / 1000,)), Quantize())),
        accuracy=accuracy,
        flash=round(noise * (12_000 + known.weight_bytes + 300 * known.layers)),
        ram=round(noise * (2_500 + known.arena_bytes)),
        count=count,
        estimate=known,
    )
    return with_cycles(trial, round(CYCLES_PER_COUNT * count), BOARD)


estimates = st.builds(
    estimate,
    st.integers(20_000, 3_000_000),
    st.integers(1_000, 60_000),
    st.integers(500, 30_000),
    st.integers(3, 14),
)
VARIED = [
    estimate(
        50_000 * (1 + i * i % 11), 900 + 2_000 * (i * 7 % 13), 700 * (1 + i * 5 % 9), 4 + i % 7
    )
    for i in range(20)
]


def test_calibration_recovers_the_coefficients() -> None:
    gate = Gate.calibrated(GOAL, [built(i + 1, one) for i, one in enumerate(VARIED)])
    weight, layer, expands, eight, sixteen, always = gate.flash.coefficients
    assert (weight, layer, expands, sixteen) == pytest.approx((1.0, 300.0, 0.0, 0.0), rel=1e-3)
    assert eight + always == pytest.approx(12_000.0, rel=1e-3)  # all of these use 8-bit kernels
    assert gate.ram.coefficients == pytest.approx((1.0, 2_500.0), rel=1e-3)
    assert gate.count is not None
    macs, wide, root, weights, layers, call = gate.count.coefficients
    assert (macs, weights, layers) == pytest.approx((3.0, 2.0, 500.0), rel=0.01)
    assert call == pytest.approx(4_000, rel=0.05)
    assert (wide, root) == pytest.approx((0.0, 0.0), abs=0.05)
    new = estimate(777_000, 23_456, 4_321, 9)
    told = gate.predict(new, pruned(0.5))
    truth = measurement_of(built(99, new))
    assert told.flash_bytes == pytest.approx(truth.flash.total, rel=1e-3)
    assert told.ram_bytes == pytest.approx(truth.ram.total, rel=1e-3)
    assert told.count == pytest.approx(truth.count, rel=1e-2)
    assert told.cycles == pytest.approx(cycles_of(truth, BOARD), rel=1e-2)


def test_with_few_networks_only_proven_bounds_reject() -> None:
    few = [built(i + 1, one) for i, one in enumerate(VARIED[: FEWEST - 1])]
    for gate in (Gate(GOAL), Gate.calibrated(GOAL, few)):
        assert gate.rejects(estimate(10**9, 59_000, 19_000, 10), pruned(0.5)) == ""
        assert "flash, limit 6e+04" in gate.rejects(estimate(1, 60_001, 1, 1), pruned(0.5))
        assert "RAM, limit 2e+04" in gate.rejects(estimate(1, 1, 20_001, 1), pruned(0.5))


def test_a_latency_limit_counts_predicted_cycles() -> None:
    gate = Gate.calibrated(GOAL, [built(i + 1, one) for i, one in enumerate(VARIED)])
    most = round(0.1 * BOARD.time_clock_hz / CYCLES_PER_COUNT / 3)
    assert gate.rejects(estimate(most // 2, 5_000, 2_000, 5), pruned(0.5)) == ""
    slow = estimate(most * 2, 5_000, 2_000, 5)
    assert "ms, limit 100" in gate.rejects(slow, pruned(0.5))
    assert gate.excess(slow, pruned(0.5)) == pytest.approx(1.0, abs=0.05)
    assert gate.excess(estimate(most // 2, 5_000, 2_000, 5), pruned(0.5)) == 0.0


def test_candidates_outside_the_fitted_range_are_rejected_by_proven_bounds_only() -> None:
    told = [built(i + 1, one) for i, one in enumerate(VARIED)]
    gate = Gate.calibrated(GOAL, told)
    most = round(0.1 * BOARD.time_clock_hz / CYCLES_PER_COUNT / 3)
    slow = estimate(most * 2, 50_000, 2_000, 5)
    assert "flash, limit" in gate.rejects(slow, pruned(0.5))
    wide = Genome((Quantize(activation_bits=(16,)),))
    expanded = Genome((Quantize((4,)),))
    for other in (wide, expanded):
        assert gate.rejects(slow, other) == ""
    assert gate.rejects(replace(slow, layers=3), pruned(0.5)) == ""
    assert "flash, limit" in gate.rejects(estimate(1, 60_001, 1, 3), wide)


def test_kernels_for_16_bits_may_be_smaller_than_those_for_8() -> None:
    """CMSIS-NN's are: with a term for 16-bit kernels alone, coefficients >= 0 could not fit."""
    wide = Genome((Quantize(activation_bits=(16,)),))
    told = [built(i + 1, one) for i, one in enumerate(VARIED)]

    def lean(trial: Trial) -> Trial:
        flash = Sizes({"all": measurement_of(trial).flash.total - 4_000})
        genome = Genome((trial.genome.stages[0], *wide.stages))
        return replace(
            trial, genome=genome, measurement=replace(measurement_of(trial), flash=flash)
        )

    gate = Gate.calibrated(GOAL, [*told, *map(lean, told)])
    new = estimate(777_000, 23_456, 4_321, 9)
    truth = measurement_of(built(99, new)).flash.total
    assert gate.predict(new, pruned(0.5)).flash_bytes == pytest.approx(truth, rel=1e-3)
    assert gate.predict(new, wide).flash_bytes == pytest.approx(truth - 4_000, rel=1e-3)


@given(
    known=st.lists(estimates, min_size=8, max_size=16),
    noise=st.lists(st.floats(0.98, 1.02), min_size=16, max_size=16),
    accuracies=st.lists(st.floats(0.85, 0.99), min_size=16, max_size=16),
)
@settings(deadline=None, max_examples=60)
def test_no_measured_feasible_network_is_ever_rejected(
    known: list[Estimate], noise: list[float], accuracies: list[float]
) -> None:
    """The margin covers all networks that the models were fitted to."""
    told = [built(i + 1, one, accuracies[i], noise[i]) for i, one in enumerate(known)]
    gate = Gate.calibrated(GOAL, told)
    for trial in told:
        assert trial.estimate is not None
        least = gate.predict(trial.estimate, trial.genome).optimistic
        m = measurement_of(trial)
        assert least.flash_bytes <= m.flash.total * (1 + 1e-9)
        assert least.ram_bytes <= m.ram.total * (1 + 1e-9)
        assert least.count is not None
        assert least.count <= m.count * (1 + 1e-9)
        if GOAL.violation(trial) == 0.0:
            assert gate.rejects(trial.estimate, trial.genome) == ""


def test_wide_share_is_that_of_the_last_quantization() -> None:
    assert wide_share(pruned(0.5)) == 0.0
    assert wide_share(Genome((Quantize(activation_bits=(16,)),))) == 1.0
    twice = Genome((Quantize(activation_bits=(16,)), Prune((0.5,)), Quantize((4,), (8, 16, 8, 8))))
    assert wide_share(twice) == 0.25
