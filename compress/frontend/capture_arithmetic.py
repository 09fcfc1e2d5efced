"""Capture of sums, differences, products, quotients and extremes of two values, or one constant."""

from itertools import groupby
from typing import Any

import numpy as np
from torch import Tensor, fx

from compress.errors import UnsupportedLayer
from compress.frontend.capture_elementwise import clamp, table
from compress.frontend.layers import LayerKind
from compress.frontend.layout import (
    Shape,
    constant_in_memory,
    layer_shape,
    own_order,
    per_channel,
    row_order,
    row_shape,
)
from compress.frontend.reader import Reader, View, array, label, wide
from compress.tracing.trace import shape_of
from compress.types import Array


def add(reader: Reader, node: fx.Node, x: Any, y: Any, alpha: float = 1) -> None:
    """The sum of two values, or of a value and a constant."""
    left, right = _operands(reader, node, x, y)
    if alpha != 1:
        raise UnsupportedLayer(f"{label(node)}: a sum with alpha={alpha}; multiply in its place")
    if isinstance(right, View):
        _emit_of_two(reader, node, "add", left, right)
    else:
        _shifted(reader, node, left, right)


def subtract(reader: Reader, node: fx.Node, x: Any, y: Any, alpha: float = 1) -> None:
    """The difference of two values, or of a value and a constant, in either order."""
    left, right = _operands(reader, node, x, y)
    if alpha != 1:
        raise UnsupportedLayer(
            f"{label(node)}: a difference with alpha={alpha}; multiply in its place"
        )
    if isinstance(right, View):
        if left.shape != shape_of(node):
            raise UnsupportedLayer(
                f"{label(node)}: {wide(left.shape)} minus {wide(right.shape)}; the first one must "
                "have the shape of the result"
            )
        _emit_of_two(reader, node, "add", left, right, subtract=True)
    elif isinstance(x, fx.Node):
        _shifted(reader, node, left, -right)
    else:
        _affine(reader, node, left, np.array(-1.0, np.float32), right)


def multiply(reader: Reader, node: fx.Node, x: Any, y: Any) -> None:
    """The product of two values, or of a value and a constant."""
    left, right = _operands(reader, node, x, y)
    if isinstance(right, View):
        _emit_of_two(reader, node, "mul", left, right)
    else:
        _scaled(reader, node, left, right)


def minimum(reader: Reader, node: fx.Node, x: Any, y: Any) -> None:
    """The lesser of two values, or of a value and a constant."""
    _extreme(reader, node, "minimum", x, y)


def maximum(reader: Reader, node: fx.Node, x: Any, y: Any) -> None:
    """The greater of two values, or of a value and a constant."""
    _extreme(reader, node, "maximum", x, y)


def _extreme(reader: Reader, node: fx.Node, kind: LayerKind, x: Any, y: Any) -> None:
    left, right = _operands(reader, node, x, y)
    if isinstance(right, View):
        _emit_of_two(reader, node, kind, left, right)
    elif right.size == 1:
        limits = (-np.inf, right.item()) if kind == "minimum" else (right.item(), np.inf)
        clamp(reader, node, x if isinstance(x, fx.Node) else y, *limits)
    else:
        _emit_with_constant(reader, node, kind, left, right)


def divide(reader: Reader, node: fx.Node, x: Any, y: Any, rounding_mode: Any = None) -> None:
    """A value divided by a constant, or a number divided by a value."""
    left, right = _operands(reader, node, x, y)
    if isinstance(x, int | float) and rounding_mode is None:
        table(reader, node, y, "quotient", float(x))
        return
    if isinstance(right, View) or not isinstance(x, fx.Node) or rounding_mode is not None:
        raise UnsupportedLayer(
            f"{label(node)}: division by a value of the network has no integer kernel; allowed "
            "is division by a constant"
        )
    if not right.all():
        raise UnsupportedLayer(f"{label(node)}: division by zero")
    _scaled(reader, node, left, 1 / right)


def negate(reader: Reader, node: fx.Node, x: fx.Node) -> None:
    """-x."""
    _affine(reader, node, reader.view(x, node), np.array(-1.0, np.float32), 0.0)


def _operands(reader: Reader, node: fx.Node, x: Any, y: Any) -> tuple[View, View | Array]:
    """Both operands; a constant comes second."""
    if not isinstance(x, fx.Node):
        x, y = y, x
    left = reader.view(x, node)
    if isinstance(y, fx.Node):
        return left, reader.view(y, node)
    if isinstance(y, bool) or not isinstance(y, int | float | Tensor):
        raise UnsupportedLayer(f"{label(node)}: an operand of type {type(y).__name__}")
    constant = array(y)
    if not np.isfinite(constant).all():
        raise UnsupportedLayer(f"{label(node)}: a constant that is not finite")
    if left.shape != shape_of(node):
        raise UnsupportedLayer(
            f"{label(node)}: a constant of shape {constant.shape} enlarges {wide(left.shape)} to "
            f"{wide(shape_of(node))}; the result must have the shape of the value"
        )
    return left, constant


def _emit_of_two(
    reader: Reader, node: fx.Node, kind: LayerKind, left: View, right: View, **fields: Any
) -> None:
    """A layer of two values, the second of which may repeat over the first."""
    if left.shape == right.shape:
        reader.emit(node, kind, [left, right], keeps_order=True, **fields)
        return
    if left.shape != shape_of(node):
        left, right = right, left
    in_rows = left.in_rows
    shapes = [(row_shape if in_rows else layer_shape)(view.shape) for view in (left, right)]
    if left.shape != shape_of(node) or not _repeats(*shapes):
        raise UnsupportedLayer(
            f"{label(node)}: {wide(left.shape)} and {wide(right.shape)} do not combine; allowed "
            "are two equal shapes, and one value for neighboring axes, such as (N, C, 1, 1) or "
            "(N, 1, H, W), as the second"
        )
    reader.emit(node, kind, [left, right], in_rows=in_rows, **fields)


def _repeats(whole: Shape, part: Shape) -> bool:
    """True if `part` has extent 1 along neighboring axes of `whole`, and else its extents."""
    if len(whole) != len(part) or any(m not in (1, n) for n, m in zip(whole, part, strict=True)):
        return False
    kinds = [n != m for n, m in zip(whole, part, strict=True) if n > 1]
    return sum(1 for repeated, _ in groupby(kinds) if repeated) <= 1


def _shifted(reader: Reader, node: fx.Node, left: View, constant: Array) -> None:
    if per_channel(_in_memory(left, constant)) is not None:
        _affine(reader, node, left, np.array(1.0, np.float32), constant)
    else:
        _emit_with_constant(reader, node, "add", left, constant)


def _scaled(reader: Reader, node: fx.Node, left: View, constant: Array) -> None:
    if per_channel(_in_memory(left, constant)) is not None:
        _affine(reader, node, left, constant, 0.0)
    else:
        _emit_with_constant(reader, node, "mul", left, constant)


def _emit_with_constant(
    reader: Reader, node: fx.Node, kind: LayerKind, left: View, constant: Array
) -> None:
    """A layer with a constant that differs from position to position."""
    weight = _in_memory(left, constant)
    made = _constant_of(node)
    reader.emit(node, kind, [left], keeps_order=True, weight=weight, constant=made)


def _affine(
    reader: Reader, node: fx.Node, source: View, scale: Array, shift: Array | float
) -> None:
    """source * scale + shift, each one number or one per channel."""
    scale, shift = np.asarray(scale, np.float32), np.asarray(shift, np.float32)
    weight, bias = (per_channel(_in_memory(source, values)) for values in (scale, shift))
    if weight is None or bias is None:
        raise UnsupportedLayer(
            f"{label(node)}: a constant minus a value; allowed is one number, or one per channel"
        )
    several = scale.size > 1 or shift.size > 1
    constant = _constant_of(node) if several else ""
    reader.emit(
        node, "affine", [source], keeps_order=True, weight=weight, bias=bias, constant=constant
    )


def _in_memory(source: View, values: Array) -> Array:
    """`values`, which broadcast to the shape in torch, as they lie beside `source`."""
    shape = source.shape
    if len(shape) == 2:
        return constant_in_memory(values, shape, source.order, layer_shape(shape))
    if source.in_rows:
        return constant_in_memory(values, shape, row_order(shape), row_shape(shape))
    return constant_in_memory(values, shape, own_order(shape), layer_shape(shape))


def _constant_of(node: fx.Node) -> str:
    """The name of the operation that makes the constant operand of `node`."""
    return next((v.name for v in node.all_input_nodes if "constant" in v.meta), "")
