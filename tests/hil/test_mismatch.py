"""A device that computes a wrong value is detected, and the layer is named."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from compress.integer import reference
from compress.ops import Conv2D, FullyConnected, outputs_of
from compress.tflite.exporter import export_tflite
from compress.tflite.oracle import installed
from compress.types import Graph, Samples
from helpers.graph_examples import residual
from helpers.graph_variants import with_weights
from helpers.oracles import needs_oracle
from hil.benchmark.samples import random_samples
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.errors import Mismatch
from hil.measure.measure import measure
from hil.measure.oracle_check import check_oracle
from hil.target.target import Target
from hil.types import Board, Image, Plan


@pytest.fixture(scope="module")
def graph() -> Graph:
    """The graph without its softmax, which saturates and would hide a single weight's effect."""
    whole = residual()
    return replace(whole, ops=whole.ops[:-1], outputs=outputs_of(whole.ops[-2]))


@pytest.fixture(scope="module")
def plan(graph: Graph, board: Board) -> Plan:
    return make_plan(graph, board)


@pytest.fixture(scope="module")
def right(plan: Plan, board: Board, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(render(plan, board), board, tmp_path_factory.mktemp("right"))


def telling_weight(graph: Graph, op: Conv2D | FullyConnected) -> int:
    """The index of a weight of `op` whose sign bit changes the network's output."""
    weights = graph.tensors[op.weights]
    for index in range(weights.elements):
        if tells(graph, op, index, 0x80):
            return index
    raise AssertionError(f"no weight of {op.name} matters")


def telling_byte(graph: Graph, op: Conv2D | FullyConnected) -> int:
    """The index of a byte of packed int4 weights whose highest bit changes the output.

    That bit is the sign of the second value of the byte: see hil/codegen/weight_storage.py.
    """
    weights = graph.tensors[op.weights]
    for index in range(weights.elements // 8 * 4):
        if tells(graph, op, 8 * (index // 4) + 4 + index % 4, 0xF8):
            return index
    raise AssertionError(f"no byte of {op.name} matters")


def tells(graph: Graph, op: Conv2D | FullyConnected, index: int, flip: int) -> bool:
    """True if flipping these bits of an int8 weight changes the network's output."""
    samples = samples_of(graph)
    tensors = list(graph.tensors)
    data = tensors[op.weights].data
    assert data is not None
    weights = data.copy()
    weights.reshape(-1).view(np.uint8)[index] ^= flip
    tensors[op.weights] = replace(tensors[op.weights], data=weights)
    outputs = reference.run(replace(graph, tensors=tuple(tensors)), samples.inputs)
    return not np.array_equal(outputs.reshape(samples.outputs.shape), samples.outputs)


def flipped(image: Image, layer: int, weight: int, folder: Path) -> Image:
    """The image with the sign bit of one weight of `layer` flipped in its ELF."""
    data = bytearray(image.elf.read_bytes())
    with image.elf.open("rb") as stream:
        elf = ELFFile(stream)
        symbol = elf.get_section_by_name(".symtab").get_symbol_by_name(f"layer{layer}_weights")[0]
        section = elf.get_section_by_name(".weights")
        data[section["sh_offset"] + symbol["st_value"] - section["sh_addr"] + weight] ^= 0x80
    path = folder / "flipped.elf"
    path.write_bytes(bytes(data))
    return replace(image, elf=path)


def samples_of(graph: Graph) -> Samples:
    return random_samples(graph, 12)


def test_the_right_program_passes(target: Target, right: Image, plan: Plan, graph: Graph) -> None:
    samples = samples_of(graph)
    measurement = measure(target, right, plan, samples)
    assert measurement.correct == measurement.total == 12


def test_one_flipped_weight_is_found_in_its_layer(
    target: Target, right: Image, plan: Plan, graph: Graph, tmp_path: Path
) -> None:
    weighted = [
        (step.index, step.op) for step in plan.steps if isinstance(step.op, Conv2D | FullyConnected)
    ]
    assert len(weighted) >= 2
    for layer, op in weighted:
        wrong = flipped(right, layer, telling_weight(graph, op), tmp_path)
        with pytest.raises(Mismatch) as caught:
            measure(target, wrong, plan, samples_of(graph))
        assert caught.value.layer == op.name
        assert caught.value.expected != caught.value.got
        assert op.name in str(caught.value)
    assert measure(target, right, plan, samples_of(graph)).total == 12  # the board still works


def test_one_flipped_bit_of_packed_weights_is_found_in_its_layer(
    target: Target, graph: Graph, board: Board, tmp_path: Path
) -> None:
    small = with_weights(graph, 4, 0.0, "int4")
    plan = make_plan(small, board)
    image = build(render(plan, board), board, tmp_path / "small")
    samples = samples_of(small)
    assert measure(target, image, plan, samples).total == 12
    for step in plan.steps:
        if isinstance(step.op, Conv2D | FullyConnected):
            wrong = flipped(image, step.index, telling_byte(small, step.op), tmp_path)
            with pytest.raises(Mismatch) as caught:
                measure(target, wrong, plan, samples)
            assert caught.value.layer == step.op.name


@needs_oracle
def test_an_oracle_that_disagrees_stops_the_run(graph: Graph) -> None:
    samples = samples_of(graph)
    check_oracle(export_tflite(graph), samples)
    wrong = samples.outputs.copy()
    wrong[2, 1] ^= 1
    told = (int(samples.outputs[2, 1]), int(wrong[2, 1]))
    with pytest.raises(Mismatch, match="sample 2, element 1: reference computed") as caught:
        check_oracle(export_tflite(graph), replace(samples, outputs=np.asarray(wrong)))
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        words = f"reference computed {told[1]}, {installed()[0].package} {told[0]}"
        assert str(error).endswith(words)
