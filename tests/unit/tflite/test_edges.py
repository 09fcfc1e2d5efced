"""What is left out at a file's edges: conversions, floats, positions, shapes that are stated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from compress.errors import UnsupportedLayer
from compress.integer import reference
from compress.ops import Softmax
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.oracle import RUNTIME
from compress.tflite.read import read
from compress.tflite.write import write
from compress.tflite_records.file import BuiltinOperator, File, FileOperator, FileTensor, TensorType
from compress.tflite_records.tensor import raw_bytes
from compress.types import Graph
from helpers.graph_builder import GraphBuilder, random_inputs
from helpers.graph_variants import nameless, with_edges, with_tensor
from helpers.oracles import assert_oracles_compute, needs_oracle
from helpers.state_graphs import svdf_network
from helpers.uint8_graphs import in_uint8
from hil.benchmark.samples import random_samples
from hil.errors import Mismatch
from hil.measure.oracle_check import check_oracle

FLOAT = TensorType.FLOAT32
DECODER = "TFLite_Detection_PostProcess"


def dense() -> Graph:
    b = GraphBuilder()
    return b.finish(b.fully_connected(b.input((6,)), 4))


def grown(
    file: File, tensors: list[FileTensor], operators: list[FileOperator], outputs: tuple[int, ...]
) -> bytes:
    """The file with more tensors and operators at the end, and these outputs."""
    return write(
        replace(
            nameless(file),
            tensors=(*file.tensors, *tensors),
            operators=(*nameless(file).operators, *operators),
            outputs=outputs,
        )
    )


def ending_in(code: int) -> bytes:
    """A DEQUANTIZE and an operator on its floats at the end of a network."""
    file = read(export_tflite(dense()))
    first, (inner,) = len(file.tensors), file.outputs
    floats = [FileTensor(name, (1, 4), FLOAT) for name in ("real", "last")]
    operators = [
        FileOperator(BuiltinOperator.DEQUANTIZE, (inner,), (first,)),
        FileOperator(code, (first,), (first + 1,)),
    ]
    return grown(file, floats, operators, (first + 1,))


def judged(data: bytes) -> Graph:
    """The graph of the file, on which reference and oracles agree."""
    graph = import_tflite(data, "model")
    assert_oracles_compute(data, graph, random_inputs(graph, 3))
    assert check_oracle(data, random_samples(graph, 3)).oracles
    return graph


@needs_oracle
def test_floats_at_the_end_are_left_out() -> None:
    graph = judged(ending_in(BuiltinOperator.LOG_SOFTMAX))
    assert graph.name == "model (int8 core without LOG_SOFTMAX)"
    assert graph.ops == import_tflite(ending_in(BuiltinOperator.EXP), "model").ops
    inputs = random_inputs(graph, 3)
    np.testing.assert_array_equal(reference.run(graph, inputs), reference.run(dense(), inputs))


def test_an_operator_that_the_format_does_not_name_is_left_out_by_its_number() -> None:
    graph = import_tflite(ending_in(300), "model")
    assert graph.name == "model (int8 core without operator 300)"
    assert graph.ops == import_tflite(ending_in(BuiltinOperator.EXP), "model").ops


def detection(graph: Graph, custom: str) -> bytes:
    """`graph`, whose outputs have 4 boxes of 4 numbers and 4 of 3, with a decoder behind."""
    file = read(export_tflite(graph))
    first, anchors = len(file.tensors), np.zeros((4, 4), np.float32)
    tensors = [FileTensor(f"real_{n}", (1, 4, n), FLOAT) for n in (4, 3)]
    tensors.append(FileTensor("anchors", anchors.shape, FLOAT, data=raw_bytes(anchors)))
    tensors += [FileTensor(f"found_{n}", (1, 4), FLOAT) for n in range(4)]
    operators = [
        FileOperator(BuiltinOperator.DEQUANTIZE, (inner,), (first + place,))
        for place, inner in enumerate(file.outputs)
    ]
    found = tuple(range(first + 3, first + 7))
    inputs = (first, first + 1, first + 2)
    last = FileOperator(BuiltinOperator.CUSTOM, inputs, found, custom=custom)
    return grown(file, tensors, [*operators, last], found)


def scores_and_boxes() -> Graph:
    b = GraphBuilder()
    x = b.input((6,))
    parts = [b.reshape(b.fully_connected(x, 4 * n), (4, n)) for n in (4, 3)]
    return replace(b.finish(parts[0]), outputs=tuple(parts))


def test_scores_and_boxes_of_a_detection_are_the_outputs() -> None:
    graph = import_tflite(detection(scores_and_boxes(), DECODER), "model")
    assert graph.name == f"model (int8 core without {DECODER})"
    assert [tensor.shape for tensor in graph.output_tensors] == [(1, 4, 4), (1, 4, 3)]
    with pytest.raises(UnsupportedLayer, match="custom operator Another"):
        import_tflite(detection(scores_and_boxes(), "Another"), "model")


@needs_oracle
@pytest.mark.parametrize("uint8", [False, True])
def test_an_oracle_judges_the_core_of_a_detection(uint8: bool) -> None:
    """The decoder, which no oracle knows, is not in the core: its copy is judged."""
    graph = scores_and_boxes()
    data = detection(in_uint8(graph, 0) if uint8 else graph, DECODER)
    imported = import_tflite(data, "model")
    assert imported.uint8 == uint8
    samples = random_samples(imported, 3)
    check = check_oracle(data, samples)
    if uint8 and not RUNTIME.installed:  # tflite-micro has no kernels on uint8
        assert not check.oracles
        return
    assert check.oracles
    samples.outputs.reshape(3, -1)[2, 5] ^= 1
    with pytest.raises(Mismatch, match="layer output: sample 2, element 5"):
        check_oracle(data, samples)


@needs_oracle
@pytest.mark.parametrize("code", [BuiltinOperator.STRIDED_SLICE, BuiltinOperator.SPACE_TO_BATCH_ND])
def test_an_operator_beyond_the_core_may_lack_operands(code: int) -> None:
    """What stands behind the integers is not checked at import; oracles judge the core alone."""
    data = ending_in(code)
    check = check_oracle(data, random_samples(import_tflite(data, "model"), 3))
    assert check.oracles
    assert any("1 inputs and 1 outputs" in remark or "copy" in remark for remark in check.remarks)


def test_a_layer_with_weights_is_not_left_out() -> None:
    file = read(ending_in(BuiltinOperator.EXP))
    weights = np.ones((2, 4), np.float32)
    constant = FileTensor("weights", weights.shape, FLOAT, data=raw_bytes(weights))
    first, (source,) = len(file.tensors), file.outputs
    last = FileOperator(BuiltinOperator.FULLY_CONNECTED, (source, first), (first + 1,))
    data = grown(file, [constant, FileTensor("out", (1, 2), FLOAT)], [last], (first + 1,))
    with pytest.raises(UnsupportedLayer, match="no integer kernel for DEQUANTIZE"):
        import_tflite(data, "model")


@needs_oracle
def test_an_oracle_gets_the_core_where_it_refuses_the_rest() -> None:
    """tflite-micro has no TILE, not even of a constant that only another output needs."""
    file = read(export_tflite(dense()))
    first = len(file.tensors)
    tensors = [
        FileTensor("anchor", (1, 2), TensorType.INT8, (0.1,), (0,), data=np.ones(2, np.uint8)),
        FileTensor("twice", (2,), TensorType.INT32, data=raw_bytes(np.array([1, 2], np.int32))),
        FileTensor("anchors", (1, 4), TensorType.INT8, (0.1,), (0,)),
        FileTensor("real", (1, 4), FLOAT),
    ]
    operators = [
        FileOperator(BuiltinOperator.TILE, (first, first + 1), (first + 2,)),
        FileOperator(BuiltinOperator.DEQUANTIZE, (first + 2,), (first + 3,)),
    ]
    data = grown(file, tensors, operators, (first + 3, *file.outputs))
    graph = judged(data)
    assert len(graph.outputs) == 1
    check = check_oracle(data, random_samples(graph, 2))
    copies = [remark for remark in check.remarks if "copy of the int8 core" in remark]
    assert any(name.startswith("tflite-micro") for name in check.oracles) == any(
        remark.startswith("tflite-micro") for remark in copies
    )


def wide_input(file: File) -> File:
    """A QUANTIZE from int32 before the first operator, with a scale of 1/64 of its output's."""
    (inner,), first = file.inputs, len(file.tensors)
    scales = tuple(scale / 64 for scale in file.tensors[inner].scales)
    outer = FileTensor("wide", file.tensors[inner].shape, TensorType.INT32, scales, (0,))
    conversion = FileOperator(BuiltinOperator.QUANTIZE, (first,), (inner,))
    operators = (conversion, *nameless(file).operators)
    return replace(file, tensors=(*file.tensors, outer), operators=operators, inputs=(first,))


def stated_shape(file: File) -> File:
    """The shape that a TRANSPOSE_CONV is given as an input of the network."""
    shape = file.operators[0].inputs[0]
    tensors = list(file.tensors)
    tensors[shape] = replace(tensors[shape], data=None)
    return replace(file, tensors=tuple(tensors), inputs=(shape, *file.inputs))


@needs_oracle
@pytest.mark.parametrize("edit", [wide_input, stated_shape])
def test_inputs_that_are_no_activations(edit: Callable[[File], File]) -> None:
    b = GraphBuilder()
    plain = b.finish(b.transpose_conv(b.input((3, 4, 2)), 3, (6, 8)))
    graph = judged(write(edit(nameless(read(export_tflite(plain))))))
    assert graph.name == "model (int8 core)"
    inputs = random_inputs(plain, 3)
    np.testing.assert_array_equal(reference.run(graph, inputs), reference.run(plain, inputs))


def islands(head: int, tail: bool) -> bytes:
    """CAST or ABS of the input, then QUANTIZE; NEG in float32 between two integers at the end."""
    b = GraphBuilder()
    x = b.fully_connected(b.input((6,)), 4)
    file = nameless(read(export_tflite(b.finish(b.requantize(x)))))
    (inner,), first = file.inputs, len(file.tensors)
    outer = TensorType.UINT8 if head == BuiltinOperator.CAST else FLOAT
    before = [FileTensor("raw", (1, 6), outer), FileTensor("real", (1, 6), FLOAT)]
    operators = [
        FileOperator(head, (first,), (first + 1,)),
        FileOperator(BuiltinOperator.QUANTIZE, (first + 1,), (inner,)),
    ]
    after, source = [], file.operators[-1].inputs[0]
    if tail:
        after = [FileTensor(f"tail_{n}", (1, 4), FLOAT) for n in range(2)]
        after.append(replace(file.tensors[source], name="again"))
        ends = [
            FileOperator(BuiltinOperator.DEQUANTIZE, (source,), (first + 2,)),
            FileOperator(BuiltinOperator.NEG, (first + 2,), (first + 3,)),
            FileOperator(BuiltinOperator.QUANTIZE, (first + 3,), (first + 4,)),
            replace(file.operators[-1], inputs=(first + 4,)),
        ]
        operators += [*file.operators[:-1], *ends]
    else:
        operators += file.operators
    return write(
        replace(
            file,
            tensors=(*file.tensors, *before, *after),
            operators=tuple(operators),
            inputs=(first,),
        )
    )


@needs_oracle
@pytest.mark.parametrize("head", [BuiltinOperator.CAST, BuiltinOperator.ABS])
@pytest.mark.parametrize("tail", [False, True])
def test_floats_before_the_first_and_after_the_last_integers(head: int, tail: bool) -> None:
    data = islands(head, tail)
    graph = judged(data)
    kinds = [type(op).__name__ for op in graph.ops]
    lacking = ["CAST" if head == BuiltinOperator.CAST else "ABS"]
    assert kinds == (["FullyConnected"] if tail else ["FullyConnected", "Requantize"])
    lacking += ["NEG"] if tail else []
    assert graph.name == f"model (int8 core without {', '.join(lacking)})"
    check = check_oracle(data, random_samples(graph, 2))
    assert len(check.remarks) >= len(check.oracles)
    assert all("copy of the int8 core" in remark for remark in check.remarks)


def test_nearly_equal_scales_of_uint8_and_int8_are_one() -> None:
    data = with_edges(dense(), TensorType.UINT8)
    file = read(data)
    outer, scale = file.inputs[0], file.tensors[file.inputs[0]].scales[0]
    for factor, name in ((1 + 2.0**-20, "model (int8 core)"), (1.01, "")):
        other = with_tensor(outer, scales=(scale * factor,))(file)
        if name:
            assert import_tflite(write(other), "model").name == name
        else:
            with pytest.raises(UnsupportedLayer, match="is uint8, must be int8"):
                import_tflite(write(other), "model")


@needs_oracle
@pytest.mark.parametrize(("wide", "zero_point"), [(False, -32768), (True, 0)])
def test_only_int32_is_left_out_after_a_softmax_to_int16(wide: bool, zero_point: int) -> None:
    """The last operators of TFLM's keyword_scrambled: SOFTMAX to int16, QUANTIZE to int32."""
    b = GraphBuilder()
    x = b.input((6,))
    file = read(export_tflite(b.finish(b.fully_connected(b.widen(x) if wide else x, 4))))
    (inner,), first = file.outputs, len(file.tensors)
    scale = 2.0**-15 if wide else 2.0**-16
    tensors = [
        FileTensor("probabilities", (1, 4), TensorType.INT16, (scale,), (zero_point,)),
        FileTensor("last", (1, 4), TensorType.INT32, (2.0**-15,), (0,)),
    ]
    operators = [
        FileOperator(BuiltinOperator.SOFTMAX, (inner,), (first,), {"Beta": 1.0}),
        FileOperator(BuiltinOperator.QUANTIZE, (first,), (first + 1,)),
    ]
    graph = judged(grown(file, tensors, operators, (first + 1,)))
    assert graph.name == "model (int8 core)"
    assert isinstance(graph.ops[-1], Softmax)
    assert (graph.output_tensor.dtype, graph.output_tensor.zero_point) == ("int16", zero_point)


@needs_oracle
def test_states_are_the_first_ones_when_an_oracle_judges() -> None:
    file = read(export_tflite(svdf_network()))
    (inner,), first = file.outputs, len(file.tensors)
    floats = [FileTensor(name, (1, 4), FLOAT) for name in ("real", "last")]
    operators = [
        FileOperator(BuiltinOperator.DEQUANTIZE, (inner,), (first,)),
        FileOperator(BuiltinOperator.EXP, (first,), (first + 1,)),
    ]
    data = grown(file, floats, operators, (first + 1,))
    graph = import_tflite(data, "model")
    assert check_oracle(data, random_samples(graph, 4)).oracles
