"""Plans run on a target and compared with the reference, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compress.integer import reference
from compress.types import Array, Graph
from hil.codegen.build import build
from hil.codegen.render import render
from hil.target.target import Layout, Target
from hil.types import Image, Plan

TIMEOUT_S = 30.0


def staged(target: Target, image: Image, graph: Graph, inputs: Array) -> Layout:
    """Load the image and write the inputs."""
    target.load(image)
    sizes = graph.input_tensor.size_bytes, graph.output_tensor.size_bytes
    layout = Layout.within(image.staging, len(inputs), *sizes)
    target.write(layout.inputs.origin, inputs.tobytes())
    target.write(layout.labels.origin, bytes(layout.labels.length_bytes))
    return layout


def assert_outputs_equal(target: Target, plan: Plan, folder: Path, inputs: Array) -> None:
    """The network's int8 outputs for all inputs."""
    graph = plan.graph
    image = build(render(plan, target.board), target.board, folder)
    layout = staged(target, image, graph, inputs)
    target.run(layout.request, TIMEOUT_S)
    outputs = target.read(layout.outputs.origin, layout.outputs.length_bytes)
    expected = reference.run(graph, inputs)
    got = np.frombuffer(outputs, np.int8).reshape(expected.shape)
    np.testing.assert_array_equal(got, expected)


def assert_layers_equal(
    target: Target, plan: Plan, folder: Path, inputs: Array
) -> dict[int, Array]:
    """The output of every layer where it ends, for each of `inputs`; returns those of the last."""
    graph = plan.graph
    image = build(render(plan, target.board), target.board, folder)
    assert len(image.layer_ends) == len(graph.ops)
    expected: dict[int, Array] = {}
    for sample in inputs:
        expected = reference.trace(graph, sample[None])
        layout = staged(target, image, graph, sample[None])
        for step, end in zip(plan.steps, image.layer_ends, strict=True):
            target.run_until(layout.request, end, TIMEOUT_S)
            address = image.arena_address + plan.tensors[step.op.output].offset_bytes
            values = expected[step.op.output].reshape(-1)
            got = np.frombuffer(target.read(address, values.nbytes), values.dtype)
            target.resume(TIMEOUT_S)
            np.testing.assert_array_equal(got, values, f"{step.op.name} with {step.kernel}")
    return expected
