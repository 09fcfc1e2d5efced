"""The cost of every candidate kernel of a network's layers, timed on the target, kept by shape.

All candidates of one rank run together in one profile build, so that a network takes as many builds
as its layer with most candidates. Costs depend on shapes, types, the form of stored weights and the
target, hardly on values: they are kept in the cache, and a layer of a known shape is not timed
again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compress.cache import cache_folder, content_hash
from compress.errors import OverBudget
from compress.files import write_atomically
from compress.integer import reference
from compress.ops import Op, Weighted, constants_of, inputs_of, outputs_of
from compress.scratch import scratch_folder
from compress.types import Graph, Samples
from hil.board import without_limits
from hil.codegen.build import build, compiler_version, kernel_sources
from hil.codegen.plan import KernelChoice, KernelCosts, make_plan
from hil.codegen.render import render
from hil.codegen.row_layers import rows_graph
from hil.codegen.row_segments import row_kernels
from hil.cycle_model import MODELED_CORES
from hil.files import file_errors
from hil.kernel_interface.operator_kernels import Kernel
from hil.kernels.choice import all_candidates
from hil.kernels.weight_storage import stored_weights
from hil.measure.effort import Tick, no_tick
from hil.measure.measure import BoardRunner
from hil.measure.profile import measure_layers
from hil.types import Board


@dataclass(frozen=True, slots=True)
class _Timed:
    """A candidate of a layer, and where its cost is kept."""

    index: int
    kernel: Kernel
    file: Path


def time_kernels(
    graph: Graph,
    board: Board,
    runner: BoardRunner,
    samples: Samples,
    choice: KernelChoice,
    tick: Tick = no_tick,
) -> KernelCosts:
    """Cycles (instructions where cycles are not modeled) of the candidates, by layer and kernel.

    Layers with one candidate are not in it. Wait states are included where they are modeled. A
    build that does not fit the board's memories times nothing. Where RAM is saved, one row of each
    layer that may be computed row by row is timed, too. `tick` gets the share done. Raises Mismatch
    and BenchError as `measure_layers`.
    """
    options = [
        all_candidates(graph, op, board, choice.saves, choice.kernel_set) for op in graph.ops
    ]
    cycles = board.core in MODELED_CORES or board.counter != "insn"
    unit = "cycles" if cycles else "instructions"
    if choice.saves != "ram":
        return KernelCosts(_costs(graph, board, runner, samples, options, tick), unit)
    costs = _costs(graph, board, runner, samples, options, lambda share: tick(share / 2))
    rows = _row_costs(graph, board, runner, choice, lambda share: tick((1 + share) / 2))
    return KernelCosts(costs, unit, rows)


def _row_costs(
    graph: Graph, board: Board, runner: BoardRunner, choice: KernelChoice, tick: Tick
) -> dict[tuple[int, Kernel], int]:
    """The cost of one row, by layer and kernel."""
    rows = row_kernels(graph, board, choice.saves, choice.kernel_set)
    layers = [layer for layer in rows.layers.values() if not layer.sums]
    if not layers:
        return {}
    apart = rows_graph(graph, layers)
    rng = np.random.default_rng(0)
    size_bytes = sum(tensor.size_bytes for tensor in apart.input_tensors)
    inputs = rng.integers(-128, 128, (1, size_bytes)).astype(np.int8)
    outputs = reference.run(apart, inputs).reshape(1, -1)
    samples = Samples(inputs, outputs.argmax(1), outputs)
    options = [rows.kernels[layer.index] for layer in layers]
    costs = _costs(apart, board, runner, samples, options, tick)
    return {(layers[at].index, kernel): cost for (at, kernel), cost in costs.items()}


def _costs(
    graph: Graph,
    board: Board,
    runner: BoardRunner,
    samples: Samples,
    options: Sequence[Sequence[Kernel]],
    tick: Tick,
) -> dict[tuple[int, Kernel], int]:
    """The costs of layers that have several candidates, timed where they are not known yet."""
    common = _common_key(board, runner.models_waits)
    timed = [
        _Timed(
            index, kernel, cache_folder() / "kernel-costs" / f"{_key(graph, op, kernel, common)}"
        )
        for index, op in enumerate(graph.ops)
        for kernel in options[index]
        if len(options[index]) > 1
    ]
    missing = {(one.index, one.kernel) for one in timed if not one.file.is_file()}
    ranks = range(max(map(len, options), default=0))
    builds = [[known[min(rank, len(known) - 1)] for known in options] for rank in ranks]
    builds = [kernels for kernels in builds if missing & set(enumerate(kernels))]
    for number, kernels in enumerate(builds):
        tick(number / len(builds))
        counts = _counts(graph, board, runner, samples, kernels)
        for one in timed:
            if counts and kernels[one.index] == one.kernel:
                _keep(one.file, counts[one.index])
    known = {(one.index, one.kernel): _kept(one.file) for one in timed}
    return {key: cost for key, cost in known.items() if cost is not None}


def _counts(
    graph: Graph, board: Board, runner: BoardRunner, samples: Samples, kernels: Sequence[Kernel]
) -> tuple[int, ...]:
    """The cost of each layer with these kernels; none if the build does not fit."""
    plan = make_plan(graph, board, kernels=kernels)
    waits = runner.models_waits
    with scratch_folder() as folder:
        try:
            image = build(render(plan, board, profile=True), without_limits(board), folder)
        except OverBudget:
            return ()
        # With wait states, the second inference has warm caches.
        layers = runner.run(
            lambda target: measure_layers(target, image, plan, samples, 1 + waits), waits
        )
    return tuple(
        layer.count if layer.model_cycles is None else layer.model_cycles for layer in layers
    )


def _common_key(board: Board, waits: bool) -> str:
    """What costs depend on beside a layer and its kernel."""
    parts = (
        board.core,
        board.machine,
        board.counter,
        board.memory.key if waits else "",
        *board.compiler_flags,
        compiler_version(),
    )
    return content_hash(parts, kernel_sources())


def _key(graph: Graph, op: Op, kernel: Kernel, common: str) -> str:
    """Of a layer and its kernel: settings, shapes and types of tensors, the form of weights."""
    tensors = (*inputs_of(op), *constants_of(op), *outputs_of(op))
    settings = {
        name: value
        for name, value in asdict(op).items()
        if name not in ("name", *op.reads, *op.constants, *op.writes)
    }
    shapes = [(graph.tensors[i].shape, graph.tensors[i].dtype) for i in tensors]
    stored = stored_weights(graph, op) if isinstance(op, Weighted) else None
    form = "" if stored is None else f"{stored.form.text} in {stored.size_bytes} bytes"
    texts = (type(op).__name__, repr(sorted(settings.items())), repr(shapes), repr(kernel), form)
    return content_hash((*texts, common))


def _keep(file: Path, cost: int) -> None:
    with file_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps({"cost": cost}).encode(), sync=False)


def _kept(file: Path) -> int | None:
    """The kept cost; None if there is none."""
    try:
        kept: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept["cost"] if isinstance(kept, dict) and isinstance(kept.get("cost"), int) else None
