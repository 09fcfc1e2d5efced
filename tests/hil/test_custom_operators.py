"""A user's own operator: a NumPy reference and a C function, from the file to the device."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from compress.errors import UnsupportedLayer, UserError
from compress.ops import Custom
from compress.tflite.custom_file import load_custom_operators
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.types import Graph, Tensor
from helpers.checkout import ROOT
from helpers.graph_builder import GraphBuilder
from hil.benchmark.samples import random_samples
from hil.cli.main import app
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.errors import Mismatch
from hil.measure.measure import measure
from hil.target.target import Target
from hil.types import Board

FILE = '''
import numpy as np
from compress.ops import CustomOperator

SOURCE = """
#include "custom.h"

/* Sorts each pair of channels and counts how often it had to, beside the constant that it adds. */
void sort_pairs(const custom_tensor *inputs, const custom_tensor *outputs,
                const uint8_t *options, uint32_t options_bytes)
{
    const int8_t *x = inputs[1].data;
    const int16_t *more = inputs[0].data;
    int8_t *sorted = outputs[0].data;
    int16_t *swaps = outputs[1].data;
    int32_t pairs = 1;
    for (int32_t axis = 0; axis < inputs[1].rank; axis++)
        pairs *= inputs[1].shape[axis];
    *swaps = (int16_t)(more[0] + options[options_bytes - 1]);
    for (pairs /= 2; pairs > 0; pairs--, x += 2, sorted += 2) {
        int swap = x[0] > x[1];
        sorted[0] = x[swap];
        sorted[1] = x[!swap];
        *swaps = (int16_t)(*swaps + swap);
    }
}
"""


def sort_pairs(inputs, outputs, options):
    more, x = inputs
    pairs = x.values.reshape(-1, 2)
    swaps = more.values[0] + options[-1] + (pairs[:, 0] > pairs[:, 1]).sum()
    ordered = np.sort(pairs, axis=1).reshape(outputs[0].shape)
    return [ordered, np.array([[swaps]], np.int16)]


OPERATORS = [CustomOperator("SortPairs", sort_pairs, "sort_pairs", SOURCE)]
'''


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    path = tmp_path / "operators.py"
    path.write_text(FILE)
    return path


def pairs_sorted(definitions: Path) -> Graph:
    """conv -> SortPairs(constant, map) -> (map, int16 count); both are outputs."""
    definition = load_custom_operators(definitions)["SortPairs"]
    b = GraphBuilder()
    x = b.conv(b.input((4, 4, 3)), 4, (1, 1))
    more = np.array([300], np.int16)
    b.tensors.append(Tensor("more", (1,), "int16", (1.0,), data=more))
    b.tensors.append(replace(b.tensors[x], name="sorted"))
    b.tensors.append(Tensor("swaps", (1, 1), "int16", (1.0,)))
    constant, ordered, swaps = range(x + 1, x + 4)
    b.ops.append(
        Custom("pairs", (x,), (constant,), (ordered, swaps), (1, 0), b"\x07\x05", definition)
    )
    last = b.conv(ordered, 2, (2, 2))
    return replace(b.finish(last), outputs=(last, swaps))


def test_a_custom_operator_is_exported_and_imported(definitions: Path) -> None:
    graph = pairs_sorted(definitions)
    again = import_tflite(export_tflite(graph), "again", load_custom_operators(definitions))
    custom = again.ops[1]
    assert isinstance(custom, Custom)
    assert custom.options == b"\x07\x05"
    samples = random_samples(graph, 3)
    np.testing.assert_array_equal(random_samples(again, 3).outputs, samples.outputs)
    swaps = samples.outputs[:, -2:].copy().view("<i2")
    assert (swaps >= 305).all()
    assert len(set(swaps.ravel().tolist())) > 1


def test_without_its_definition_the_operator_is_named(definitions: Path) -> None:
    data = export_tflite(pairs_sorted(definitions))
    with pytest.raises(UnsupportedLayer, match=r"SortPairs.*--operators FILE\.py"):
        import_tflite(data, "alone")


def test_the_device_computes_it(
    definitions: Path, target: Target, board: Board, tmp_path: Path
) -> None:
    graph = pairs_sorted(definitions)
    plan = make_plan(graph, board)
    image = build(render(plan, board), board, tmp_path / "build")
    samples = random_samples(graph, 3)
    measure(target, image, plan, samples)
    custom = graph.ops[1]
    assert isinstance(custom, Custom)
    wrong = custom.definition.source.replace("x[0] > x[1]", "x[0] >= x[1] + 1 + (x[0] > 20)")
    definition = replace(custom.definition, source=wrong)
    changed = replace(
        graph, ops=(graph.ops[0], replace(custom, definition=definition), graph.ops[2])
    )
    other = build(render(make_plan(changed, board), board), board, tmp_path / "wrong")
    with pytest.raises(Mismatch, match="pairs"):
        measure(target, other, plan, samples)


def test_c_that_does_not_compile_is_the_users(
    definitions: Path, board: Board, tmp_path: Path
) -> None:
    definitions.write_text(FILE.replace("int16_t *swaps =", "int16_t swaps ="))
    graph = pairs_sorted(definitions)
    with pytest.raises(UserError, match=r"custom_sort_pairs\.c:.*error"):
        build(render(make_plan(graph, board), board), board, tmp_path / "build")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "defines no OPERATORS"),
        ("OPERATORS = [3]", "has a int, must have CustomOperators"),
        (FILE + "\nOPERATORS *= 2\n", "code SortPairs is defined twice"),
        (FILE.replace('"sort_pairs", S', '"sort pairs", S'), "is not a C name"),
        ("1 / 0", "line 1: ZeroDivisionError"),
    ],
)
def test_an_operator_file_is_checked(definitions: Path, text: str, words: str) -> None:
    definitions.write_text(text)
    with pytest.raises(UserError, match=words):
        load_custom_operators(definitions)


def test_a_reference_of_another_shape_is_the_users(definitions: Path) -> None:
    definitions.write_text(FILE.replace("reshape(outputs[0].shape)", "reshape(-1)"))
    with pytest.raises(UserError, match=r"gives int8 \(64,\), must be int8 \(1, 4, 4, 4\)"):
        random_samples(pairs_sorted(definitions), 1)


def test_bench_takes_the_file(definitions: Path, board: Board, tmp_path: Path) -> None:
    path = tmp_path / "pairs.tflite"
    path.write_bytes(export_tflite(pairs_sorted(definitions)))
    done = CliRunner().invoke(
        app,
        ["bench", str(path), "--board", board.name, "--operators", str(definitions), "--json"],
    )
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert [layer["name"] for layer in result["layers"]][1] == "pairs"
    assert result["oracles"] == []


def test_the_example_of_the_page_works(board: Board, target: Target, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "custom-operators.md").read_text(encoding="utf-8")
    path = tmp_path / "operators.py"
    path.write_text(page.partition("```python\n")[2].partition("```")[0])
    definition = load_custom_operators(path)["Negate"]
    b = GraphBuilder()
    x = b.input((3, 5))
    b.tensors.append(replace(b.tensors[x], name="negated"))
    b.ops.append(Custom("negate", (x,), (), (x + 1,), (0,), b"", definition))
    graph = b.finish(x + 1)
    plan = make_plan(graph, board)
    image = build(render(plan, board), board, tmp_path / "build")
    measure(target, image, plan, random_samples(graph, 2))
