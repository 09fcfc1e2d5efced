"""Evaluates the nodes of an ONNX graph whose inputs are all constants, within bounds.

ONNX's own reference evaluator computes them: shapes, and what exporters leave of weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from compress.errors import UnsupportedLayer, UserError
from compress.model_files.network_builder import NetworkBuilder
from compress.model_files.onnx_nodes import OnnxNode
from compress.model_files.values import Constant
from compress.types import Array

if TYPE_CHECKING:
    from onnx import NodeProto

_LARGEST_CONSTANT = 1 << 26  # elements
EVALUATED = frozenset((
    "Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Concat", "Constant", "ConstantOfShape",
    "Div", "Equal", "Exp", "Expand", "Flatten", "Floor", "Gather", "Greater", "GreaterOrEqual",
    "Identity", "Less", "LessOrEqual", "Log", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow",
    "Range", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
    "Reshape", "Round", "Sign", "Size", "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Tile",
    "Transpose", "Unsqueeze", "Where",
))  # fmt: skip
_RUN_ERRORS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, OverflowError)


def shape_constant(b: NetworkBuilder, node: OnnxNode) -> Constant:
    """The result of Shape, for the batch of the file and the next larger one."""
    value = node.x
    if isinstance(value, Constant):
        return Constant(np.array(value.fixed(node.label).shape, np.int64))
    shape = list(b.shape(value))
    start, end = node.integer("start", 0), node.integer("end", len(shape))
    larger = [*shape]
    larger[value.batch] += 1
    own, other = np.array(shape[start:end], np.int64), np.array(larger[start:end], np.int64)
    return Constant(own, None if np.array_equal(own, other) else other)


def evaluated(proto: NodeProto, node: OnnxNode) -> list[Constant]:
    """The outputs of a node all of whose inputs are constants.

    Raises UnsupportedLayer for a kind not in `EVALUATED`, UserError for a constant of absurd
    size.
    """
    if node.kind not in EVALUATED:
        raise UnsupportedLayer(f"{node.label}: computes with constants alone; fold it at export")
    inputs = [value for value in node.inputs if isinstance(value, Constant)]
    _check_size(node, inputs)
    now = _run(proto, node, [value.data for value in inputs])
    if all(value.at_next is None for value in inputs):
        return [Constant(data, name=name) for data, name in zip(now, node.outputs, strict=False)]
    larger = [value.data if value.at_next is None else value.at_next for value in inputs]
    later = _run(proto, node, larger)
    return [
        Constant(data, None if _equal(data, other) else other, name)
        for data, other, name in zip(now, later, node.outputs, strict=False)
    ]


def _equal(left: Array, right: Array) -> bool:
    return left.shape == right.shape and np.array_equal(left, right)


def _run(proto: NodeProto, node: OnnxNode, values: Sequence[Array]) -> list[Array]:
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    given = dict(zip([name for name in proto.input if name], values, strict=True))
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in names]
        for names in (given, [name for name in proto.output if name])
    )
    try:
        graph = helper.make_graph([proto], "constant", inputs, outputs)
        found = ReferenceEvaluator(graph, opsets={"": node.opset}).run(None, given)
    except _RUN_ERRORS as error:
        said = str(error).partition("\n")[0]
        raise UnsupportedLayer(f"{node.label}: not computable from constants: {said}") from error
    return [np.asarray(value) for value in found]


def _check_size(node: OnnxNode, inputs: Sequence[Constant]) -> None:
    """Raise UserError for a node that would make a constant of absurd size."""
    count = _elements(node, [value.data for value in inputs])
    if not count <= _LARGEST_CONSTANT:
        raise UserError(
            f"{node.label}: makes a constant of {count:,.0f} values, at most {_LARGEST_CONSTANT:,}"
        )


def _elements(node: OnnxNode, values: Sequence[Array]) -> float:
    """An upper bound of the elements of the result; also of old inputs of another shape."""
    given = float(sum(value.size for value in values))
    if node.kind == "Range" and len(values) == 3:
        start, limit, step = (float(np.ravel(value)[0]) for value in values)
        return abs((limit - start) / step) if step else math.inf
    if node.kind in ("ConstantOfShape", "Expand", "Tile") and values:
        factor = math.prod(max(1, int(n)) for n in np.ravel(values[-1]))
        return float(factor * (1 if node.kind == "ConstantOfShape" else max(1, values[0].size)))
    if node.kind in ("Concat", "Gather", "Reshape", "Slice", "Split"):
        return given if node.kind != "Gather" else given * max(1, values[0].size)
    try:
        return float(math.prod(np.broadcast_shapes(*(value.shape for value in values))))
    except ValueError:
        return given
