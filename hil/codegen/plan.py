"""Plan of a graph on a board: a kernel for each operator, and the layout of its arena with them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from compress.types import Graph
from hil.codegen.layout import bytes_of_kernels, lay_out
from hil.codegen.row_segments import RowKernels, row_kernels
from hil.codegen.segments import Candidates, least_ram, plans_from_fastest
from hil.kernel_interface.operator_kernels import Kernel
from hil.kernels.choice import all_candidates, has_smaller_form
from hil.tuned_kernels.registry import tuned_kernel
from hil.types import Board, KernelSet, Memory, Plan, Step


@dataclass(frozen=True, slots=True, eq=False)
class KernelCosts:
    """What layers cost with kernels that could run them, by operator's index and kernel.

    `rows` are the costs of one row, with the kernels that make one. `unit` is what was counted:
    cycles or instructions.
    """

    of: Mapping[tuple[int, Kernel], int]
    unit: str
    rows: Mapping[tuple[int, Kernel], int] = field(default_factory=dict)


# Of very many operators not every step to a smaller arena is placed.
_MOST_PLANS = 32

NO_COSTS = KernelCosts(MappingProxyType({}), "cycles")
NO_PREFERENCE: Mapping[int, Kernel] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class KernelChoice:
    """How the kernels of a plan are chosen.

    `saves` is the memory that the form of stored weights saves, `kernel_set` whose kernels may run,
    `costs` orders a layer's candidates, but for `preferred`, the best of layers by index.
    """

    saves: Memory = "flash"
    kernel_set: KernelSet = "tuned"
    costs: KernelCosts = NO_COSTS
    preferred: Mapping[int, Kernel] = field(default_factory=dict)

    def plan(self, graph: Graph, board: Board) -> Plan:
        """The plan of `graph` on `board`, as `make_plan`."""
        return make_plan(
            graph,
            board,
            self.saves,
            self.kernel_set,
            costs=self.costs,
            preferred=self.preferred,
        )


def make_plan(
    graph: Graph,
    board: Board,
    saves: Memory = "flash",
    kernel_set: KernelSet = "tuned",
    *,
    costs: KernelCosts = NO_COSTS,
    preferred: Mapping[int, Kernel] = NO_PREFERENCE,
    kernels: Sequence[Kernel] | None = None,
) -> Plan:
    """Kernels and arena offsets for `graph` on `board`; the same graph gives the same plan.

    Input and output tensors are in the arena, too. A layer gets the first of its candidates, with
    `costs` the one that costs least, or that of `preferred`; or what `kernels` says, one for each
    operator. Weights are stored in their smallest form; where `saves` is "ram",
    only if their expansion does not raise the peak of the arena; where it is "nothing", only if no
    tuned kernel reads them as they are. Raises UnsupportedLayer, naming the layer, where an
    operator has no kernel.
    """
    if kernels is not None:
        return lay_out(graph, board, kernels)
    options = [
        _options(graph, index, board, saves, kernel_set, costs, preferred)
        for index in range(len(graph.ops))
    ]
    plan = lay_out(graph, board, [kernels[0] for kernels in options])
    if saves != "ram":
        return _with_choices(plan, options, costs)
    plan = _least_ram(graph, board, options, plan)
    rows = row_kernels(graph, board, saves, kernel_set)
    candidates = Candidates(graph, board, options, costs.of, rows, costs.rows)
    by_rows = least_ram(candidates, plan.arena_bytes)
    if by_rows is None or by_rows.arena_bytes >= plan.arena_bytes:
        return _with_choices(plan, options, costs)
    return _with_choices(by_rows, options, costs, rows)


def plans_by_ram(graph: Graph, board: Board, choice: KernelChoice) -> list[Plan]:
    """Plans from the fastest to that of least RAM: each needs less and costs more than the last.

    `choice` saves RAM and has costs.
    """
    costs = choice.costs
    options = [
        _options(graph, index, board, "ram", choice.kernel_set, costs, choice.preferred)
        for index in range(len(graph.ops))
    ]
    rows = row_kernels(graph, board, "ram", choice.kernel_set)
    found = plans_from_fastest(Candidates(graph, board, options, costs.of, rows, costs.rows))
    return [_with_choices(plan, options, costs, rows) for plan in found]


def _with_choices(
    plan: Plan,
    options: Sequence[Sequence[Kernel]],
    costs: KernelCosts,
    rows: RowKernels | None = None,
) -> Plan:
    """The plan, in each of whose steps it stands what its kernel was chosen before."""

    def choice(step: Step) -> str:
        if rows is None or plan.segment_of(step.index) is None:
            return _choice(step, options[step.index], costs.of, costs.unit)
        return _choice(step, rows.kernels[step.index], costs.rows, f"{costs.unit} a row")

    return replace(plan, steps=tuple(replace(step, choice=choice(step)) for step in plan.steps))


def _choice(
    step: Step, options: Sequence[Kernel], costs: Mapping[tuple[int, Kernel], int], unit: str
) -> str:
    """What a step's kernel costs, why another that costs less is not taken, what others cost."""
    size_bytes = 0 if step.scratch is None else step.scratch.size_bytes
    texts: list[str] = []
    own: int | None = None
    for kernel in options:
        cost = costs.get((step.index, kernel))
        if (kernel.name, kernel.scratch_bytes) == (step.kernel, size_bytes):
            texts.insert(0, "chosen" if cost is None else f"chosen at {cost} {unit}")
            own = cost
        else:
            room = f" with {kernel.scratch_bytes} bytes" if kernel.name == step.kernel else ""
            texts.append(f"{kernel.name}{room}{'' if cost is None else f' {cost}'}")
    chosen, *others = texts
    known = [costs[step.index, one] for one in options if (step.index, one) in costs]
    if own is not None and own > min(known):
        chosen += " for less code, flash or RAM"
    return f"{chosen} before {', '.join(others)}" if others else ""


def _options(
    graph: Graph,
    index: int,
    board: Board,
    saves: Memory,
    kernel_set: KernelSet,
    costs: KernelCosts,
    preferred: Mapping[int, Kernel],
) -> Sequence[Kernel]:
    """The kernels among which the plan chooses for an operator, best first."""
    op = graph.ops[index]
    # Where flash or RAM is saved, no tuned kernel takes the place of weights in a smaller form for
    # its cycles: for its flash it may be preferred, for its RAM it is among the others.
    small = saves != "nothing" and has_smaller_form(graph, op, board)

    def enlarges(kernel: Kernel) -> bool:
        tuned = tuned_kernel(op, kernel.name)
        return small and tuned is not None and not tuned.is_sparse

    known = sorted(
        all_candidates(graph, op, board, saves, kernel_set),
        key=lambda kernel: (
            kernel != preferred.get(index),
            enlarges(kernel),
            costs.of.get((index, kernel), math.inf),
        ),
    )
    if saves != "ram":
        return known
    plain = (replace(kernel, expanded_bytes=0) for kernel in known if kernel.expanded_bytes)
    return (*known, *plain)


def _least_ram(graph: Graph, board: Board, options: Sequence[Sequence[Kernel]], plan: Plan) -> Plan:
    """The plan with the smallest arena; other layers than those of its peak keep `plan`'s kernels.

    Where most bytes are alive, the best kernel that needs fewer is taken, as long as there is one;
    then one with less scratch where scratch is topmost, as long as that lowers the arena.
    """
    first = [known[0] for known in options]
    changes, lower_peaks = _lower_peaks(options, bytes_of_kernels(graph, board, options))
    found = {0: plan}
    # The last peak is the lowest. Of the others those are tried that may do as well, since no
    # placement needs less than what is alive at once.
    for count, peak_bytes in [*lower_peaks[-1:], *lower_peaks[:-1]][:_MOST_PLANS]:
        if peak_bytes <= min(one.arena_bytes for one in found.values()):
            found[count] = lay_out(graph, board, _changed(first, changes[:count]))
    count = min(found, key=lambda count: (found[count].arena_bytes, count))
    smallest = found[count]
    chosen: Sequence[Kernel] = _changed(first, changes[:count])
    while (lower := _with_lower_top(graph, board, options, smallest, chosen)) is not None:
        smallest, chosen = lower
    return smallest


def _lower_peaks(
    options: Sequence[Sequence[Kernel]], needs: Sequence[Sequence[int]]
) -> tuple[list[tuple[int, Kernel]], list[tuple[int, int]]]:
    """Changes of an operator's kernel, each to the best that needs less where most bytes are alive.

    Also, wherever the peak got lower: the number of changes until then, and its bytes.
    """
    needed = [own[0] for own in needs]
    changes: list[tuple[int, Kernel]] = []
    lower_peaks: list[tuple[int, int]] = []
    while True:
        peak = max(range(len(needed)), key=needed.__getitem__)
        smaller = [rank for rank, own in enumerate(needs[peak]) if own < needed[peak]]
        if not smaller:
            return changes, lower_peaks
        before, needed[peak] = needed[peak], needs[peak][smaller[0]]
        changes.append((peak, options[peak][smaller[0]]))
        if max(needed) < before:
            lower_peaks.append((len(changes), max(needed)))


def _changed(kernels: Sequence[Kernel], changes: Sequence[tuple[int, Kernel]]) -> list[Kernel]:
    by_index = dict(changes)
    return [by_index.get(index, kernel) for index, kernel in enumerate(kernels)]


def _with_lower_top(
    graph: Graph,
    board: Board,
    options: Sequence[Sequence[Kernel]],
    plan: Plan,
    kernels: Sequence[Kernel],
) -> tuple[Plan, Sequence[Kernel]] | None:
    """A plan with a smaller arena and its kernels, by less scratch of one layer; None if none."""

    def end(step: Step) -> int:
        return 0 if step.scratch is None else step.scratch.offset_bytes + step.scratch.size_bytes

    top = max(plan.steps, key=end)
    for kernel in options[top.index]:
        if kernel.scratch_bytes < kernels[top.index].scratch_bytes:
            other = _with_kernel(kernels, top.index, kernel)
            lower = lay_out(graph, board, other)
            if lower.arena_bytes < plan.arena_bytes:
                return lower, other
    return None


def _with_kernel(kernels: Sequence[Kernel], index: int, kernel: Kernel) -> list[Kernel]:
    return [*kernels[:index], kernel, *kernels[index + 1 :]]
