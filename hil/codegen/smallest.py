"""The choice of kernels that takes least flash: each kernel that costs more than it saves is left.

A kernel costs its code once and saves, or costs, in the calls and the stored weights of its layers.
What a choice takes is known from its build.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from compress.scratch import scratch_folder
from compress.types import Graph
from hil.board import without_limits
from hil.codegen.build import build
from hil.codegen.plan import KernelChoice
from hil.codegen.render import render
from hil.types import Board, Plan


def smallest(
    graph: Graph, board: Board, choice: KernelChoice, told: Callable[[str], None]
) -> KernelChoice:
    """`choice` without the kernels whose exclusion makes the flash smaller, one after the other.

    `told` is called with the name of each kernel before a build without it. Raises OverBudget if
    the network does not fit the board's memories.
    """
    plan = choice.plan(graph, board)
    size_bytes = _flash_bytes(plan, board)
    for name in sorted({step.kernel for step in plan.steps if step.choice}):
        told(name)
        other = replace(choice, excluded=choice.excluded | {name})
        plan = other.plan(graph, board)
        if any(step.kernel == name for step in plan.steps):
            continue  # some layer has no other
        if (without_bytes := _flash_bytes(plan, board)) < size_bytes:
            choice, size_bytes = other, without_bytes
    return choice


def _flash_bytes(plan: Plan, board: Board) -> int:
    with scratch_folder() as folder:
        return build(render(plan, board), without_limits(board), folder).flash.total
