"""Weights of 4 bits against 8: the fastest kernel of 1x1, 3x3 and dense layers, timed on a board.

    PYTHONPATH=tests python benchmarks/int4_layers.py [m4,m33]

Prints a table as Markdown; `benchmarks/engine.py` puts it on its page. The layers have random
weights and stand in one graph, since a kernel is chosen by the layer's shape and scales. Winograd's
kernel is left out: it reads weights of 8 bits only, and multiplies less.
"""

import sys
from dataclasses import dataclass

from compress.ops import Conv2D, FullyConnected, Padding
from compress.types import Graph
from helpers.graph_builder import RELU, GraphBuilder
from hil.benchmark.samples import random_samples
from hil.board import load_board, without_limits, without_waits
from hil.codegen.plan import KernelChoice
from hil.measure.kernel_costs import time_kernels
from hil.measure.measure import BoardRunner
from hil.target.open import open_target, open_waiting_target
from hil.types import Board

BOARDS = ("m4", "m33")
_SIZE = 16  # height and width of the graph's input
_ELSEWHERE = "conv_winograd"


@dataclass(frozen=True, slots=True)
class Shape:
    """A layer: height and width of its input, channels, window and stride; dense with size 1."""

    size: int
    inputs: int
    outputs: int
    window: int = 3
    stride: int = 1

    @property
    def words(self) -> str:
        """What the layer is, for people."""
        if self.size == 1:
            return f"dense, {self.inputs} to {self.outputs}"
        stride = f", stride {self.stride}" if self.stride > 1 else ""
        window = f"{self.window}x{self.window}"
        return f"{window} of {self.size}x{self.size}x{self.inputs} to {self.outputs}{stride}"


SHAPES = (
    Shape(16, 16, 16),
    Shape(16, 16, 32, stride=2),
    Shape(8, 32, 32),
    Shape(8, 64, 64),
    Shape(8, 8, 24),
    Shape(16, 3, 16),
    Shape(16, 3, 16, stride=2),
    Shape(16, 1, 8),
    Shape(16, 8, 8, stride=2),
    Shape(16, 32, 9, stride=2),
    Shape(16, 96, 4, stride=2),
    Shape(8, 32, 32, window=1),
    Shape(8, 64, 64, window=1),
    Shape(8, 512, 8, window=1),
    Shape(1, 64, 32),
    Shape(1, 24, 2),
    Shape(1, 512, 6),
)


def table(boards: tuple[str, ...] = BOARDS) -> list[str]:
    """Lines of Markdown: cycles of both and what 4 bits cost more, on each board."""
    heads = " | ".join(f"{name}, 8 bits | 4 bits | more" for name in boards)
    lines = [f"| layer | {heads} |", "|---|" + "---:|" * 3 * len(boards)]
    found = [_costs(without_waits(without_limits(load_board(name)))) for name in boards]
    for index, shape in enumerate(SHAPES):
        cells = [
            f"{costs[index][8]:,} | {costs[index][4]:,} | "
            f"{100 * (costs[index][4] / costs[index][8] - 1):+.1f} %"
            for costs in found
        ]
        lines.append(f"| {shape.words} | {' | '.join(cells)} |")
    return lines


def _costs(board: Board) -> list[dict[int, int]]:
    """Cycles of each of `SHAPES`, by the bits of its weights."""
    costs: list[dict[int, int]] = [{} for _ in SHAPES]
    for bits in (8, 4):
        graph, layers = _graph(bits)
        with BoardRunner(board, open_target, open_waiting_target) as runner:
            samples = random_samples(graph, 2)
            timed = time_kernels(graph, board, runner, samples, KernelChoice("nothing"))
        for index, layer in enumerate(layers):
            costs[index][bits] = min(
                cost
                for (at, kernel), cost in timed.of.items()
                if at == layer and kernel.name != _ELSEWHERE
            )
    return costs


def _graph(bits: int) -> tuple[Graph, list[int]]:
    """Each layer after a 1x1 convolution that makes its input; and the layers' indices."""
    builder = GraphBuilder(seed=4)
    start = builder.input((_SIZE, _SIZE, 16), 0.03, zero_point=-9)
    for shape in SHAPES:
        step = _SIZE // shape.size
        made = builder.conv(start, shape.inputs, (1, 1), (step, step))
        if shape.size == 1:
            builder.fully_connected(made, shape.outputs, weight_bits=bits)
            continue
        edge = shape.window // 2
        builder.conv(
            made,
            shape.outputs,
            (shape.window, shape.window),
            (shape.stride, shape.stride),
            padding=Padding(edge, edge, edge, edge),
            weight_bits=bits,
            activation=RELU,
        )
    graph = builder.finish(builder.conv(start, 4, (1, 1)))
    layers = [i for i, op in enumerate(graph.ops) if isinstance(op, Conv2D | FullyConnected)]
    return graph, layers[1::2][: len(SHAPES)]


if __name__ == "__main__":
    names = tuple(sys.argv[1].split(",")) if len(sys.argv) > 1 else BOARDS
    print("\n".join(table(names)))
