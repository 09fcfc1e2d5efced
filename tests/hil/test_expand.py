"""Weights in every storage form, expanded on the device: bit-exact, without writes elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

from compress.errors import UnsupportedLayer
from compress.integer import reference
from compress.integer.check import check_graph
from compress.ops import Weighted
from compress.types import Array, Graph
from helpers.graph_builder import GraphBuilder, random_inputs
from helpers.graph_strategies import graphs
from helpers.graph_variants import with_weights
from helpers.programs import program
from hil.board import without_limits
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.kernels import weight_storage
from hil.kernels.weight_storage import Form, Stored, encoded, stored_weights
from hil.target.target import Layout, Target
from hil.types import Program

TIMEOUT_S = 30.0
FORMS = (Form(4), Form(2), Form(8, sparse=True), Form(4, sparse=True), Form(2, sparse=True))


def outputs_of(target: Target, made: Program, folder: Path, inputs: Array, size: int) -> bytes:
    image = build(made, without_limits(target.board), folder)
    target.load(image)
    layout = Layout.within(image.staging, len(inputs), inputs[0].size, size)
    target.write(layout.inputs.origin, inputs.tobytes())
    target.write(layout.labels.origin, bytes(layout.labels.length_bytes))
    target.run(layout.request, TIMEOUT_S)
    return target.read(layout.outputs.origin, layout.outputs.length_bytes)


def some_weights(form: Form, count: int) -> Array:
    """Weights that include the extremes and fill the area of their storage form."""
    rng = np.random.default_rng(count)
    highest = 1 << form.bits - 1
    values = rng.integers(-highest, highest, count).astype(np.int8)
    values[: min(count, 2)] = (-highest, highest - 1)[:count]
    share = (0.0, 0.3, 0.9)[count % 3] if form.sparse else 0.1
    values[rng.random(count) < share] = 0
    return values


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.text.replace(" ", "_"))
def test_expanded_are_the_weights_and_nothing_else_is_written(
    target: Target, tmp_path: Path, form: Form
) -> None:
    declarations, body, expected, offset = ['#include "kernels.h"'], [], b"", 4
    function = "expand_sparse" if form.sparse else "expand_packed"
    for case, count in enumerate([1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 255]):
        values = some_weights(form, count)
        words = encoded(values, form)
        stored = Stored(form, words, 1, 1, count)
        texts = ", ".join(f"0x{word:08x}" for word in words)
        declarations.append(f"static const uint32_t stored{case}[] = {{{texts}}};")
        call = f"{function}(stored{case}, {form.bits}, model_arena + {offset}, {count})"
        body.append(f"model_arena[0] += {call} != stored{case} + {len(words)};")
        room = -(-stored.room_bytes // 4) * 4 + 8
        expected += values.tobytes() + bytes(room - count)
        offset += room
        # The rest of the area behind the weights may have any content.
        behind = f"model_arena + {offset - room + count}, 0, {stored.room_bytes - count}"
        body.append(f"memset({behind});")
    declarations.append("#include <string.h>")
    body.insert(0, f"memset(model_arena, 0, {offset});")
    size = offset
    made = program(
        target.board,
        "\n".join(body),
        declarations="\n".join(declarations),
        output_bytes=size,
        arena_bytes=size,
    )
    outputs = outputs_of(target, made, tmp_path, np.zeros((1, 4), np.int8), size)
    assert outputs == bytes(4) + expected


def assert_bit_equal(target: Target, graph: Graph, folder: Path) -> None:
    inputs = random_inputs(graph, 3)
    made = render(make_plan(graph, target.board), target.board)
    outputs = outputs_of(target, made, folder, inputs, graph.output_tensor.size_bytes)
    expected = reference.run(graph, inputs)
    np.testing.assert_array_equal(np.frombuffer(outputs, np.int8).reshape(expected.shape), expected)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stored")


# No shrinking: each attempt is a build.
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(graph=graphs(), bits=st.sampled_from([2, 4, 8]), zeros=st.sampled_from([0.0, 0.5, 0.9]))
def test_random_graph_with_stored_weights_is_bit_equal(
    target: Target, folder: Path, graph: Graph, bits: int, zeros: float
) -> None:
    graph = with_weights(graph, bits, zeros, "int8" if bits == 8 else "int4")
    try:
        check_graph(graph)  # coarser scales may be too coarse for int16
    except UnsupportedLayer:
        reject()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_storage, "SLICE_BYTES", 40)
        assert_bit_equal(target, graph, folder)


@pytest.mark.parametrize(("bits", "zeros"), [(4, 0.0), (2, 0.0), (8, 0.8), (4, 0.8), (2, 0.8)])
def test_layers_of_every_kind_read_expanded_weights(
    target: Target, tmp_path: Path, bits: int, zeros: float
) -> None:
    b = GraphBuilder(seed=3)
    x = b.conv(b.input((6, 5, 9)), 20)
    x = b.depthwise(x, 2, (2, 3))
    x = b.conv(x, 33, (1, 1))
    x = b.depthwise(x, 1, (3, 1))
    x = b.fully_connected(x, 130, gain=0.5)
    x = b.fully_connected(x, 77, gain=0.5, per_channel=True)
    x = b.fully_connected(x, 10, gain=0.5)
    graph = with_weights(b.finish(x), bits, zeros)
    stored = [stored_weights(graph, op) for op in graph.ops if isinstance(op, Weighted)]
    assert {s.form for s in stored if s} == {Form(bits, zeros > 0)}
    assert len({s.rows == s.all_rows for s in stored if s}) == 2
    assert_bit_equal(target, graph, tmp_path)
