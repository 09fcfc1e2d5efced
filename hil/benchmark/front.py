"""RAM against cycles: the plans between the fastest and the smallest arena, each measured."""

from __future__ import annotations

from dataclasses import dataclass

from compress.scratch import scratch_folder
from compress.types import Graph, Samples
from hil.board import without_limits, without_waits
from hil.codegen.build import build
from hil.codegen.plan import KernelChoice, plans_by_ram
from hil.codegen.render import render
from hil.measure.effort import Tick, no_tick
from hil.measure.measure import BoardRunner
from hil.objective.costs import cycles_of
from hil.types import Board


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A plan as it was measured: bytes of its arena, of all RAM and of flash, and its counts.

    `cycles` is None where they are neither modeled nor counted. `by_rows` names the first and the
    last layer of each segment that is computed row by row.
    """

    arena_bytes: int
    ram_bytes: int
    flash_bytes: int
    count: int
    cycles: int | None
    by_rows: tuple[tuple[str, str], ...]


def measure_front(
    graph: Graph,
    board: Board,
    runner: BoardRunner,
    samples: Samples,
    choice: KernelChoice,
    tick: Tick = no_tick,
) -> tuple[FrontPoint, ...]:
    """The points from the largest arena to the smallest; `choice` has costs of kernels and rows.
    `tick` gets the share done.

    A plan that turns out to be no faster than a smaller one is left out. Raises OverBudget if a
    plan does not fit the board's memories, Mismatch if an output differs from the reference.
    """
    board = board if runner.models_waits else without_waits(board)
    points: list[FrontPoint] = []
    plans = plans_by_ram(graph, board, choice)
    for number, plan in enumerate(plans):
        tick(number / len(plans))
        with scratch_folder() as folder:
            image = build(render(plan, board), without_limits(board), folder)
            measured = runner.measure(image, plan, samples)
        names = [step.op.name for step in plan.steps]
        point = FrontPoint(
            arena_bytes=plan.arena_bytes,
            ram_bytes=measured.ram.total,
            flash_bytes=measured.flash.total,
            count=measured.count,
            cycles=cycles_of(measured, board),
            by_rows=tuple((names[s.first], names[s.last]) for s in plan.segments),
        )
        while points and points[-1].count >= point.count:
            points.pop()
        points.append(point)
    return tuple(points)
