"""Validity of int16 activations in the integer graph: accepted operators, and refusals by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from compress.errors import UnsupportedLayer, UserError
from compress.integer import reference
from compress.integer.check import check_graph
from compress.ops import Function
from compress.types import Graph, Tensor
from helpers.graph_builder import RELU, RELU_N1_TO_1, GraphBuilder
from helpers.graph_examples import mixed


def on_int16(make: Callable[[GraphBuilder, int], int], channels: int = 4) -> Graph:
    """A graph of what `make` appends to an int16 tensor (1, 6, 5, channels), then int8 again."""
    b = GraphBuilder()
    return b.finish(b.narrow(make(b, b.widen(b.input((6, 5, channels))))))


def changed(graph: Graph, index: int, **changes: object) -> Graph:
    tensors = list(graph.tensors)
    tensors[index] = replace(tensors[index], **changes)
    return replace(graph, tensors=tuple(tensors))


def test_every_operator_on_int16_passes() -> None:
    graph = mixed()
    check_graph(graph)
    assert {t.dtype for t in graph.tensors} == {"int4", "int8", "int16", "int32"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda b, x: b.softmax(x), "softmax_1: there is no softmax of int16 to int8"),
        (
            lambda b, x: b.softmax(b.requantize(x, 5.1), "int16"),
            r"softmax_2: input scale 5\.1, must be below 5\.00",
        ),
        (
            lambda b, x: b.max_pool(b.softmax(b.narrow(x), "int16"), (2, 2)),
            "max_pool_3: softmax_2 is int16 with zero point -32768, must be 0",
        ),
        (
            lambda b, x: b.requantize(b.softmax(b.narrow(x), "int16")),
            "requantize_3: softmax_2 is int16 with zero point -32768, must be 0",
        ),
        (lambda b, x: b.lookup(x, Function.ABS), "abs_1: there is no ABS on int16"),
        (lambda b, x: b.lookup(x, Function.HARD_SWISH), "no HARD_SWISH on int16"),
        (lambda b, x: b.add(x, 0), "add_1: Add of int16 and int8"),
        (lambda b, x: b.mul(x, 0), "mul_1: Mul of int16 and int8"),
        (lambda b, x: b.add(x, b.constant((4,))), "constant_1_2 must be int16"),
        (
            lambda b, x: b.add(x, b.constant((4,), 0.05, 3, "int16")),
            "constant_1_2 is int16 with a zero point",
        ),
        (
            lambda b, x: b.requantize(x, activation=RELU_N1_TO_1),
            "requantize_1: there is no RELU_N1_TO_1 of int16 to int16",
        ),
        (
            lambda b, x: b.requantize(x, activation=RELU, dtype="int8"),
            "requantize_1: there is no RELU of int16 to int8",
        ),
        (
            lambda b, x: b.requantize(x, b.tensors[x].scale / 2**15),
            "requantize_1: the ratio 32768 of scales leaves int32",
        ),
        (lambda b, x: b.conv(x, 3, gain=1e-5), "conv_1: shift .* is above 7"),
        (
            lambda b, x: b.add(x, x, gain=2.0**-16),
            "add_1: output scale",
        ),
    ],
)
def test_what_is_not_on_int16_is_named(
    make: Callable[[GraphBuilder, int], int], message: str
) -> None:
    with pytest.raises(UnsupportedLayer, match=message):
        check_graph(on_int16(make))


def test_input_and_output_may_be_int16() -> None:
    b = GraphBuilder()
    graph = b.finish(b.widen(b.input((4,))))
    check_graph(graph)
    inputs = np.array([[1, -2, 3, -4]], np.int8)
    outputs = reference.run(graph, inputs)
    assert outputs.shape == (1, 8)
    np.testing.assert_array_equal(outputs.view("<i2"), reference.trace(graph, inputs)[graph.output])


def test_int16_is_symmetric() -> None:
    graph = on_int16(lambda b, x: b.conv(x, 3))
    for op in graph.ops[:2]:
        with pytest.raises(UnsupportedLayer, match="int16 with zero point 1, must be 0"):
            check_graph(changed(graph, op.output, zero_point=1))


def test_softmax_to_int16_has_the_grid_that_is_prescribed() -> None:
    b = GraphBuilder()
    x = b.input((6,))
    graph = b.finish(b.softmax(x, "int16"))
    check_graph(graph)
    check_graph(changed(graph, 1, scales=(1 / 65535,)))  # as converters write it
    for changes in ({"zero_point": 0}, {"scales": (1 / 32768,)}):
        with pytest.raises(UnsupportedLayer, match="must have scale 1/65536, zero point -32768"):
            check_graph(changed(graph, 1, **changes))
    wide = replace(graph.tensors[0], dtype="int16", zero_point=0)
    shares = replace(graph.tensors[1], scales=(1 / 32768,), zero_point=0)
    both = replace(graph, tensors=(wide, shares))
    check_graph(both)
    with pytest.raises(UnsupportedLayer, match="softmax_0: int16 with zero point 3, must be 0"):
        check_graph(changed(both, 0, zero_point=3))


def test_a_zero_point_is_one_of_its_type() -> None:
    b = GraphBuilder()
    graph = b.finish(b.reshape(b.input((6,)), (2, 3)))
    for changes in ({"zero_point": 128}, {"dtype": "int16", "zero_point": -32769}):
        with pytest.raises(UserError, match="zero point"):
            check_graph(changed(graph, 0, **changes))


def test_a_pool_that_could_leave_int32_is_refused() -> None:
    def pooled(columns: int) -> Graph:
        b = GraphBuilder()
        x = b.widen(b.input((256, 256, 1)))
        return b.finish(b.narrow(b.average_pool(x, (256, columns))))

    check_graph(pooled(255))
    with pytest.raises(UnsupportedLayer, match="average_pool_1: a pool on int16 beyond 65535"):
        check_graph(pooled(256))


def test_a_scaled_accumulator_beyond_int32_is_refused() -> None:
    # 16 bits and 127 weights of 127, times 2**7: no clamp could mend what int32 cut off.
    b = GraphBuilder()
    x = b.widen(b.input((127,), scale=1.0))
    y = b.fully_connected(x, 1)
    graph = b.finish(b.narrow(y))
    weights = graph.tensors[graph.ops[1].weights]
    weights.data[:] = 127
    ratio = b.tensors[x].scale * weights.scale
    check_graph(changed(graph, y, scales=(float(np.float32(ratio)),)))
    with pytest.raises(UnsupportedLayer, match="dense_1: scaled accumulators may reach"):
        check_graph(changed(graph, y, scales=(float(np.float32(ratio / 64)),)))


def test_int4_is_for_weights_only() -> None:
    b = GraphBuilder()
    graph = b.finish(b.requantize(b.input((4,))))
    with pytest.raises(UnsupportedLayer, match="must be int8 or int16, not int4"):
        check_graph(changed(graph, 0, dtype="int4"))
    assert Tensor("odd", (3, 3), "int4", (1.0,)).size_bytes == 5
