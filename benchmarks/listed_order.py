"""What timing each layer's kernels would change in a search, which takes them as they are listed.

    python benchmarks/listed_order.py TASK BOARD[,BOARD...] [--networks 14]

The networks are the first that a random search with seed 0 tries, with the least training: kernels
depend on shapes and on the form of weights. Each is measured as a search plans it, and with the
fastest kernel of each layer, all of them timed on the board. Prints Markdown: for each board how
much cycles, flash and RAM of the timed plan differ, and the kernels that were faster. Networks that
do not fit the board are left out.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import typer

from compress.errors import Infeasible, OverBudget
from compress.pipeline.network import Original
from compress.pipeline.pipeline import compress
from compress.scratch import scratch_folder
from compress.types import Graph
from hil.benchmark.samples import random_samples
from hil.board import load_board, without_limits
from hil.codegen.build import build
from hil.codegen.plan import KernelChoice, KernelCosts
from hil.codegen.render import render
from hil.measure.kernel_costs import time_kernels
from hil.measure.measure import BoardRunner
from hil.objective.costs import cycles_of
from hil.objective.goal import Goal
from hil.search.registry import open_engine
from hil.target.open import open_target, open_waiting_target
from hil.trial.start import Start
from hil.types import Board, Plan

_SAMPLES = 2


@dataclass(frozen=True, slots=True)
class Costs:
    """Cycles (instructions where they are not modeled), bytes of flash and of RAM."""

    cycles: int
    flash_bytes: int
    ram_bytes: int


def main(task: str, boards: str, networks: int = 14) -> None:
    """Measure `networks` of `task` on each of the boards and print the tables."""
    with scratch_folder() as folder:
        first = load_board(boards.split(",")[0])
        graphs = list(islice(_graphs(task, first, folder), networks))
    print(f"{task}: the timed plan against the listed one\n")
    print("| board | networks | cycles: median | most | fewest | flash: median | RAM: median |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    faster: Counter[str] = Counter()
    for name in boards.split(","):
        board = without_limits(load_board(name))
        with BoardRunner(board, open_target, open_waiting_target) as runner:
            found = [_measured(graph, board, runner, faster) for graph in graphs]
        pairs = [pair for pair in found if pair is not None]
        print(f"| {name} | {len(pairs)} | {' | '.join(_cells(pairs))} |", flush=True)
    print("\n| kernel that was faster, where it saves a thousandth or more | layers |")
    print("|---|---:|")
    for words, count in faster.most_common():
        print(f"| {words} | {count} |")


def _graphs(task: str, board: Board, folder: Path) -> Iterator[Graph]:
    """The networks of the genomes that apply."""
    original = Start.prepare(task, board, 0, folder).original()
    for model in _models(original, board):
        yield replace(model, name=task)


def _models(original: Original, board: Board) -> Iterator[Graph]:
    engine = open_engine("random", original, Goal.of(board, 0.0), 0)
    while True:
        for proposal in engine.ask():
            try:
                yield compress(proposal.genome, original, fidelity=0.0).graph
            except Infeasible:
                continue


def _measured(
    graph: Graph, board: Board, runner: BoardRunner, faster: Counter[str]
) -> tuple[Costs, Costs] | None:
    """The costs of the listed plan and of the timed one; None if one does not fit the board.

    Counts the kernels that differ.
    """
    listed = KernelChoice()
    samples = random_samples(graph, _SAMPLES)
    timed = replace(listed, costs=time_kernels(graph, board, runner, samples, listed))
    plans = [choice.plan(graph, board) for choice in (listed, timed)]
    try:
        costs = [_costs(plan, board, runner) for plan in plans]
    except OverBudget:
        return None
    faster.update(_differences(*plans, timed.costs, costs[0].cycles // 1000, board.name))
    return costs[0], costs[1]


def _costs(plan: Plan, board: Board, runner: BoardRunner) -> Costs:
    samples = random_samples(plan.graph, _SAMPLES)
    with scratch_folder() as folder:
        image = build(render(plan, board), board, folder)
        measured = runner.measure(image, plan, samples)
    cycles = cycles_of(measured, board) or measured.count
    return Costs(cycles, measured.flash.total, measured.ram.total)


def _differences(
    listed: Plan, timed: Plan, costs: KernelCosts, least: int, board: str
) -> Iterator[str]:
    """Layers in which the timed plan saves at least so many cycles, and both kernels."""
    known = {
        (index, kernel.name, kernel.scratch_bytes): cost
        for (index, kernel), cost in costs.of.items()
    }
    for one, other in zip(listed.steps, timed.steps, strict=True):
        keys = [(s.index, s.kernel, s.scratch.size_bytes if s.scratch else 0) for s in (one, other)]
        if keys[0] != keys[1] and known[keys[0]] - known[keys[1]] >= least:
            yield f"{board}: {other.kernel} before {one.kernel}"


def _cells(pairs: list[tuple[Costs, Costs]]) -> Iterator[str]:
    cycles = [timed.cycles / listed.cycles - 1 for listed, timed in pairs]
    for value in (statistics.median(cycles), max(cycles), min(cycles)):
        yield f"{100 * value:+.2f} %"
    flash = statistics.median(timed.flash_bytes - listed.flash_bytes for listed, timed in pairs)
    ram = statistics.median(timed.ram_bytes - listed.ram_bytes for listed, timed in pairs)
    yield f"{flash:+.0f} bytes"
    yield f"{ram:+.0f} bytes"


if __name__ == "__main__":
    typer.run(main)
