"""The layers and the arena of a measured network, planned again from its stored .tflite."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from compress.errors import HilError
from compress.integer.cost import weight_bits
from compress.ops import constants_of, outputs_of
from compress.tflite.importer import import_tflite
from compress.types import Graph
from hil.codegen.estimate import layer_bytes
from hil.codegen.fitting import arena_of, plan_again
from hil.networks.layer_counts import CountedLayer, read_counts
from hil.store.run_folder import network_path
from hil.types import Board, Buffer, Measurement, Memory, Plan, Step, Trial

BufferKind = Literal["tensor", "scratch", "expanded weights"]
_GAP = "\N{NO-BREAK SPACE}"  # between a kernel and its cost
_KEPT = 8  # networks whose plans are kept: a live page asks for the same ones again and again


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """One operator of a plan.

    `shape` is that of its output without the batch, `bits` those of its weights (0 without any).
    `kernel_cost` is the layer's with its kernel and `scratch_bytes`, "" if that was not timed.
    `beaten` are the kernels that this one was preferred to, best first, with their costs where
    these were timed. `weight_bytes` is what is stored for it, `live_bytes` what of the arena is in
    use while it runs. `count` is what the board counted in one inference, None for a network that
    was not counted layer by layer.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    kernel: str
    scratch_bytes: int
    kernel_cost: str
    beaten: tuple[str, ...]
    macs: int
    bits: int
    weight_bytes: int
    live_bytes: int
    by_rows: bool
    count: int | None


@dataclass(frozen=True, slots=True)
class Placed:
    """A buffer of the arena: its bytes, and the layers (first..last) during which it is alive."""

    name: str
    kind: BufferKind
    offset_bytes: int
    size_bytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class PlannedNetwork:
    """A network's layers in their order, its buffers, and the size of its arena.

    `measured_arena_bytes` is the size that the measured image had: another version of this
    program may have planned otherwise.
    """

    number: int
    layers: tuple[PlannedLayer, ...]
    buffers: tuple[Placed, ...]
    arena_bytes: int
    measured_arena_bytes: int

    @property
    def is_as_measured(self) -> bool:
        return self.arena_bytes == self.measured_arena_bytes

    def live_at(self, index: int) -> tuple[Placed, ...]:
        """The buffers that are alive while layer `index` runs."""
        return tuple(one for one in self.buffers if one.first <= index <= one.last)


def planned_network(folder: Path, trial: Trial | None, board: Board) -> PlannedNetwork | str:
    """The plan of a measured trial's network, made again; or the reason why there is none."""
    if trial is None or trial.measurement is None:
        return "no network was measured"
    path = network_path(folder, trial.number)
    if not path.is_file():
        return f"the network of trial {trial.number} is not stored here: it came from a table"
    try:
        layers, buffers, arena_bytes = _planned(
            path, trial.provenance.saves, arena_of(trial), board
        )
    except HilError as error:
        return f"the network of trial {trial.number} cannot be planned again: {error}"
    return PlannedNetwork(
        number=trial.number,
        layers=_with_counts(layers, trial.number, folder, trial.measurement),
        buffers=buffers,
        arena_bytes=arena_bytes,
        measured_arena_bytes=trial.measurement.ram.parts.get("arena", 0),
    )


def network_to_json(found: PlannedNetwork) -> dict[str, Any]:
    """What the page draws of it."""
    return {
        "number": found.number,
        "arena": found.arena_bytes,
        "layers": [layer.name for layer in found.layers],
        "buffers": [asdict(one) for one in found.buffers],
    }


@lru_cache(maxsize=_KEPT)
def _planned(
    path: Path, saves: Memory, arena_bytes: int | None, board: Board
) -> tuple[tuple[PlannedLayer, ...], tuple[Placed, ...], int]:
    """The layers, the buffers and the arena's size. A trial's network never changes."""
    graph = import_tflite(path.read_bytes(), path.stem)
    plan = plan_again(graph, board, saves, arena_bytes)
    sizes = layer_bytes(plan)
    layers = tuple(
        _layer(plan, step, weights, live)
        for step, (weights, live) in zip(plan.steps, sizes, strict=True)
    )
    return layers, _buffers(plan), plan.arena_bytes


def _layer(plan: Plan, step: Step, weight_bytes: int, live_bytes: int) -> PlannedLayer:
    graph, op = plan.graph, step.op
    return PlannedLayer(
        name=op.name,
        op=type(op).__name__,
        shape=graph.tensors[outputs_of(op)[0]].shape[1:],
        kernel=step.kernel,
        scratch_bytes=0 if step.scratch is None else step.scratch.size_bytes,
        kernel_cost="",
        beaten=_beaten(step.choice),
        macs=step.macs,
        bits=_bits(graph, step),
        weight_bytes=weight_bytes,
        live_bytes=live_bytes,
        by_rows=plan.segment_of(step.index) is not None,
        count=None,
    )


def _with_counts(
    layers: tuple[PlannedLayer, ...], number: int, folder: Path, measurement: Measurement
) -> tuple[PlannedLayer, ...]:
    """The layers with what the board counted: for the page, or else during the search."""
    counts = {layer.name: layer.count for layer in measurement.layers}
    timed = {layer.name: layer for layer in read_counts(folder).get(number, ())}
    return tuple(
        _timed(layer, timed[layer.name])
        if layer.name in timed
        else replace(layer, count=counts.get(layer.name))
        for layer in layers
    )


def _timed(layer: PlannedLayer, counted: CountedLayer) -> PlannedLayer:
    """The layer with its count and costs; of a kernel that it beat, those of the best form."""
    own, costs = "", dict[str, int]()
    for one in counted.kernels:
        if (one.kernel, one.scratch_bytes) == (layer.kernel, layer.scratch_bytes):
            own = f"{one.cost:,}"
        costs[one.kernel] = min(one.cost, costs.get(one.kernel, one.cost))
    names = dict.fromkeys(text.split(" ")[0] for text in layer.beaten)
    return replace(
        layer,
        count=counted.count,
        kernel_cost=own,
        beaten=tuple(
            f"{name}{_GAP}{costs[name]:,}" if name in costs else name
            for name in names
            if name != layer.kernel
        ),
    )


def _beaten(choice: str) -> tuple[str, ...]:
    """The kernels of `Step.choice`, each once: some have several forms of one name."""
    others = choice.partition(" before ")[2]
    return tuple(dict.fromkeys(others.split(", "))) if others else ()


def _bits(graph: Graph, step: Step) -> int:
    """Bits of the weights of a layer that multiplies by constants; 0 of another."""
    if not step.macs:
        return 0
    constants = [graph.tensors[index] for index in constants_of(step.op)]
    weights = [one for one in constants if one.data is not None and one.dtype in ("int8", "int4")]
    return weight_bits(weights[0]) if weights else 0


def _buffers(plan: Plan) -> tuple[Placed, ...]:
    tensors = {id(buffer): buffer for buffer in plan.tensors.values()}.values()
    scratch = (step.scratch for step in plan.steps)
    expanded = (step.expanded for step in plan.steps)
    found = [
        *(_placed(buffer, "tensor") for buffer in tensors),
        *(_placed(buffer, "scratch") for buffer in scratch if buffer is not None),
        *(_placed(buffer, "expanded weights") for buffer in expanded if buffer is not None),
    ]
    return tuple(sorted(found, key=lambda one: (one.first, one.offset_bytes)))


def _placed(buffer: Buffer, kind: BufferKind) -> Placed:
    return Placed(
        name=buffer.name,
        kind=kind,
        offset_bytes=buffer.offset_bytes,
        size_bytes=buffer.size_bytes,
        first=buffer.first_op,
        last=buffer.last_op,
    )
