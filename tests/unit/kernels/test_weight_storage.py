"""Storage forms of weights: sizes worked out by hand, values decoded bit by bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.ops import Weighted
from compress.types import Array, DType, Graph
from helpers.graph_builder import GraphBuilder
from hil.board import load_board
from hil.codegen.plan import make_plan
from hil.kernels import weight_storage
from hil.kernels.weight_storage import Form, Stored, stored_weights


def dense(values: Array, dtype: DType = "int8") -> tuple[Graph, Weighted]:
    """A FullyConnected with these weights (units, inputs)."""
    b = GraphBuilder()
    b.fully_connected(b.input((1, 1, values.shape[1])), values.shape[0])
    graph = b.finish(len(b.tensors) - 1)
    op = graph.ops[0]
    assert isinstance(op, Weighted)
    tensors = list(graph.tensors)
    tensors[op.weights] = replace(tensors[op.weights], data=values, dtype=dtype)
    return replace(graph, tensors=tuple(tensors)), op


def form_of(values: Array, dtype: DType = "int8") -> tuple[Form, int] | None:
    stored = stored_weights(*dense(values, dtype))
    return None if stored is None else (stored.form, stored.size_bytes)


def row(*runs: tuple[int, int]) -> Array:
    """One unit with runs of (value, times)."""
    return np.concatenate([np.full(times, value, np.int8) for value, times in runs])[None]


@pytest.mark.parametrize(
    ("values", "dtype", "form", "size_bytes"),
    [
        (row((-8, 64), (7, 64)), "int8", Form(4), 64),
        (row((-2, 64), (1, 64)), "int8", Form(2), 32),
        (row((1, 3)), "int4", Form(4), 4),
        (row((1, 9)), "int4", Form(2), 4),
        # Count, 4 words of bitmap, 28 values in 7, 4 and 2 words.
        (row((0, 100), (100, 28)), "int8", Form(8, sparse=True), 48),
        (row((0, 100), (7, 28)), "int8", Form(4, sparse=True), 36),
        (row((0, 100), (-1, 28)), "int4", Form(2, sparse=True), 28),
        (row((0, 128)), "int8", Form(8, sparse=True), 20),
        # 512 int4 values in 256 bytes; sparse: 4 + 64 + half of those that are not zero.
        (row((0, 128), (7, 384)), "int4", Form(4), 256),
        (row((0, 144), (7, 368)), "int4", Form(4, sparse=True), 252),
    ],
)
def test_smallest_form(values: Array, dtype: DType, form: Form, size_bytes: int) -> None:
    assert form_of(values, dtype) == (form, size_bytes)


def test_int8_weights_stay_as_they_are_unless_a_quarter_is_saved() -> None:
    # 1024 weights as sparse int8: 4 + 128 bytes, and those that are not zero.
    assert form_of(row((0, 387), (100, 637))) is None  # 772 bytes, 637 being rounded up to words
    assert form_of(row((0, 388), (100, 636))) == (Form(8, sparse=True), 768)


def test_rows_of_a_fully_connected_are_expanded_in_equal_slices() -> None:
    stored = stored_weights(*dense(np.ones((123, 100), np.int8)))
    assert stored is not None
    # 40 rows of 100 would fit 4096 bytes: 4 slices of 31, 31, 31, 30.
    assert (stored.rows, stored.all_rows, stored.columns) == (31, 123, 100)
    assert stored.room_bytes == 3104
    long_rows = stored_weights(*dense(np.ones((3, 5000), np.int8)))
    assert long_rows is not None
    assert (long_rows.rows, long_rows.room_bytes) == (1, 5008)


def test_expanded_weights_live_for_their_operator_only() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((4, 4, 8)), 8, (1, 1))
    x = b.conv(x, 8, (1, 1))
    graph = b.finish(x)
    ops = [op for op in graph.ops if isinstance(op, Weighted)]
    tensors = list(graph.tensors)
    first = tensors[ops[0].weights]
    tensors[ops[0].weights] = replace(first, data=np.ones(first.shape, np.int8), dtype="int4")
    plan = make_plan(replace(graph, tensors=tuple(tensors)), load_board("m3"))
    expanded = plan.steps[0].expanded
    assert expanded is not None
    assert (expanded.size_bytes, expanded.first_op, expanded.last_op) == (64, 0, 0)
    assert plan.steps[1].expanded is None
    assert plan.arena_bytes == 128 + 64 + 128
    assert plan.tensors_bytes == 256


def decoded(stored: Stored) -> list[int]:
    """The weights, decoded bit by bit from the format in the module's docstring."""
    words = [int(word) for word in stored.words]
    bits = stored.form.bits
    values: list[int] = []
    for start in range(0, stored.all_rows, stored.rows):
        count = min(stored.rows, stored.all_rows - start) * stored.columns
        taken = [True] * count
        if stored.form.sparse:
            nonzero = words.pop(0)
            bitmap = [words.pop(0) for _ in range(-(-count // 32))]
            taken = [bool(bitmap[i // 32] >> (31 - i % 32) & 1) for i in range(count)]
            assert sum(taken) == nonzero
        used = sum(taken)
        packed: list[int] = []
        for _ in range(-(-used * bits // 32)):
            word = words.pop(0)
            for field in range(8 // bits):
                for byte in range(4):
                    value = word >> (8 * byte + bits * field) & (1 << bits) - 1
                    packed.append(value - (value >> bits - 1 << bits))
        following = iter(packed)
        values += [next(following) if is_taken else 0 for is_taken in taken]
    assert not words
    return values


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([2, 4, 8]),
    st.floats(0, 1),
    st.integers(1, 20),
    st.integers(1, 40),
    st.sampled_from([1, 50, 4096]),
    st.integers(0, 2**32 - 1),
)
def test_stored_values_are_the_weights(
    bits: int, zeros: float, units: int, inputs: int, slice_bytes: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    highest = 1 << bits - 1
    values = rng.integers(-highest, highest, (units, inputs)).astype(np.int8)
    values[rng.random(values.shape) < zeros] = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_storage, "SLICE_BYTES", slice_bytes)
        stored = stored_weights(*dense(values, "int8" if bits == 8 else "int4"))
    if stored is None:
        assert bits == 8
        return
    assert decoded(stored) == values.reshape(-1).tolist()
    assert stored.rows * inputs <= max(slice_bytes, inputs)
