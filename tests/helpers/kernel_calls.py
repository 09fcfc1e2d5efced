"""Every tuned kernel of a graph's operators in one program, its calls and buffers watched.

Each operator is there once for each of its candidates: with its output apart from all other
buffers and, where the kernel has a lead, a second time over a copy of its input, at exactly that
lead. Between all buffers are canaries. Calls of the functions in `firmware/tuned`, from C or from
assembly, go through `abi/trampoline.S`, which says what is kept of them.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from compress.integer import reference
from compress.ops import ElementWise, Op, Pad, Reshape, inputs_of, outputs_of
from compress.types import Graph, Int8Array, IntArray, Tensor
from hil.codegen import build as builder
from hil.codegen.arena import alignment_bytes
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.kernel_interface.limits import round_up
from hil.kernel_interface.operator_kernels import NO_KERNEL, SAME_BYTE, Kernel
from hil.kernels.choice import all_candidates, choose
from hil.target.target import Layout, Target
from hil.tuned_kernels.registry import tuned_kernel
from hil.types import Board, Buffer, Image, Memory, Plan

ABI = Path(__file__).parent / "abi"
TIMEOUT_S = 60.0
CANARY_BYTES = 32
FAULTS = {1: "r4 to r11", 2: "sp", 4: "s16 to s31", 8: "sp of 8 bytes at the call", 16: "LTPSIZE"}


@dataclass(frozen=True, slots=True)
class Trial:
    """An operator with one of its kernels; `expected` is the tensor whose values its output has.

    `over` is the copy of an input that the output lies over; None if it is apart.
    """

    op: Op
    kernel: Kernel
    expected: int
    over: int | None


@dataclass(frozen=True, slots=True)
class Function:
    """What is known of the calls of a function: `faults` are values of `FAULTS`."""

    name: str
    calls: int
    faults: tuple[str, ...]
    stack_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A graph, the plan of its operators and their trials, and what of the arena none may write."""

    graph: Graph
    trials: tuple[Trial, ...]
    plan: Plan
    canaries: tuple[range, ...]


def watched(
    graph: Graph,
    board: Board,
    saves: Memory = "nothing",
    *,
    tuned_only: bool = True,
    alignment: int | None = None,
    trials_of: Board | None = None,
    names: frozenset[str] | None = None,
) -> Watched:
    """All candidates of the graph's operators, with `tuned_only` only tuned ones.

    Those that only save RAM are among them, but for kernels of segments.

    Buffers lie at multiples of `alignment`, by default the board's. Candidates are those of the
    board `trials_of` (default: `board`), with `names` only these.
    """
    tensors, ops, trials = [*graph.tensors], [*graph.ops], []
    kernels = [choose(graph, op, board, saves) for op in graph.ops]
    for op in graph.ops:
        for kernel in _candidates(graph, op, trials_of or board, saves):
            if names is not None and kernel.name not in names:
                continue
            if tuned_only and tuned_kernel(op, kernel.name) is None:
                continue
            if kernel.name == NO_KERNEL:
                continue
            for over in (None, *_places(graph, op, kernel)):
                inputs: dict[int, int] = {}
                if over is not None:
                    copy = _copy(graph, over, f"copy{len(ops)}", tensors)
                    ops.append(copy)
                    kernels.append(choose(replace(graph, tensors=(*tensors,)), copy, board, saves))
                    inputs = {over: copy.output}
                trial = _twin(graph, op, f"trial{len(ops)}", inputs, tensors)
                ops.append(trial)
                kernels.append(kernel)
                copied = None if over is None else inputs[over]
                trials.append(Trial(trial, kernel, outputs_of(op)[0], copied))
    whole = replace(graph, tensors=tuple(tensors), ops=tuple(ops))
    plan = make_plan(whole, board, saves, kernels=kernels)
    return _apart(graph, whole, trials, plan, alignment or alignment_bytes(board))


def _candidates(graph: Graph, op: Op, board: Board, saves: Memory) -> Iterable[Kernel]:
    memories: tuple[Memory, ...] = (saves, "ram", "flash")
    return dict.fromkeys(k for one in memories for k in all_candidates(graph, op, board, one))


def _places(graph: Graph, op: Op, kernel: Kernel) -> Iterable[int]:
    """The inputs that the output may lie over."""
    if isinstance(op, ElementWise):
        size_bytes = graph.tensors[outputs_of(op)[0]].size_bytes
        same = [i for i in inputs_of(op) if graph.tensors[i].size_bytes == size_bytes]
        return dict.fromkeys(same)
    return () if kernel.lead_bytes is None else inputs_of(op)[:1]


def _copy(graph: Graph, index: int, name: str, tensors: list[Tensor]) -> Pad:
    """An operator that copies a tensor."""
    source = graph.tensors[index]
    tensors.append(replace(source, name=name))
    none = (0,) * (len(source.shape) - 1)
    return Pad(name, index, len(tensors) - 1, (0, *none), (0, *none), source.zero_point)


def _twin(graph: Graph, op: Op, name: str, inputs: Mapping[int, int], tensors: list[Tensor]) -> Op:
    """The same operator with an output of its own and with other inputs."""
    (output,) = outputs_of(op)
    tensors.append(replace(graph.tensors[output], name=name))
    fields = {field: len(tensors) - 1 for field in op.writes}
    for field in op.reads:
        fields[field] = inputs.get(getattr(op, field), getattr(op, field))
    return replace(op, name=name, **fields)


def _apart(
    graph: Graph, whole: Graph, trials: Sequence[Trial], plan: Plan, alignment: int
) -> Watched:
    """The plan with all buffers apart, but outputs that are to lie over their input."""
    places: dict[int, int] = {}
    canaries: list[range] = []
    end = 0

    def room(size_bytes: int) -> int:
        nonlocal end
        start = round_up(end + CANARY_BYTES, alignment)
        canaries.append(range(end, start))
        end = start + size_bytes
        return start

    by_output = {outputs_of(trial.op)[0]: trial for trial in trials}
    over = {trial.over: trial for trial in trials if trial.over is not None}
    views = {op.output: op.input for op in whole.ops if isinstance(op, Reshape)}
    for index in plan.tensors:
        if index in views:
            places[index] = places[views[index]]
        elif index in over:
            trial = over[index]
            (output,) = outputs_of(trial.op)
            lead = trial.kernel.lead_bytes or 0
            lead = 0 if lead == SAME_BYTE or isinstance(trial.op, ElementWise) else lead
            lead = round_up(lead, alignment)
            sizes = whole.tensors[output].size_bytes, lead + whole.tensors[index].size_bytes
            places[output] = room(max(sizes))
            places[index] = places[output] + lead
        elif index not in by_output or by_output[index].over is None:
            places[index] = room(whole.tensors[index].size_bytes)

    def apart(buffer: Buffer | None) -> Buffer | None:
        return buffer and replace(buffer, offset_bytes=room(buffer.size_bytes))

    steps = tuple(
        replace(step, scratch=apart(step.scratch), expanded=apart(step.expanded))
        for step in plan.steps
    )
    last = room(0)
    tensors = {i: replace(plan.tensors[i], offset_bytes=at) for i, at in places.items()}
    arena = round_up(last, alignment)
    placed = replace(plan, tensors=tensors, steps=steps, arena_bytes=arena)
    return Watched(graph, tuple(trials), placed, tuple(canaries))


def build_watched(
    watched: Watched, board: Board, folder: Path, others: Mapping[str, str] | None = None
) -> tuple[Image, list[str]]:
    """The image, and the names of the functions whose calls are watched.

    `others` are functions (name to assembly text, which defines `other_NAME`) in place of ours.
    """
    program = render(watched.plan, board)
    instances = [
        name.removeprefix("kernel_").removesuffix(".S")
        for name in program.files
        if name.startswith("kernel_")
    ]
    names = sorted({*tuned_functions(board), *instances})
    others = others or {}
    calls = [f"WRAP {name}, {'other' if name in others else '__real'}_{name}" for name in names]
    text = "\n".join(['#include "trampoline.S"', *calls, ".text", *others.values(), ""])
    original = builder._link

    def link(inputs: Sequence[Path], work: Path, target: Board) -> None:
        (work / "abi_calls.S").write_text(text, encoding="utf-8")
        sources = [work / "abi_calls.S", ABI / "check.c"]
        builder._compile(sources, work, target, [ABI], builder.WARNINGS)
        original([work / "abi_calls.o", work / "check.o", *inputs], work, target)

    with pytest.MonkeyPatch.context() as patch:
        wraps = tuple(f"-Wl,--wrap={name}" for name in names)
        patch.setattr(builder, "LINK_FLAGS", (*builder.LINK_FLAGS, *wraps))
        patch.setattr(builder, "_link", link)
        return builder.build(program, board, folder), names


def tuned_functions(board: Board) -> list[str]:
    """The functions of `firmware/tuned` for the board's core that other files can call."""
    members = {f"{path.stem}.o" for path in builder.TUNED.glob("*.[cS]")}
    found = subprocess.run(
        ["arm-none-eabi-nm", "--defined-only", "--extern-only", str(builder.kernel_archive(board))],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names: list[str] = []
    member = ""
    for line in found.splitlines():
        if line.endswith(":"):
            member = line.removesuffix(":")
        elif member in members and (match := re.match(r"[0-9a-f]+ T (\w+)", line)):
            names.append(match[1])
    return names


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """The arena after a run and what is wrong with it."""

    wrong: tuple[str, ...]
    functions: tuple[Function, ...]


def run_watched(
    target: Target, watched: Watched, image: Image, names: Sequence[str], inputs: Int8Array
) -> Run:
    """Run each of the inputs with two fillings of the arena."""
    graph, plan = watched.graph, watched.plan
    expected = expected_of(watched, inputs)
    wrong: list[str] = []
    target.load(image)
    layout = Layout.within(
        image.staging, 1, graph.input_tensor.size_bytes, graph.output_tensor.size_bytes
    )
    for number, sample in enumerate(inputs):
        for seed in (1, 2):
            # What lies in scratch memory and behind rows that are read beyond must not matter.
            before = np.random.default_rng(seed).integers(0, 256, plan.arena_bytes, np.uint8)
            target.write(image.arena_address, before.tobytes())
            target.write(layout.inputs.origin, sample.tobytes())
            target.write(layout.labels.origin, bytes(layout.labels.length_bytes))
            target.run(layout.request, TIMEOUT_S)
            after = np.frombuffer(target.read(image.arena_address, plan.arena_bytes), np.uint8)
            wrong += differences(watched, before, after, expected, number)
    return Run(tuple(wrong), _calls(target, image, names))


def expected_of(watched: Watched, inputs: Int8Array) -> dict[int, IntArray]:
    """The values of all tensors by the reference, those of trials included."""
    expected = reference.trace(watched.graph, inputs)
    for trial in watched.trials:
        expected[outputs_of(trial.op)[0]] = expected[trial.expected]
    return expected


def differences(
    watched: Watched,
    before: np.ndarray,
    after: np.ndarray,
    expected: Mapping[int, IntArray],
    number: int,
) -> Iterable[str]:
    """Outputs, inputs that were to stay, and canaries that are not as they should be."""
    plan = watched.plan
    kernels = {outputs_of(step.op)[0]: step.kernel for step in plan.steps}
    gone = {trial.over for trial in watched.trials}
    for index, buffer in plan.tensors.items():
        if index in gone:
            continue
        values = expected[index][number]
        got = after[buffer.offset_bytes :][: values.nbytes].view(values.dtype)
        if not np.array_equal(got, values.reshape(-1)):
            name = plan.graph.tensors[index].name
            yield f"{name} with {kernels.get(index, 'no kernel')}, input {number}"
    for canary in watched.canaries:
        part = slice(canary.start, canary.stop)
        if not np.array_equal(before[part], after[part]):
            yield f"canary at {canary.start}: {_neighbors(watched, canary)}"


def _neighbors(watched: Watched, canary: range) -> str:
    """The buffers at both sides of a canary."""
    plan = watched.plan
    places = [
        (b.offset_bytes, b.size_bytes, plan.graph.tensors[i].name) for i, b in plan.tensors.items()
    ]
    for step in plan.steps:
        if step.scratch:
            name = f"scratch of {step.op.name} with {step.kernel}"
            places.append((step.scratch.offset_bytes, step.scratch.size_bytes, name))
    near = [n for at, size, n in places if at == canary.stop or at + size == canary.start]
    return " and ".join(near)


def _calls(target: Target, image: Image, names: Sequence[str]) -> tuple[Function, ...]:
    with image.elf.open("rb") as stream:
        symbols = {
            symbol.name: int(symbol["st_value"])
            for table in ELFFile(stream).iter_sections()
            if isinstance(table, SymbolTableSection)
            for symbol in table.iter_symbols()
        }
    words = np.frombuffer(target.read(symbols["abi_functions"], 16 * len(names)), "<u4")
    return tuple(
        Function(
            name,
            int(calls),
            tuple(text for bit, text in FAULTS.items() if int(faults) & bit),
            int(stack_bytes),
        )
        for name, (_, calls, faults, stack_bytes) in zip(names, words.reshape(-1, 4), strict=True)
        if calls
    )
