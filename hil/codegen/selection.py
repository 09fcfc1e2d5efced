"""The choice of a network's kernels by what they cost: cycles and code, or flash.

The code of a kernel is charged once, to all layers that it runs (`hil.codegen.least`). Sizes come
from the archive's objects and from micro-kernels assembled for the purpose, not from builds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from compress.ops import Op
from compress.types import Graph
from hil.codegen.code_bytes import Sections, archive_sections, instance_bytes
from hil.codegen.least import Option, least
from hil.codegen.plan import KernelChoice, KernelCosts
from hil.kernel_interface.call import Call, Dims
from hil.kernel_interface.operator_kernels import NO_KERNEL, Kernel
from hil.kernels.choice import all_candidates
from hil.kernels.registry import kernels_of
from hil.tuned_kernels.registry import tuned_kernel
from hil.types import Board, Buffer, Step

# For speed, a kilobyte of code has to save this part of the network's cycles.
CYCLES_PER_KILOBYTE = 1 / 200
# Bytes of a call's instructions and of the records and literals beside it, about, by gcc 12 -O2.
_CALL_BYTES = 18
_PLAIN_RECORD_BYTES = 72
_DIMS_BYTES = 16
_NUMBER_BYTES, _POINTER_BYTES = 2, 4
_UNIT = 2**40  # cycles decide between choices that take the same flash


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A kernel of a layer: cycles, bytes of constants, record and call, and parts of code."""

    kernel: Kernel
    cycles: int
    own_bytes: int
    parts: frozenset[str]


def select(graph: Graph, board: Board, choice: KernelChoice) -> KernelChoice:
    """`choice` with a preferred kernel for each layer of which costs are known.

    For speed (`saves` is "nothing"): the fewest cycles, where code counts as cycles at a rate of
    CYCLES_PER_KILOBYTE. To save flash: the least flash. No layer is slower than with the fastest
    kernel that is not tuned. To save RAM the choice is left as it is.
    """
    if choice.saves == "ram" or choice.kernel_set != "tuned":
        return choice
    sections = archive_sections(board)
    prices: dict[str, int] = {}
    layers = [
        _candidates(graph, index, board, choice, sections, prices)
        for index in range(len(graph.ops))
    ]
    total = sum(min(one.cycles for one in layer) for layer in layers)
    for_speed = choice.saves == "nothing"
    # In units of which 1024 / CYCLES_PER_KILOBYTE are a cycle.
    cycle, byte = (round(1024 / CYCLES_PER_KILOBYTE), total) if for_speed else (1, _UNIT)
    options = [
        [
            Option(one.cycles * cycle + (0 if for_speed else one.own_bytes * byte), one.parts)
            for one in layer
        ]
        for layer in layers
    ]
    found = least(options, {part: size * byte for part, size in prices.items()})
    preferred = {
        index: layer[number].kernel
        for index, (layer, number) in enumerate(zip(layers, found, strict=True))
    }
    return replace(choice, preferred=preferred)


def _candidates(
    graph: Graph,
    index: int,
    board: Board,
    choice: KernelChoice,
    sections: Sections,
    prices: dict[str, int],
) -> list[_Candidate]:
    """The kernels that may run a layer, the sizes of their parts of code being put in `prices`."""
    op = graph.ops[index]
    kernels = _allowed(op, index, all_candidates(graph, op, board, choice.saves), choice.costs)
    found = []
    for kernel in kernels:
        call = call_of(graph, index, kernel)
        sizes = dict(_parts(call, kernel, sections, board, prices))
        prices.update(sizes)
        cycles = choice.costs.of.get((index, kernel), 0)
        found.append(_Candidate(kernel, cycles, own_bytes(call), frozenset(sizes)))
    return found


def _allowed(op: Op, index: int, kernels: Sequence[Kernel], costs: KernelCosts) -> Sequence[Kernel]:
    """Those that are not slower than the fastest that is not tuned, as far as costs are known."""
    known = [(kernel, costs.of.get((index, kernel))) for kernel in kernels]
    timed = [(kernel, cost) for kernel, cost in known if cost is not None]
    if not timed:
        return kernels[:1]
    plain = [cost for kernel, cost in timed if tuned_kernel(op, kernel.name) is None]
    return [kernel for kernel, cost in timed if not plain or cost <= min(plain)]


def call_of(graph: Graph, index: int, kernel: Kernel) -> Call:
    """The call of a layer with that kernel, its buffers not placed."""
    op = graph.ops[index]

    def buffer(size_bytes: int) -> Buffer | None:
        return Buffer("", 0, size_bytes, index, index) if size_bytes else None

    step = Step(
        index, op, kernel.name, 0, buffer(kernel.scratch_bytes), buffer(kernel.expanded_bytes)
    )
    kernels = tuned_kernel(op, kernel.name) or kernels_of(op)
    return kernels.call(graph, step, op)


def _parts(
    call: Call, kernel: Kernel, sections: Sections, board: Board, known: Mapping[str, int]
) -> Iterator[tuple[str, int]]:
    """The sections, micro-kernels and shapes that the call brings, and their bytes."""
    for name in sections.needed_by(_functions(call, kernel)):
        yield name, sections.size_bytes[name]
    for instance in call.instances:
        name = f"instance {instance.name}"
        yield name, known[name] if name in known else instance_bytes(instance, board)
    for dims in _shapes(call):
        yield dims.name, _DIMS_BYTES


def _functions(call: Call, kernel: Kernel) -> set[str]:
    """Names in the call, among them those of the functions that it needs."""
    names = set() if kernel.name == NO_KERNEL else {kernel.name}
    texts = [repr(call.values)]
    if call.values.get("clamp") is not None and call.macro == "tuned":
        names.add("clamp_s8")
    return names.union(*(re.findall(r"[A-Za-z_]\w+", text) for text in texts))


def _shapes(call: Call) -> list[Dims]:
    return [dims for dims in (call.input_dims, call.filter_dims, call.output_dims) if dims]


def own_bytes(call: Call) -> int:
    """Bytes of flash that a layer takes for itself: constants, and about its record and call."""
    constants = sum(
        one.elements * np.dtype(one.type.removesuffix("_t")).itemsize for one in call.constants
    )
    if call.macro == "view":
        return constants
    if call.macro != "tuned":
        return constants + _CALL_BYTES + _PLAIN_RECORD_BYTES
    fields = [field for _, group in call.values["groups"] for field in group]
    record = sum(_POINTER_BYTES if isinstance(f.value, str) else _NUMBER_BYTES for f in fields)
    return constants + _CALL_BYTES + record
