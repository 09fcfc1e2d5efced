"""The controls of the elastic engine: the same elastic network, other choices of shapes."""

from __future__ import annotations

from itertools import product

import pytest

from compress.genome import Distill, Elastic, Genome, Pick, Quantize
from helpers.elastic_world import CHANNELS, GOAL, SPACE, search, widths
from hil.elastic.controls import (
    PlainNsga2Shapes,
    PlainShapes,
    RandomShapes,
    TpeShapes,
    UniformShapes,
)
from hil.elastic.engine import ShapesFirst
from hil.elastic.lattice import Lattice, Shape
from hil.elastic.shape_search import ShapeCosts, ShapeSearch, judged_count
from hil.types import Trial

LATTICE = Lattice(CHANNELS, 0.5)  # 3 * 5 * 5 shapes
SOURCES: tuple[type[ShapeSearch], ...] = (ShapeSearch, TpeShapes, RandomShapes, UniformShapes)


def engine(source: type[ShapeSearch]) -> ShapesFirst:
    kind = PlainShapes if source is PlainNsga2Shapes else ShapesFirst
    return kind(LATTICE, SPACE, GOAL, 0, source=source)


def looked_at(trials: list[Trial]) -> set[tuple[int, ...]]:
    return {widths(t.genome) for t in trials if t.fidelity == 0.0}


def trained(trials: list[Trial]) -> list[Genome]:
    picked = [t.genome for t in trials if any(isinstance(s, Pick) for s in t.genome.stages)]
    return [g for g in picked if any(isinstance(s, Distill) for s in g.stages)]


@pytest.mark.parametrize("source", [*SOURCES, PlainNsga2Shapes])
def test_all_begin_alike_and_replay(source: type[ShapeSearch]) -> None:
    """One elastic network, that of the engine, serves them all; the same trials, the same asked."""
    assert engine(source).ask() == engine(ShapeSearch).ask()
    batches = 8 if source is TpeShapes else 6  # until some are trained; TPE looks at fewer a batch
    trials = search(engine(source), batches)
    stages = {g.stages[0] for g in trained(trials)}
    assert stages == {engine(ShapeSearch).networks[0][0]}
    assert isinstance(next(iter(stages)), Elastic)
    known = iter(trials)
    again = engine(source)
    for _ in range(batches):
        batch = again.ask()
        told = [next(known) for _ in batch]
        assert [(t.genome, t.fidelity, t.repeat) for t in told] == [
            (p.genome, p.fidelity, p.repeat) for p in batch
        ]
        again.tell(told)


def test_random_shapes_are_as_many_as_are_built_and_all_of_them() -> None:
    trials = search(engine(RandomShapes), 3)
    built = {widths(t.genome) for t in trials if t.fidelity == 1.0 and len(t.genome.stages) == 3}
    assert len(looked_at(trials)) == judged_count(LATTICE)
    assert looked_at(trials) == {shape for shape in built if shape in looked_at(trials)}


def test_uniform_shapes_have_one_share_for_all_groups() -> None:
    shapes = UniformShapes(LATTICE, GOAL, 0, lambda _: ShapeCosts(1, 1, 1)).ask()
    assert len(shapes) == len(set(shapes))
    assert LATTICE.widest in shapes
    for shape in shapes:
        a, b, c = shape.widths
        assert b == c
        assert abs(a / 16 - b / 32) <= 4 / 16
    assert {shape.widths[1] for shape in shapes} == set(LATTICE.options(1))


def test_tpe_looks_where_it_pays() -> None:
    """On a large lattice of which it sees a part, more than random draws find."""
    lattice = Lattice((64, 64, 64, 64), 0.25, blocks=(0,))

    def costs(shape: Shape) -> ShapeCosts:
        return ShapeCosts(*[float(sum(shape.widths))] * 3)

    def accuracy(shape: Shape) -> float:
        """Only the first group matters, and the block."""
        return 0.95 - 0.1 * (1 - shape.widths[0] / 64) - 0.3 * (0 in shape.drop)

    source = TpeShapes(lattice, GOAL, 0, costs)
    first = source.ask()
    source.tell([(shape, accuracy(shape)) for shape in first])
    later: list[Shape] = []
    for _ in range(6):
        batch = source.ask()
        assert len(batch) == 16
        source.tell([(shape, accuracy(shape)) for shape in batch])
        later += batch
    assert len({*first, *later}) == len(first) + len(later)

    def worth(shapes: list[Shape]) -> float:
        return sum(accuracy(s) - sum(s.widths) / 1_000 for s in shapes) / len(shapes)

    assert worth(later) > worth(first) + 0.03


def test_tpe_ends_when_all_shapes_are_known() -> None:
    small = Lattice((8, 8, 8), 0.5)
    source = TpeShapes(small, GOAL, 0, lambda s: ShapeCosts(*[float(sum(s.widths))] * 3))
    while not source.is_over:
        source.tell([(shape, 0.9) for shape in source.ask()])
    every = {Shape(w) for w in product(*[small.options(group) for group in range(3)])}
    assert set(source.told) == every


def test_plain_nsga2_trains_its_survivors_in_full_with_two_fixed_tails() -> None:
    trials = search(engine(PlainNsga2Shapes), 7)
    found = trained(trials)
    assert len(found) >= 12
    for genome in found:
        before = genome.stages.index(next(s for s in genome.stages if isinstance(s, Pick)))
        scheme, *taught = genome.stages[before + 1 :]
        assert isinstance(scheme, Quantize)
        assert sum(stage.epochs for stage in taught) == 8 * SPACE.epochs[1]
        assert all(isinstance(stage, Distill) for stage in taught)
    schemes = [next(s for s in g.stages if isinstance(s, Quantize)).weight_bits for g in found]
    assert schemes == [(8,), (4,)] * (len(found) // 2)
    built = [t for t in trials if t.fidelity == 1.0 and t.repeat]
    assert not built
