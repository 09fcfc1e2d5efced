"""Cost tables on synthetic networks whose layers have known costs."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from hil.figures import LayerFigures
from hil.search.cost_tables import CostTable, Profiled, table_error

FULL = (16, 24, 32)
Noise = Callable[[], float]


def network(
    widths: tuple[int, ...], drop: tuple[int, ...] = (), noise: Noise = lambda: 1.0
) -> Profiled:
    """Three convolutions, the second of which block 0 may lack, and a classifier of 10."""
    a, b, c = widths
    shapes = {"one": (1, a), "two": (a, b), "three": (b, c), "classify": (c, 10)}
    if drop:
        del shapes["two"]
        shapes["three"] = (b, c)
    layers = tuple(
        LayerFigures(
            name=name,
            inputs=i,
            outputs=o,
            macs=9 * i * o,
            count=round((500 + 40 * i + 70 * o + 11 * i * o) * noise()),
            weight_bytes=9 * i * o + 12 * o,
            live_bytes=64 * (i + o),
        )
        for name, (i, o) in shapes.items()
    )
    return Profiled(widths, drop, layers, 3_000 + sum(layer.count for layer in layers))


def drawn(rng: random.Random) -> tuple[int, ...]:
    return tuple(rng.randrange(4, full + 1, 4) for full in FULL)


@pytest.fixture
def rng() -> random.Random:
    return random.Random(3)


def test_additive_costs_are_predicted_exactly(rng: random.Random) -> None:
    table = CostTable.of([network(drawn(rng)) for _ in range(10)])
    for widths in (FULL, (4, 4, 4), (4, 24, 8), (16, 4, 32)):
        true, found = network(widths), table.predict(widths)
        assert found.count == pytest.approx(true.count, rel=1e-3)
        assert found.estimate.macs == sum(layer.macs for layer in true.layers)
        assert found.estimate.weight_bytes == sum(layer.weight_bytes for layer in true.layers)
        assert found.estimate.arena_bytes == max(layer.live_bytes for layer in true.layers)
        assert found.estimate.layers == 4


def test_noise_of_a_percent_stays_an_error_of_a_percent(rng: random.Random) -> None:
    noisy = [network(drawn(rng), noise=lambda: rng.gauss(1.0, 0.01)) for _ in range(12)]
    table = CostTable.of(noisy)
    later = [drawn(rng) for _ in range(60)]
    predicted = [table.predict(widths).count for widths in later]
    error = table_error(predicted, [network(widths).count for widths in later])
    assert error.networks == 60
    assert error.root_mean_square < 0.015
    assert error.largest < 0.05


def test_a_dropped_block_takes_its_layers_away(rng: random.Random) -> None:
    table = CostTable.of([*(network(drawn(rng)) for _ in range(9)), network(FULL, (0,))])
    assert table.absent == {0: frozenset({"two"})}
    without = table.predict(FULL, (0,))
    assert without.count == pytest.approx(network(FULL, (0,)).count, rel=1e-3)
    assert without.estimate.layers == 3
    assert table.predict(FULL).estimate.layers == 4


def test_a_table_needs_a_network_with_all_blocks() -> None:
    with pytest.raises(ValueError, match="all blocks"):
        CostTable.of([network(FULL, (0,))])


def test_the_error_is_relative_to_what_was_measured() -> None:
    error = table_error([110.0, 95.0], [100.0, 100.0])
    assert error.largest == pytest.approx(0.1)
    assert error.root_mean_square == pytest.approx(((0.1**2 + 0.05**2) / 2) ** 0.5)
    assert error.text == "7.9 % rms, 10.0 % max over 2 networks"
