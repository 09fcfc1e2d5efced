"""Layers of a run's networks counted on the board, and the kernels that could run them timed there.

A search counts whole networks. This is done afterwards, for the two networks that the page shows
beside each other, and kept in the run's folder as layers.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from compress.errors import OverBudget, UserError
from compress.scratch import scratch_folder
from compress.tflite.importer import import_tflite
from compress.types import Graph, Samples
from hil.benchmark.samples import random_samples, sample_count
from hil.board import without_limits
from hil.codegen.build import build
from hil.codegen.fitting import plan_of_trial
from hil.codegen.plan import KernelChoice, KernelCosts
from hil.codegen.render import render
from hil.files import write_file
from hil.measure.kernel_costs import time_kernels
from hil.measure.measure import BoardRunner
from hil.measure.profile import measure_layers
from hil.store.run_folder import network_path
from hil.target.open import check_reachable, open_target
from hil.types import Board, LayerCount, Trial


@dataclass(frozen=True, slots=True)
class KernelTime:
    """What a layer costs with one kernel: cycles, or instructions where cycles are not modeled."""

    kernel: str
    scratch_bytes: int
    cost: int


@dataclass(frozen=True, slots=True)
class CountedLayer:
    """A layer's count in one inference, None if that build did not fit, and its kernels' costs."""

    name: str
    count: int | None
    kernels: tuple[KernelTime, ...] = ()


def count_layers(folder: Path, trials: tuple[Trial, ...], board: Board) -> None:
    """Count the layers of these trials' networks and time their kernels; write layers.json.

    The inputs are random ones. Networks that are not in the folder are left out. Raises UserError,
    BenchError and Mismatch as a measurement does.
    """
    check_reachable(board)
    counted = dict(read_counts(folder))
    with BoardRunner(board, open_target) as runner:
        for trial in trials:
            path = network_path(folder, trial.number)
            if path.is_file():
                graph = import_tflite(path.read_bytes(), path.stem)
                counted[trial.number] = _counted(graph, board, runner, trial)
    content = {str(number): [asdict(one) for one in layers] for number, layers in counted.items()}
    write_file(_path(folder), json.dumps(content, indent=1).encode())


def read_counts(folder: Path) -> Mapping[int, tuple[CountedLayer, ...]]:
    """The counted layers by number of trial; empty if none were counted.

    Raises UserError for a damaged file.
    """
    path = _path(folder)
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {
            int(number): tuple(
                CountedLayer(
                    str(one["name"]),
                    None if one["count"] is None else int(one["count"]),
                    tuple(KernelTime(**kernel) for kernel in one["kernels"]),
                )
                for one in layers
            )
            for number, layers in found.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged: delete it; hil report --layers writes it again"
        ) from error


def _path(folder: Path) -> Path:
    return folder / "layers.json"


def _counted(
    graph: Graph, board: Board, runner: BoardRunner, trial: Trial
) -> tuple[CountedLayer, ...]:
    samples = random_samples(graph, sample_count(graph, None))
    choice = KernelChoice(trial.provenance.saves)
    costs = time_kernels(graph, board, runner, samples, choice)
    counts = {one.name: one.count for one in _layers(graph, board, runner, samples, trial)}
    return tuple(
        CountedLayer(op.name, counts.get(op.name), _times(costs, index))
        for index, op in enumerate(graph.ops)
    )


def _layers(
    graph: Graph, board: Board, runner: BoardRunner, samples: Samples, trial: Trial
) -> tuple[LayerCount, ...]:
    """The layers with the kernels of the measured image; none if the larger build does not fit."""
    plan = plan_of_trial(graph, board, trial)
    with scratch_folder() as folder:
        try:
            image = build(render(plan, board, profile=True), without_limits(board), folder)
        except OverBudget:
            return ()
        return runner.run(lambda target: measure_layers(target, image, plan, samples))


def _times(costs: KernelCosts, index: int) -> tuple[KernelTime, ...]:
    return tuple(
        KernelTime(kernel.name, kernel.scratch_bytes, cost)
        for (layer, kernel), cost in costs.of.items()
        if layer == index
    )
