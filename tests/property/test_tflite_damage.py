"""Damaged .tflite files: whatever is changed, a named error or a graph that runs."""

from __future__ import annotations

import functools
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compress.errors import UnsupportedLayer, UserError
from compress.integer import reference
from compress.integer.check import check_graph
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.read import read
from compress.tflite.write import write
from compress.tflite_records.file import TensorType
from compress.types import Graph, Int8Array
from helpers.graph_examples import EXAMPLES
from helpers.graph_variants import nameless, with_edges


@functools.cache
def valid_files() -> tuple[bytes, ...]:
    """Small models with every operator: ours, another converter's, with edges of other types."""
    graphs = [example() for example in EXAMPLES]
    ours = [export_tflite(graph) for graph in graphs]
    others = [write(nameless(read(data))) for data in ours]
    edged = [
        with_edges(graph, t) for graph in graphs for t in (TensorType.FLOAT32, TensorType.UINT8)
    ]
    return (*ours, *others, *edged)


# What offsets, counts, codes, scales and zero points do not expect.
WORDS = [0, 1, 2, 3, 127, 128, 255, 256, 2**16, 2**20, 2**31 - 1, 2**31, 2**32 - 1]
FLOATS = [struct.unpack("<I", struct.pack("<f", x))[0] for x in (1e-45, 1e38, -1.0, np.inf, np.nan)]


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """A valid file with bits flipped, words swapped or replaced, a part copied, or the end cut."""
    data = bytearray(draw(st.sampled_from(valid_files())))
    words = st.integers(0, len(data) // 4 - 1)
    places = st.integers(0, len(data) - 1)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 4, 16]))):
        match draw(st.sampled_from(["flip", "swap", "set", "copy"])):
            case "flip":
                data[draw(places)] ^= 1 << draw(st.integers(0, 7))
            case "swap":
                a, b = 4 * draw(words), 4 * draw(words)
                data[a : a + 4], data[b : b + 4] = data[b : b + 4], data[a : a + 4]
            case "set":
                word = draw(st.sampled_from(WORDS + FLOATS) | st.integers(0, 2**32 - 1))
                struct.pack_into("<I", data, 4 * draw(words), word)
            case "copy":
                source, target = draw(places), draw(places)
                part = data[source : source + draw(st.integers(1, 64))]
                data[target : target + len(part)] = part
    if draw(st.integers(0, 9)) == 0:
        del data[draw(places) :]
    return bytes(data)


# A failing file's repr may be long: that is Hypothesis's own warning, no finding.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
@pytest.mark.filterwarnings("error")
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged_files())
def test_damage_ends_in_a_named_error_or_in_a_graph_that_runs(data: bytes) -> None:
    try:
        graph = import_tflite(data, "damaged")
    except (UserError, UnsupportedLayer) as error:
        message = str(error)
    else:
        message = "none"
        assert_runs(graph)
    assert message.isprintable()


def assert_runs(graph: Graph) -> None:
    check_graph(graph)
    inputs = random_rows(graph)
    outputs = reference.run(graph, inputs)
    for index, values in reference.trace(graph, inputs).items():
        tensor = graph.tensors[index]
        assert (values.shape, values.dtype) == ((1, *tensor.shape[1:]), tensor.item)
    again = import_tflite(export_tflite(graph), "again")
    np.testing.assert_array_equal(reference.run(again, inputs), outputs)


def random_rows(graph: Graph) -> Int8Array:
    """A sample of each input: int8 (1, bytes of all inputs)."""
    size_bytes = sum(tensor.size_bytes for tensor in graph.input_tensors)
    return np.random.default_rng(0).integers(-128, 128, (1, size_bytes), dtype=np.int8)


def test_the_files_are_valid_before_they_are_damaged() -> None:
    for data in valid_files():
        graph = import_tflite(data, "valid")
        reference.run(graph, random_rows(graph))
