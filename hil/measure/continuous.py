"""Continuous inference on a board, while its power is read by a person or recorded."""

from __future__ import annotations

import time

import numpy as np

from compress.errors import OverBudget
from compress.ops import Activation, Conv2D, Op, Padding
from compress.scratch import scratch_folder
from compress.types import Graph, Tensor
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.energy.power_monitor import PowerMonitor
from hil.energy.trace_csv import Trace
from hil.measure.measure import BoardRunner
from hil.target.open import open_target
from hil.target.target import Layout, Target, staging_capacity
from hil.types import Board, Image

_SIZE, _CHANNELS, _LAYERS = 8, 16, 3
_RUN_TIMEOUT_S = 60.0


def loop_graph() -> Graph:
    """Three 3 x 3 convolutions, 16 channels on 8 x 8: 442,368 MACs on 1 KiB of input.

    It fits every board, and computes so long on so little input that the board waits for requests
    only a few percent of the time.
    """
    rng = np.random.default_rng(0)
    shape = (1, _SIZE, _SIZE, _CHANNELS)
    tensors = [Tensor("input", shape, "int8", (0.05,))]
    ops: list[Op] = []
    for layer in range(_LAYERS):
        weights = rng.integers(-127, 128, (_CHANNELS, 3, 3, _CHANNELS), dtype=np.int8)
        scales = (0.002,) * _CHANNELS
        bias = np.zeros(_CHANNELS, np.int32)
        source = len(tensors) - 1
        tensors += [
            Tensor(f"weights{layer}", weights.shape, "int8", scales, axis=0, data=weights),
            Tensor(f"bias{layer}", bias.shape, "int32", (1e-4,) * _CHANNELS, axis=0, data=bias),
            Tensor(f"conv{layer}", shape, "int8", (0.05,)),
        ]
        ops.append(
            Conv2D(
                f"conv{layer}",
                input=source,
                weights=source + 1,
                bias=source + 2,
                output=source + 3,
                padding=Padding(1, 1, 1, 1),
                activation=Activation.RELU,
            )
        )
    return Graph("loop", tuple(tensors), tuple(ops), (0,), (len(tensors) - 1,))


def loop_inferences(graph: Graph, board: Board, seconds: float) -> int:
    """Run `graph` on `board` for `seconds`; returns the number of inferences.

    Raises the errors of building and running.
    """
    with scratch_folder() as folder:
        image = build(render(make_plan(graph, board), board), board, folder)
        with BoardRunner(board, open_target) as runner:

            def job(target: Target) -> int:
                layout = _prepared(target, image, graph)
                return layout.samples * _run_for(target, layout, seconds)

            return runner.run(job)


def record_inferences(
    graph: Graph, board: Board, seconds: float, monitor: PowerMonitor
) -> tuple[Trace, int]:
    """Record the power while `board` runs `graph` for `seconds`.

    Returns the trace, and the number of inferences of a run, between which the board waits for a
    request: those of the samples, and the one before them that warms caches. Raises the errors of
    building, running and recording.
    """
    with scratch_folder() as folder:
        image = build(render(make_plan(graph, board), board), board, folder)
        with BoardRunner(board, open_target) as runner:

            def job(target: Target) -> tuple[Trace, int]:
                layout = _prepared(target, image, graph)
                monitor.start()
                _run_for(target, layout, seconds)
                return monitor.stop(), layout.samples + 1

            return runner.run(job)


def _prepared(target: Target, image: Image, graph: Graph) -> Layout:
    """Load the image and write as many random samples as there is room for, up to 1,000."""
    sizes = [sum(t.size_bytes for t in ts) for ts in (graph.input_tensors, graph.output_tensors)]
    samples = min(staging_capacity(image.staging, *sizes), 1000)
    if samples == 0:
        raise OverBudget(f"no room for one sample in {image.staging.length_bytes} bytes of staging")
    target.load(image)
    layout = Layout.within(image.staging, samples, *sizes)
    inputs = np.random.default_rng(1).bytes(layout.inputs.length_bytes)
    target.write(layout.inputs.origin, inputs)
    target.write(layout.labels.origin, bytes(layout.labels.length_bytes))
    return layout


def _run_for(target: Target, layout: Layout, seconds: float) -> int:
    """Run all samples again and again; returns how often."""
    done, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        target.run(layout.request, _RUN_TIMEOUT_S)
        done += 1
    return done
