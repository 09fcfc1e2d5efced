"""Shapes: widths and picks, designs that fill the lattice, variation, and NSGA-II over them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from compress.genome import Distill, Genome, Pick, Quantize, Sparsify
from compress.pruning.prune import kept_channels
from helpers.elastic_world import GOAL, SPACE
from hil.elastic.lattice import Lattice, Shape
from hil.elastic.shape_search import ShapeCosts, ShapeSearch
from hil.elastic.tails import (
    RUNGS,
    children,
    kept_shape,
    lengthened,
    mean_bits,
    starting_tails,
    tail_toolbox,
)

LATTICE = Lattice((16, 30, 64), 0.25, (0, 1))


def test_the_widths_of_a_pick_are_those_that_pruning_keeps() -> None:
    rng = random.Random(0)
    for _ in range(200):
        shape = LATTICE.random(rng)
        keep = LATTICE.pick(shape).keep
        kept = [kept_channels(m, r) for m, r in zip(LATTICE.channels, keep, strict=True)]
        assert tuple(kept) == shape.widths
        assert LATTICE.prune(shape).keep == keep


def test_options_are_multiples_of_four_and_all_channels() -> None:
    assert LATTICE.options(0) == (4, 8, 12, 16)
    assert LATTICE.options(1) == (8, 12, 16, 20, 24, 28, 30)
    assert LATTICE.options(2)[0] == 16
    assert LATTICE.size == 4 * 7 * 13 * 4


def test_designs_fill_each_group_evenly_and_lack_each_block_once() -> None:
    designs = LATTICE.designs(8, seed=0)
    whole = [shape for shape in designs if not shape.drop]
    assert {shape.drop for shape in designs} == {(), (0,), (1,)}
    for group in range(3):
        widths = [shape.widths[group] for shape in whole]
        options = LATTICE.options(group)
        halves = sum(width <= options[len(options) // 2 - 1] for width in widths)
        assert 3 <= halves <= 5
    assert designs == LATTICE.designs(8, seed=0)


def test_variation_stays_in_the_lattice() -> None:
    rng = random.Random(1)
    for _ in range(300):
        mother, father = LATTICE.random(rng), LATTICE.random(rng)
        child = LATTICE.mutated(rng, LATTICE.crossed(rng, mother, father))
        assert all(w in LATTICE.options(g) for g, w in enumerate(child.widths))
        assert set(child.drop) <= {0, 1}
        assert child.drop == tuple(sorted(child.drop))


def test_spread_shapes_are_farther_apart_than_the_first_ones() -> None:
    rng = random.Random(2)
    shapes = [LATTICE.random(rng) for _ in range(100)]
    chosen = LATTICE.spread(shapes, 10)
    assert len(set(chosen)) == 10

    def least(some: list[Shape]) -> float:
        points = [LATTICE.place(shape) for shape in some]
        return min(float(np.linalg.norm(a - b)) for i, a in enumerate(points) for b in points[:i])

    assert least(chosen) > least(shapes[:10])


def look(search: ShapeSearch) -> None:
    """Tell the accuracy of a generation: what is lost grows with each group's narrowing."""
    found = []
    for shape in search.ask():
        shares = zip(shape.widths, search.lattice.channels, strict=True)
        found.append((shape, 0.97 - sum(0.2 * (1 - w / m) ** 2 for w, m in shares)))
    search.tell(found)


def costs(shape: Shape) -> ShapeCosts:
    a, b, c = shape.widths
    work = float(a + a * b + b * c)
    return ShapeCosts(flash_bytes=work, ram_bytes=float(a + b), count=50 * work)


def test_nsga2_beats_random_shapes_at_equal_looks() -> None:
    """In the count of the cheapest shape that inherits 90 %."""
    searched, drawn = [], []
    for seed in range(3):
        search = ShapeSearch(Lattice((64, 64, 64), 0.25), GOAL, seed, costs, population=24)
        for _ in range(8):
            look(search)
        rng = random.Random(seed)
        others = [search.lattice.random(rng) for _ in range(len(search.told))]
        random_search = ShapeSearch(search.lattice, GOAL, seed, costs)
        random_search.ask = lambda shapes=others: shapes  # type: ignore[method-assign, misc]
        look(random_search)
        for one, best in ((search, searched), (random_search, drawn)):
            good = [found.costs.count for found in one.told.values() if found.accuracy >= 0.9]
            best.append(min(good))
    assert np.mean(searched) < np.mean(drawn)


def test_a_small_lattice_is_searched_whole_and_then_over() -> None:
    search = ShapeSearch(Lattice((8, 8, 8), 0.5), GOAL, 0, costs)
    while not search.is_over:
        look(search)
    assert len(search.told) == 8


def test_shapes_over_a_limit_are_not_promising() -> None:
    def limited(shape: Shape) -> ShapeCosts:
        known = costs(shape)
        excess = max(0.0, known.flash_bytes / 600 - 1)
        return ShapeCosts(known.flash_bytes, known.ram_bytes, known.count, excess)

    search = ShapeSearch(Lattice((32, 32, 32), 0.25), GOAL, 0, limited, population=24)
    for _ in range(4):
        look(search)
    found = search.promising(12)
    assert found
    assert all(one.costs.flash_bytes <= 600 for one in found)


def test_tails_keep_the_shape_and_train_for_the_first_rung() -> None:
    rng, length = random.Random(3), 2.0
    toolbox = tail_toolbox(SPACE, length)
    tails = list(starting_tails(length, "attention"))
    assert len(set(tails)) == len(tails)
    for tail in [*tails, *children(rng, toolbox, tails, 200)]:
        assert all(isinstance(s, Sparsify | Quantize | Distill) for s in tail.stages)
        (taught,) = (s for s in tail.stages if isinstance(s, Distill))
        assert taught.epochs == RUNGS[0] * length
        assert (taught.width, taught.depth, taught.reshapes) == (1.0, 1.0, False)
        assert sum(isinstance(s, Quantize) for s in tail.stages) >= 1


def test_both_orders_of_distillation_and_quantization_are_bred() -> None:
    rng = random.Random(4)
    tails = list(starting_tails(1.0, "none"))
    orders = {t.order for t in children(rng, tail_toolbox(SPACE, 1.0), tails, 100)}
    assert {"QD", "DQ"} <= orders


@pytest.mark.parametrize("rung", [0, 1, 2])
def test_a_lengthened_tail_goes_on_from_the_shorter_one(rung: int) -> None:
    for tail in starting_tails(3.0, "none"):
        longer = lengthened(tail, rung)
        taught = [s for s in longer.stages if isinstance(s, Distill)]
        assert sum(s.epochs for s in taught) == RUNGS[rung] * 3.0
        assert longer.order.replace("D" * len(taught), "D") == tail.order
        assert mean_bits(longer) == mean_bits(tail)


def test_a_tail_without_a_student_gets_one() -> None:
    tail = kept_shape(Genome((Pick((1.0,)), Quantize())[1:]), 1.0)
    assert tail.order == "QD"
