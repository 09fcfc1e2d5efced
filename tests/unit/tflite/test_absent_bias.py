"""Operators that a file states without a bias: the reference, and what each oracle computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compress.integer import reference
from compress.ops import Weighted
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.read import read
from compress.tflite.write import write
from compress.types import Graph
from helpers.graph_builder import GraphBuilder, random_inputs
from helpers.oracles import assert_oracles_compute, needs_oracle

KINDS = ("conv", "depthwise", "fully_connected", "fully_connected_per_unit", "transpose_conv")
WITHOUT = ((), (-1,))


def weighted(kind: str, wide: bool) -> Graph:
    """A graph of one operator with weights, on int8 or int16, whose bias is zero."""
    b = GraphBuilder()
    x = b.input((6, 6, 3))
    x = b.widen(x) if wide else x
    match kind:
        case "conv":
            out = b.conv(x, 4)
        case "depthwise":
            out = b.depthwise(x)
        case "transpose_conv":
            out = b.transpose_conv(x, 4, (12, 12))
        case _:
            out = b.fully_connected(b.reshape(x, (108,)), 8, per_channel=kind.endswith("per_unit"))
    graph = b.finish(out, kind)
    for op in graph.ops:
        if isinstance(op, Weighted):
            graph.tensors[op.bias].data[:] = 0
    return graph


def without_bias(graph: Graph, absent: tuple[int, ...]) -> bytes:
    """The exported file whose operators with weights lack a bias, or state `absent` for it."""
    (bias,) = [op.bias for op in graph.ops if isinstance(op, Weighted)]
    file = read(export_tflite(graph))
    operators = [
        replace(operator, inputs=(*operator.inputs[:-1], *absent))
        if bias in operator.inputs
        else operator
        for operator in file.operators
    ]
    return write(replace(file, operators=tuple(operators)))


@needs_oracle
@pytest.mark.parametrize("wide", [False, True], ids=["int8", "int16"])
@pytest.mark.parametrize("absent", WITHOUT, ids=["left out", "-1"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_oracle_computes_what_the_reference_does_without_a_bias(
    kind: str, absent: tuple[int, ...], wide: bool
) -> None:
    graph = weighted(kind, wide)
    data = without_bias(graph, absent)
    inputs = random_inputs(graph, 64)
    back = import_tflite(data, kind)
    np.testing.assert_array_equal(reference.run(back, inputs), reference.run(graph, inputs))
    assert_oracles_compute(data, back, inputs)
