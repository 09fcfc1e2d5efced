"""The oracles get a copy of a model: it has all options that matter, and each shape once."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import tflite

from compress.errors import UserError
from compress.operators.registry import BUILTINS
from compress.tflite.exporter import export_tflite
from compress.tflite.fold_functions import FOLDED
from compress.tflite.importer import import_tflite
from compress.tflite.option_tables import option_table
from compress.tflite.oracle import installed
from compress.tflite.read import read
from compress.tflite.variables import OPTIONS
from compress.tflite_records.file import BuiltinOperator, File
from compress.tflite_records.tensor import raw_bytes
from helpers.graph_builder import GraphBuilder
from helpers.graph_variants import edited, with_operator, with_tensor
from helpers.oracles import needs_oracle
from hil.benchmark.samples import random_samples
from hil.measure.oracle_check import check_oracle

# Options that no kernel for integers reads: of float and hybrid models, and of projections.
WITHOUT_EFFECT = {
    *("AsymmetricQuantizeInputs", "QuantizedBiasType", "DiagonalRecurrentTensors", "ProjClip")
}
VECTORS = ("AsNumpy", "Length", "IsNone", "BufferHasIdentifier")


@pytest.mark.parametrize("code", sorted({*BUILTINS, *FOLDED, *OPTIONS}))
def test_every_option_with_an_effect_is_read(code: int) -> None:
    table, fields = option_table(code)
    if not table:
        return
    own = [name for name, _ in inspect.getmembers(getattr(tflite, table), inspect.isfunction)]
    stored = {
        name
        for name in own
        if not name.startswith(("_", "GetRootAs")) and name != "Init" and not name.endswith(VECTORS)
    }
    assert stored - set(fields) <= WITHOUT_EFFECT
    assert set(fields) <= stored


@needs_oracle
@pytest.mark.parametrize("kind", ["absent", "squeeze"])
def test_a_shape_is_stated_once_for_the_oracles(kind: str) -> None:
    """The output states it; options, which an oracle may go by, are not in its copy."""
    b = GraphBuilder()
    graph = b.finish(b.fully_connected(b.reshape(b.input((1, 1, 8)), (8,)), 3))

    def edit(file: File) -> File:
        operator = file.operators[0]
        assert operator.code == BuiltinOperator.RESHAPE
        if kind == "absent":
            return with_operator(0, inputs=operator.inputs[:1])(file)
        changes = {"code": BuiltinOperator.SQUEEZE, "inputs": operator.inputs[:1]}
        return with_operator(0, **changes)(file)

    data = edited(graph, edit)
    samples = random_samples(graph, 3)
    assert import_tflite(data, "example").ops == graph.ops
    judged = check_oracle(data, samples)
    assert judged.oracles == tuple(oracle.name for oracle in installed())
    assert judged.remarks == ()


@pytest.mark.parametrize("shape", [(1 << 20, 1 << 20), (-1, -5), (1, 9)])
def test_a_shape_that_the_output_does_not_have_is_refused(shape: tuple[int, ...]) -> None:
    b = GraphBuilder()
    graph = b.finish(b.reshape(b.input((1, 1, 8)), (8,)))
    stated = raw_bytes(np.array(shape, np.int32))
    operand = read(export_tflite(graph)).operators[0].inputs[1]
    with pytest.raises(UserError, match="but its output is"):
        import_tflite(edited(graph, with_tensor(operand, data=stated)), "example")
