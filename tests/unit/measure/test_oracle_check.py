"""The comparison with the oracles, with each of them present and absent."""

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from compress.errors import UserError
from compress.integer import reference
from compress.ops import Activation, Function, Padding
from compress.tflite import oracle
from compress.tflite.exporter import export_tflite
from compress.tflite.oracle import MICRO, ORACLES, RUNTIME, Oracle, installed
from compress.tflite_records.file import File, FileTensor, TensorType
from compress.types import Graph, Int8Array, IntArray, Samples
from helpers.graph_builder import GraphBuilder
from helpers.graph_examples import ds_cnn, residual, squeeze_excite
from helpers.graph_variants import with_edges
from hil.benchmark.samples import random_samples
from hil.errors import Mismatch
from hil.measure import oracle_check
from hil.measure.oracle_check import check_oracle
from hil.types import NO_ORACLE

EVERY = np.arange(-128, 128).astype(np.int8)[np.newaxis]
each_oracle = pytest.mark.parametrize(
    "judge",
    [
        pytest.param(
            one, id=one.package, marks=pytest.mark.skipif(not one.installed, reason="not installed")
        )
        for one in ORACLES
    ],
)
needs_micro = pytest.mark.skipif(not MICRO.installed, reason="tflite-micro is not installed")


def only(judge: Oracle | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the packages of the other oracles, or of all."""
    for one in ORACLES:
        if one is not judge:
            monkeypatch.setitem(sys.modules, one.module, None)  # as if it were not there


@each_oracle
@pytest.mark.parametrize("example", [residual, squeeze_excite, ds_cnn])
def test_each_oracle_alone_judges(
    judge: Oracle, example: Callable[[], Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    only(judge, monkeypatch)
    graph = example()
    judged = check_oracle(export_tflite(graph), random_samples(graph, 18))
    assert judged.oracles == (judge.name,)
    assert judged.text == judge.name
    assert judge.name.startswith(f"{judge.package} ")
    assert judged.remarks == ()


def test_without_any_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    only(None, monkeypatch)
    assert installed() == ()
    graph = residual()
    judged = check_oracle(export_tflite(graph), random_samples(graph, 2))
    assert judged.oracles == ()
    assert judged.text == NO_ORACLE
    assert judged.remarks == ("neither tflite-micro nor tflite-runtime is installed",)


@needs_micro
def test_a_difference_names_its_layer_even_if_the_output_hides_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = residual()
    samples = random_samples(graph, 20)
    wrong = graph.ops[2]

    def faulty(graph: Graph, inputs: Int8Array) -> dict[int, IntArray]:
        values = right(graph, inputs)
        values[wrong.output].reshape(len(inputs), -1)[1, 5] ^= 1
        return values

    right = reference.trace
    monkeypatch.setattr(oracle_check.reference, "trace", faulty)
    with pytest.raises(Mismatch) as caught:
        check_oracle(export_tflite(graph), samples)
    error = caught.value
    assert (error.layer, error.sample, error.index) == (wrong.name, 1, 5)
    assert error.got == error.expected ^ 1
    assert error.who == (MICRO.package, "reference")


@each_oracle
def test_every_block_of_samples_is_compared(judge: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    only(judge, monkeypatch)
    graph = residual()
    samples = random_samples(graph, 40)
    samples.outputs[37, 2] ^= 1
    with pytest.raises(Mismatch) as caught:
        check_oracle(export_tflite(graph), samples)
    assert (caught.value.layer, caught.value.sample, caught.value.index) == ("output", 37, 2)


@each_oracle
def test_what_has_no_counterpart_is_left_out(
    judge: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The importer fuses the PAD of an explicitly padded convolution, and drops float edges."""
    only(judge, monkeypatch)
    b = GraphBuilder()
    x = b.conv(b.input((6, 6, 2)), 3, (3, 3), padding=Padding(2, 0, 2, 0))
    graph = b.finish(x)
    for file in (export_tflite(graph), with_edges(graph, TensorType.FLOAT32)):
        assert check_oracle(file, random_samples(graph, 3)).oracles == (judge.name,)


def micro_refusal(graph: Graph) -> str:
    """Why tflite-micro does not judge `graph`, "" if it does and computes what the reference does.

    Any other difference fails.
    """
    try:
        found = MICRO.interpret(export_tflite(graph), EVERY)
    except UserError as error:
        return str(error)
    np.testing.assert_array_equal(found, reference.run(graph, EVERY))
    return ""


@needs_micro
def test_what_micro_computes_otherwise_is_not_judged_by_it() -> None:
    def relu(activation: Activation, moved: int) -> Graph:
        b = GraphBuilder()
        return b.finish(b.requantize(b.input((256,), 0.1, 3), 0.1, 3 + moved, activation))

    def table(function: Function, scale: float) -> Graph:
        b = GraphBuilder()
        return b.finish(b.lookup(b.input((256,), scale, 0), function, 1, 0))

    assert "does not exist there" in micro_refusal(relu(Activation.RELU_N1_TO_1, 0))
    assert "changes scale or zero point" in micro_refusal(relu(Activation.RELU6, 1))
    assert micro_refusal(relu(Activation.RELU6, 0)) == ""
    assert "needs one below 2" in micro_refusal(table(Function.LOGISTIC, 2.0))
    assert "needs one below 8" in micro_refusal(table(Function.TANH, 8.0))
    # Scales whose float32 tables differ from fixed point by one, found by search.
    assert "tie" in micro_refusal(table(Function.LOGISTIC, 0.0031718935))
    for scale in (0.01, 0.1, 1.0, 1.9):
        assert micro_refusal(table(Function.LOGISTIC, scale)) == ""
        assert micro_refusal(table(Function.TANH, 4 * scale)) == ""


@needs_micro
def test_scales_that_micro_combines_in_double_precision_are_compared_as_such() -> None:
    """Scales whose product is 2**-4 in single precision put sums of products on ties."""
    b = GraphBuilder(0)
    x = b.input((64,), b.rng.uniform(0.01, 1))
    graph = b.finish(b.fully_connected(x, 256, gain=0.02))
    samples = random_samples(graph, 20)
    file = export_tflite(graph)
    found = MICRO.interpret(file, samples.inputs)
    apart = int((found != samples.outputs).any(1).sum())
    assert 0 < apart < 20
    judged = check_oracle(file, samples)
    assert judged.oracles == tuple(one.name for one in installed())
    (remark,) = judged.remarks
    assert f"changes outputs of {apart} of 20 samples" in remark
    for sample in (int((found != samples.outputs).any(1).argmax()), 1):  # both kinds are compared
        outputs = samples.outputs.copy()
        outputs[sample, 7] ^= 1
        with pytest.raises(Mismatch, match=f"layer output: sample {sample}, element 7"):
            check_oracle(file, replace(samples, outputs=outputs))


@needs_micro
def test_the_other_oracle_judges_what_micro_cannot() -> None:
    b = GraphBuilder()
    graph = b.finish(b.requantize(b.input((8,)), 0.1, 3, Activation.RELU_N1_TO_1))
    judged = check_oracle(export_tflite(graph), random_samples(graph, 2))
    assert MICRO.name not in judged.oracles
    assert judged.oracles == tuple(one.name for one in installed() if one is not MICRO)
    assert judged.remarks == (
        "tflite-micro: RELU_N1_TO_1 (relu_n1_to_1_0) does not exist there",
    ) or judged.remarks[0].startswith("tflite-micro: RELU_N1_TO_1")


@pytest.mark.skipif(not RUNTIME.installed, reason="tflite-runtime is not installed")
def test_tflite_runtime_is_not_started_with_numpy_2(monkeypatch: pytest.MonkeyPatch) -> None:
    only(RUNTIME, monkeypatch)
    monkeypatch.setattr(np, "__version__", "2.4.6")
    graph = residual()
    judged = check_oracle(export_tflite(graph), random_samples(graph, 1))
    assert judged.oracles == ()
    assert judged.remarks == ("tflite-runtime is built for NumPy 1, here is 2.4.6",)


def test_memory_for_an_oracle_is_bounded() -> None:
    tensor = FileTensor("x", (1, 1 << 15, 1 << 14), TensorType.INT8, (1.0,), (0,))
    with pytest.raises(UserError, match="2048 MiB, at most 1024"):
        oracle._arena_bytes(1000, File("big", (tensor,), (), (0,), (0,)))


def test_samples_of_another_graph_are_compared_with_the_oracle() -> None:
    """`samples.outputs` may stem from a graph after elimination; it is judged all the same."""
    graph = residual()
    samples = random_samples(graph, 3)
    other = Samples(samples.inputs, samples.labels, samples.outputs ^ 1)
    if installed():
        with pytest.raises(Mismatch, match="layer output: sample 0, element 0"):
            check_oracle(export_tflite(graph), other)
