"""What `compress.tflite.read` takes from a file, against two readers that share no code with it.

One is written from the schema (`helpers.flatbuffer_reader`), the other is tflite-runtime.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite
from hypothesis import HealthCheck, given, settings

from compress.tflite.edges import int8_core
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.mend import with_valid_dimensions
from compress.tflite.option_tables import option_table
from compress.tflite.oracle import RUNTIME
from compress.tflite.read import read
from compress.tflite.write import write
from compress.tflite_records.file import (
    KIND_NAMES,
    BuiltinOperator,
    FileTensor,
    Subgraph,
    TensorType,
)
from compress.types import Graph
from helpers.checkout import SHARED_DATA
from helpers.flatbuffer_reader import OPTION_TABLES, Table, root
from helpers.graph_builder import GraphBuilder
from helpers.graph_examples import EXAMPLES, ds_cnn
from helpers.graph_strategies import graphs
from helpers.graph_variants import with_edges
from helpers.state_graphs import delay_line, running_sum

REAL = sorted(SHARED_DATA.rglob("*.tflite"))
real_files = pytest.mark.parametrize(
    "path",
    REAL or [pytest.param(None, marks=pytest.mark.skip(reason="no model files beside the clone"))],
    ids=lambda path: path.stem if path else "none",
)


def assert_equals_the_schema(data: bytes) -> None:
    """Every field that `read` takes, compared with the fields at the numbers of the schema."""
    file, model = read(data), root(data)
    buffers = [bytes(buffer.numbers(0, "B")) for buffer in model.tables(4)]
    # Newer files have the code in field 3 and 127 at most in field 0, older ones in field 0 alone.
    codes = [max(code.number(0, "b", 0), code.number(3, "i", 0)) for code in model.tables(1)]
    for found, stored in zip((file, *file.further), model.tables(2), strict=True):
        _assert_subgraph_equals(found, stored, buffers, codes)


def _assert_subgraph_equals(
    found: Subgraph, graph: Table, buffers: list[bytes], codes: list[int]
) -> None:
    assert found.inputs == graph.numbers(1, "i")
    assert found.outputs == graph.numbers(2, "i")
    for tensor, stored in zip(found.tensors, graph.tables(0), strict=True):
        _assert_tensor_equals(tensor, stored, buffers)
    for operator, stored in zip(found.operators, graph.tables(3), strict=True):
        assert operator.code == codes[stored.number(0, "I", 0)]
        assert operator.inputs == stored.numbers(1, "i")
        assert operator.outputs == stored.numbers(2, "i")
        assert operator.intermediates == stored.numbers(8, "i")
        table, fields = option_table(operator.code)
        wanted: dict[str, Any] = {}
        if table:
            form = OPTION_TABLES[getattr(tflite.BuiltinOptions, table)]
            options = stored.table(4)
            assert options is not None
            assert stored.number(3, "B", 0) == getattr(tflite.BuiltinOptions, table)
            wanted = {name: options.option(*form[name]) for name in fields}
        assert operator.options == wanted


def _assert_tensor_equals(found: FileTensor, stored: Table, buffers: list[bytes]) -> None:
    assert found.shape == stored.numbers(0, "i")
    assert found.type == stored.number(1, "b", 0)
    content = buffers[stored.number(2, "I", 0)]
    assert (b"" if found.data is None else found.data.tobytes()) == content
    assert found.name == stored.text(3)
    assert found.variable == stored.number(5, "?", False)
    quantization = stored.table(4)
    scales = quantization.numbers(2, "f") if quantization else ()
    assert found.scales == scales
    if scales:
        assert quantization is not None
        assert found.zero_points == (quantization.numbers(3, "q") or (0,))
        assert found.axis == quantization.number(6, "i", 0)


def assert_equals_runtime(data: bytes) -> None:
    """Codes, operands, shapes, types, quantization and constants as tflite-runtime sees them."""
    runtime = pytest.importorskip("tflite_runtime.interpreter", reason="no tflite-runtime")
    if int(np.__version__.split(".")[0]) > 1:
        pytest.skip("tflite-runtime is built for NumPy 1")
    file = read(data)
    model = runtime.Interpreter(
        model_content=with_valid_dimensions(data)[0],
        experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_REF,
    )
    model.allocate_tensors()
    assert [t["index"] for t in model.get_input_details()] == list(file.inputs)
    assert [t["index"] for t in model.get_output_details()] == list(file.outputs)
    # The runtime appends working memory of its own.
    seen = model._get_ops_details()
    assert len(seen) == len(file.operators)
    for operator, other in zip(file.operators, seen, strict=True):
        assert KIND_NAMES[operator.code] == other["op_name"]
        assert list(operator.inputs) == list(other["inputs"])
        assert list(operator.outputs) == list(other["outputs"])
    details = {detail["index"]: detail for detail in model.get_tensor_details()}
    for index, tensor in enumerate(file.tensors):
        if index not in details:  # nothing refers to it
            continue
        other, quantization = details[index], details[index]["quantization_parameters"]
        assert other["name"] == tensor.name
        assert tuple(other["shape"]) == tensor.shape
        assert np.dtype(other["dtype"]) == np.dtype(_NUMPY[tensor.type])
        assert tuple(quantization["scales"].tolist()) == tensor.scales
        assert tuple(quantization["zero_points"].tolist()) == tensor.zero_points
        if len(tensor.scales) > 1 and len(tensor.shape) > 1:
            assert quantization["quantized_dimension"] == tensor.axis
        if tensor.data is not None and tensor.type != TensorType.INT4:
            assert model.get_tensor(index).tobytes() == tensor.data.tobytes()


_NUMPY = {
    TensorType.INT4: "i1",
    TensorType.INT8: "i1",
    TensorType.UINT8: "u1",
    TensorType.INT16: "i2",
    TensorType.INT32: "i4",
    TensorType.INT64: "i8",
    TensorType.FLOAT32: "f4",
    TensorType.RESOURCE: "O",
}


def generated_files() -> Iterator[bytes]:
    for graph in (running_sum(None), delay_line()):
        yield export_tflite(graph)
    for example in (*EXAMPLES, ds_cnn):
        graph = example()
        yield export_tflite(graph)
        for type_ in (TensorType.FLOAT32, TensorType.UINT8):
            yield with_edges(graph, type_)


@real_files
def test_a_real_file_is_read_as_the_schema_says(path: Path) -> None:
    assert_equals_the_schema(path.read_bytes())


@real_files
def test_a_real_file_is_read_as_tflite_runtime_does(path: Path) -> None:
    assert_equals_runtime(path.read_bytes())


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(graphs())
def test_any_export_is_read_as_the_schema_says(graph: Graph) -> None:
    assert_equals_the_schema(export_tflite(graph))


def test_generated_files_are_read_alike_by_all() -> None:
    for data in generated_files():
        assert_equals_the_schema(data)
        assert_equals_runtime(data)


def with_codes(data: bytes, *, deprecated: bool, own: bool) -> bytes:
    """The file with zeros where one of the two fields of each operator code is not wanted."""
    changed = bytearray(data)
    for code in root(data).tables(1):
        for number, form, wanted in ((0, "<b", deprecated), (3, "<i", own)):
            if not wanted:
                struct.pack_into(form, changed, code.place(number), 0)
    return bytes(changed)


def products() -> Graph:
    """MUL, whose options differ from those of ADD, and LOGISTIC, of code 14."""
    b = GraphBuilder()
    x = b.input((4, 4, 3))
    return b.finish(b.softmax(b.mul(x, b.requantize(x))))


@pytest.mark.parametrize("fields", [(True, False), (False, True), (True, True)])
def test_operator_codes_are_read_from_either_field(fields: tuple[bool, bool]) -> None:
    deprecated, own = fields
    graph = products()
    data = with_codes(export_tflite(graph), deprecated=deprecated, own=own)
    assert [operator.code for operator in read(data).operators] == [
        BuiltinOperator.QUANTIZE,
        BuiltinOperator.MUL,
        BuiltinOperator.SOFTMAX,
    ]
    assert_equals_the_schema(data)
    assert_equals_runtime(data)
    assert [type(op) for op in import_tflite(data, "model").ops] == [type(op) for op in graph.ops]


def test_a_bias_with_the_dimension_of_its_weights_is_judged_by_both_oracles() -> None:
    """As in TFLM's person_detect.tflite: a quantized dimension of 3 for a bias."""
    b = GraphBuilder()
    graph = b.finish(b.depthwise(b.input((6, 6, 3))))
    data = export_tflite(graph)
    file, bias = read(data), graph.ops[0].bias
    tensors = list(file.tensors)
    tensors[bias] = replace(tensors[bias], axis=3)
    stored = write(replace(file, tensors=tuple(tensors)))
    mended, count = with_valid_dimensions(stored)
    assert count == 1
    assert [t.axis for t in read(mended).tensors] == [t.axis for t in file.tensors]
    assert with_valid_dimensions(data) == (data, 0)
    if importlib.util.find_spec("tflite_runtime") and np.__version__.startswith("1."):
        assert "1 quantized dimensions set to 0" in RUNTIME.open(stored).remark
    assert int8_core(read(stored)).inputs == file.inputs
