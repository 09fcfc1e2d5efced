"""The elastic engine over widths of channels and bits: lattice, costs by bits, search."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from compress.genome import Elastic, Genome, Pick, Quantize, Stage
from compress.pruning.groups import find_groups
from helpers.elastic_world import BIT_LATTICE, EXPANDED, GOAL, SPACE, UNPACKING, answer, search
from helpers.networks import original
from hil.elastic.bit_factors import factors_of, measured_factors
from hil.elastic.engine import ShapesFirst
from hil.elastic.lattice import Lattice, Shape
from hil.elastic.network_lattice import units_of
from hil.objective.goal import ObjectiveWeights
from hil.search.cost_tables import CostTable, Profiled
from hil.search.engine import Proposal
from hil.types import Trial

SMALL = replace(BIT_LATTICE, narrowest=0.85)  # 128 shapes


def test_a_unit_is_the_layers_that_write_a_group() -> None:
    start = original("resnet")
    groups = find_groups(start.lean, start.task.input_shape)
    units = units_of(groups, start.layers)
    assert [name for name, _ in units] == list(start.layers)
    assert [number for _, number in units] == [0, 1, 0, 2, 0, 3, 0, 4, 5, 5, 6]


def test_picks_and_schemes_have_the_bits_of_their_layers() -> None:
    lattice = Lattice((16, 16), 0.25, (0,), (8, 4), (("a", 0), ("b", 1), ("c", 0), ("out", 2)))
    assert lattice.size == 4 * 4 * 2 * 2**3
    shape = Shape((16, 8), bits=(8, 4, 4))
    assert lattice.pick(shape) == Pick((1.0, 0.5), bits=(8, 4, 8, 4))
    assert lattice.scheme(shape) == Quantize((8, 4, 8, 4))
    assert lattice.scheme(lattice.widest) == Quantize()
    assert lattice.pick(lattice.uniform(1.0, 4)) == Pick((1.0, 1.0), bits=(4,))
    assert lattice.bits_by_name(shape) == {"a": 8, "b": 4, "c": 8, "out": 4}
    plain = Lattice((16, 16), 0.25, (0,))
    assert plain.pick(plain.widest) == Pick((1.0, 1.0))
    assert plain.bits_by_name(plain.widest) == {}


def test_variation_reaches_all_bits_and_designs_mix_them() -> None:
    rng, lattice = random.Random(0), BIT_LATTICE
    seen = set()
    for _ in range(200):
        child = lattice.crossed(rng, lattice.random(rng), lattice.random(rng))
        seen.add(lattice.mutated(rng, child).bits)
    assert len(seen) == 2**4
    designs = lattice.designs(8, seed=0)
    plain = replace(lattice, bits=(), units=()).designs(8, seed=0)
    assert [shape.widths for shape in designs[:8]] == [shape.widths for shape in plain]
    assert {shape.bits for shape in designs[:8]} == {(8, 8, 8, 8)}
    for unit in range(4):
        assert sorted(shape.bits[unit] for shape in designs[8:]) == [4] * 4 + [8] * 4
    places = {tuple(lattice.place(Shape(lattice.channels, bits=bits))) for bits in seen}
    assert len(places) == len(seen)


def test_layers_of_fewer_bits_cost_what_was_measured() -> None:
    shapes = BIT_LATTICE.designs(8, seed=0)
    seen = [(profiled(shape), shape) for shape in shapes]
    table = CostTable.of([one for one, shape in seen if set(shape.bits) == {8}])
    mixed = [(one, BIT_LATTICE.bits_by_name(shape)) for one, shape in seen]
    factors = measured_factors(table, mixed)
    assert set(factors) == {(name, 4) for name, _ in BIT_LATTICE.units}
    for factor in factors.values():
        assert factor.count == pytest.approx(UNPACKING[4], rel=1e-3)
        assert factor.weight_bytes == pytest.approx(0.5, rel=1e-2)
        assert factor.scratch == pytest.approx(EXPANDED, abs=0.02)
    shape = Shape((8, 24, 12), bits=(8, 4, 4, 8))
    found = table.predict(shape.widths, (), factors_of(factors, BIT_LATTICE.bits_by_name(shape)))
    true = profiled(shape)
    assert found.count == pytest.approx(true.count, rel=1e-3)
    stored = sum(layer.weight_bytes for layer in true.layers)
    assert found.estimate.weight_bytes == pytest.approx(stored, rel=1e-2)
    needed = max(layer.live_bytes for layer in true.layers)
    assert found.estimate.arena_bytes == pytest.approx(needed, rel=2e-2)
    unknown = factors_of({}, {"one": 8, "two": 2})
    assert set(unknown) == {"two"}
    assert unknown["two"].weight_bytes == 0.25


def profiled(shape: Shape) -> Profiled:
    genome = (BIT_LATTICE.prune(shape), BIT_LATTICE.scheme(shape))
    measurement = trial_of(*genome).measurement
    assert measurement is not None
    return Profiled(shape.widths, (), measurement.layers, measurement.count)


def trial_of(*stages: Stage) -> Trial:
    return answer(1, Proposal(Genome(stages), profile=True), by_layer=True)


@pytest.fixture(scope="module")
def trials() -> list[Trial]:
    small = replace(GOAL, weights=ObjectiveWeights(flash=1, ram=0, latency=0))
    return search(ShapesFirst(SMALL, SPACE, small, 0), 8, by_layer=True)


def test_every_scheme_after_a_pick_has_its_bits(trials: list[Trial]) -> None:
    picks = 0
    for trial in trials:
        picked = [stage for stage in trial.genome.stages if isinstance(stage, Pick)]
        for stage in trial.genome.stages:
            if isinstance(stage, Elastic):
                assert stage.bits == (8, 4)
            if isinstance(stage, Quantize) and picked:
                assert stage.weight_bits == picked[0].bits
                picks += 1
    assert picks > 100
    looked = [Proposal(t.genome, t.fidelity) for t in trials if t.fidelity == 0.0]
    assert all(one.is_inherited for one in looked)
    tuned = [t for t in trials if t.genome.order.startswith(("EQD", "EDQ"))]
    assert (
        len({stage.bits for t in tuned for stage in t.genome.stages if isinstance(stage, Pick)}) > 3
    )


def test_by_flash_alone_it_ends_at_few_bits(trials: list[Trial]) -> None:
    small = [t for t in trials if t.measurement and GOAL.violation(t) == 0.0]
    smallest = min(small, key=lambda t: t.measurement.flash.total if t.measurement else 0)
    (pick,) = [stage for stage in smallest.genome.stages if isinstance(stage, Pick)]
    assert 4 in pick.bits


def test_it_says_how_well_costs_at_bits_were_predicted() -> None:
    one, lines, number = ShapesFirst(SMALL, SPACE, GOAL, 0), list[str](), 0
    for _ in range(30):
        batch = one.ask()
        one.tell([answer(number + i, proposal, by_layer=True) for i, proposal in enumerate(batch)])
        number += len(batch)
        lines += one.news()
        if any("fit error" in line for line in lines):
            break
    (error,) = [line for line in lines if "fit error" in line]
    assert "count 0.0 % rms" in error
