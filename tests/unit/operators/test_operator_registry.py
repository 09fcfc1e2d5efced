"""The registry of operator families knows every operator and every record of the file format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from compress.arithmetic.intervals import full_range, full_range_of_output
from compress.operator_interface.channels import FIXED, all_fixed
from compress.operators.registry import BUILTINS, FAMILIES, operator_of
from compress.ops import (
    OP_TYPES,
    Custom,
    Op,
    Reshape,
    constants_of,
    inputs_of,
    outputs_of,
    renumbered,
)
from compress.tflite.exporter import export_tflite
from compress.tflite.read import read
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from helpers.graph_examples import EXAMPLES, every_op


def test_every_operator_is_in_exactly_one_family() -> None:
    registered = Counter(operator.op for family in FAMILIES for operator in family.operators)
    assert registered == Counter(OP_TYPES)


def test_every_builtin_operator_is_in_exactly_one_family() -> None:
    codes = Counter(builtin.code for family in FAMILIES for builtin in family.builtins)
    assert set(codes.values()) == {1}


# An oracle does not know a user's own operator: tests/hil/test_custom_operators.py tries it.
@pytest.mark.parametrize("op", [op for op in OP_TYPES if op is not Custom])
def test_every_operator_is_in_the_example_of_all(op: type[Op]) -> None:
    assert op in {type(other) for other in every_op().ops}


def test_an_import_gives_back_the_type_that_was_exported() -> None:
    """The records of each operator are registered in the family of the operator."""
    family_of = {o.op: f for f in FAMILIES for o in f.operators}
    for example in EXAMPLES:
        graph = example()
        named = {o.name: o for o in read(export_tflite(graph)).operators if o.name}
        for op in graph.ops:
            builtins = family_of[type(op)].builtins
            if not builtins:  # a Recurrence, which is unrolled
                continue
            assert BUILTINS[named[op.name].code] in builtins


@pytest.mark.parametrize("example", EXAMPLES)
def test_renumbering_reaches_every_tensor_index(example: Callable[[], Graph]) -> None:
    graph = example()
    shift = {index: index + 100 for index in range(len(graph.tensors))}
    for op in graph.ops:
        moved = renumbered(op, shift)
        assert inputs_of(moved) == tuple(shift[i] for i in inputs_of(op))
        assert constants_of(moved) == tuple(shift[i] for i in constants_of(op))
        assert outputs_of(moved) == tuple(shift[i] for i in outputs_of(op))


def test_defaults_are_valid_for_any_operator() -> None:
    b = GraphBuilder()
    graph = b.finish(b.reshape(b.input((2, 3)), (6,)))
    (op,) = graph.ops
    assert isinstance(op, Reshape)
    x, out = graph.tensors[op.input], graph.tensors[op.output]
    bounds = full_range_of_output(graph, op, [full_range(x)])
    assert bounds.lowest.shape == bounds.highest.shape == out.shape
    assert {int(bounds.lowest.min()), int(bounds.highest.max())} == {-128, 127}
    channels = {op.input: np.arange(1, 4), op.output: np.arange(4, 10)}
    tied = list(all_fixed(graph, op, channels))
    assert [left.tolist() for left, _ in tied] == [[1, 2, 3], [4, 5, 6, 7, 8, 9]]
    assert all(right == FIXED for _, right in tied)


def test_operators_of_any_type_are_found() -> None:
    for op in every_op().ops:
        assert operator_of(op).op is type(op)
