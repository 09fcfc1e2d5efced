"""Random layers and rare ones reach every tuned kernel and every statement that refuses one."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import HealthCheck, Phase, given, seed, settings

from compress.types import Graph
from helpers.engine_layers import KINDS, layers
from helpers.layer_twists import IMPOSSIBLE, TWISTS, twisted
from helpers.rare_layers import fragile_layers, rare_layers
from helpers.refusals import refusals, watching
from hil.board import load_board, without_waits
from hil.tuned_kernels.registry import all_tuned_kernels, tuned_kernels

# One of each kind of core, and flash with waits and without.
BOARDS = tuple(load_board(name) for name in ("m3", "m4", "m55"))
BOARDS = (*BOARDS, without_waits(load_board("m4")))
RANDOM_LAYERS = 20  # of each kind
SEED = 0


def random_layers(kind: str) -> list[Graph]:
    """The same ones each time."""
    drawn: list[Graph] = []

    @seed(SEED)
    @settings(
        max_examples=RANDOM_LAYERS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )
    @given(layers(kind))
    def draw(graph: Graph) -> None:
        drawn.append(graph)

    draw()
    return drawn


def all_layers() -> Iterator[Graph]:
    for kind in KINDS:
        drawn = random_layers(kind)
        yield from drawn
        for place, twist in enumerate((*TWISTS, *IMPOSSIBLE)):
            yield twisted(drawn[place % len(drawn)], twist)
    yield from rare_layers()
    for graph in fragile_layers():
        for twist in (*TWISTS, *IMPOSSIBLE):
            yield twisted(graph, twist)


def kernels_of(graph: Graph) -> set[str]:
    """The tuned kernels that take the last layer, on any board."""
    op = graph.ops[-1]
    return {
        found.name
        for board in BOARDS
        for kernel in tuned_kernels(op)
        for found in kernel.kernels(graph, op, board)
    }


def test_random_and_rare_layers_reach_every_kernel_and_every_refusal() -> None:
    taken: set[str] = set()
    with watching() as seen:
        for graph in all_layers():
            taken |= kernels_of(graph)
    missing = [one for one in refusals() if (one.place, one.line) not in seen]
    assert not missing
    assert {kernel.name for kernel in all_tuned_kernels()} == taken
