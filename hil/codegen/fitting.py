"""The fastest plan of a graph that stays within a limit of RAM."""

from __future__ import annotations

from dataclasses import replace

from compress.ops import outputs_of
from compress.types import Graph
from hil.codegen.plan import KernelChoice, KernelCosts, make_plan, plans_by_ram
from hil.codegen.row_segments import row_kernels
from hil.kernel_interface.operator_kernels import Kernel
from hil.kernels.choice import all_candidates
from hil.types import Board, Memory, Plan, Trial

# Shares of a layer's work, in tenths: by how much a kernel is slower than the one listed before it,
# and a layer that is computed row by row than on whole tensors.
_TENTHS, _ROW_BY_ROW_TENTHS = 10, 15


def fitting_plan(graph: Graph, board: Board, saves: Memory, arena_bytes: float) -> Plan:
    """The fastest plan with an arena of at most `arena_bytes`; the smallest if there is none.

    The fastest of all is that of `make_plan`. Those with a smaller arena are of the front of RAM
    against work: kernels with less scratch, and layers that are computed row by row. The same
    graph, board and limit give the same plan, and the plan's own arena as limit gives it again.
    Raises UnsupportedLayer as `make_plan`.
    """
    plan = make_plan(graph, board, saves)
    if saves == "ram" or plan.arena_bytes <= arena_bytes:
        return plan
    choice = KernelChoice("ram", costs=_work(graph, board, plan))
    others = (*plans_by_ram(graph, board, choice), make_plan(graph, board, "ram"))
    front = [one for one in others if one.arena_bytes < plan.arena_bytes]
    fitting = (one for one in front if one.arena_bytes <= arena_bytes)
    return next(fitting, min((plan, *front), key=lambda one: one.arena_bytes))


def plan_of_trial(graph: Graph, board: Board, trial: Trial) -> Plan:
    """The plan with which a trial's network was measured, made again."""
    return plan_again(graph, board, trial.provenance.saves, arena_of(trial))


def arena_of(trial: Trial) -> int | None:
    """The bytes of the arena that was measured."""
    return None if trial.measurement is None else trial.measurement.ram.parts.get("arena")


def plan_again(graph: Graph, board: Board, saves: Memory, arena_bytes: int | None) -> Plan:
    """The plan that `fitting_plan` made with this arena, which tells it from others.

    It is the fastest if none has that arena: then another version of this package made it.
    """
    plan = make_plan(graph, board, saves)
    if arena_bytes is None or plan.arena_bytes <= arena_bytes:
        return plan
    smaller = fitting_plan(graph, board, saves, arena_bytes)
    return smaller if smaller.arena_bytes == arena_bytes else plan


def _work(graph: Graph, board: Board, plan: Plan) -> KernelCosts:
    """What layers cost, without timing: operations, and the order in which kernels are listed."""
    rows = row_kernels(graph, board, "ram", "tuned")
    work = [
        step.macs + sum(graph.tensors[i].elements for i in outputs_of(step.op))
        for step in plan.steps
    ]
    of: dict[tuple[int, Kernel], int] = {}
    for index, op in enumerate(graph.ops):
        for rank, kernel in enumerate(all_candidates(graph, op, board, "ram")):
            cost = work[index] * (_TENTHS + rank)
            of[index, kernel] = cost
            of.setdefault((index, replace(kernel, expanded_bytes=0)), cost)
    by_rows = {
        (index, kernel): work[index] * (_ROW_BY_ROW_TENTHS + rank) // rows.layers[index].rows
        for index, kernels in rows.kernels.items()
        for rank, kernel in enumerate(kernels)
    }
    return KernelCosts(of, "estimated operations", by_rows)
