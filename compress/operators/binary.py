"""Element-wise operators of two operands, of which the second may be repeated or constant."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

import numpy as np

from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer, UserError
from compress.movement.broadcasting import broadcast, can_repeat
from compress.operator_interface.channels import FIXED, Channels, CutConstants, Kept, Tie, sliced
from compress.operator_interface.checks import check_scale, require
from compress.ops import Add, Maximum, Minimum, Mul, Op
from compress.tflite_records.import_node import ImportNode
from compress.types import Graph

Binary = Add | Mul | Minimum | Maximum
BinaryT = TypeVar("BinaryT", Add, Mul, Minimum, Maximum)


@dataclass(frozen=True, slots=True)
class Repetition:
    """How the right operand repeats: left is (blocks, repeats, elements), right (blocks, elements).

    Both in row-major order.
    """

    blocks: int
    repeats: int
    elements: int


def repetition(left: tuple[int, ...], right: tuple[int, ...]) -> Repetition | None:
    """How an operand of shape `right` repeats over `left`; None if it does so in another way."""
    aligned = (*(1,) * (len(left) - len(right)), *right)
    pairs = [(n, m) for n, m in zip(left, aligned, strict=False) if n != 1 or m != 1]
    if len(aligned) != len(left) or any(m not in (1, n) for n, m in pairs):
        return None
    # Axes of one kind after the other: kept, then repeated, then kept, each kind possibly missing.
    runs = [
        (repeats, math.prod(n for n, _ in run))
        for repeats, run in groupby(pairs, lambda pair: pair[0] != pair[1])
    ]
    repeated = [index for index, (repeats, _) in enumerate(runs) if repeats]
    if not repeated:
        return Repetition(1, 1, math.prod(left))
    if len(repeated) > 1:
        return None
    before, after = runs[: repeated[0]], runs[repeated[0] + 1 :]
    blocks, elements = (math.prod(count for _, count in part) for part in (before, after))
    return Repetition(blocks, runs[repeated[0]][1], elements)


def operand_repetition(graph: Graph, op: Binary) -> Repetition:
    """How the right operand repeats. Raises UnsupportedLayer if it does so in another way."""
    left, right, out = graph.tensors[op.left], graph.tensors[op.right], graph.tensors[op.output]
    found = repetition(left.shape, right.shape)
    if found is None or left.shape != out.shape:
        raise UnsupportedLayer(
            f"{op.name}: {type(op).__name__} of {left.shape} and {right.shape} to {out.shape}"
        )
    return found


def check_operands(graph: Graph, op: Binary) -> None:
    """Require a right operand of the left one's shape or one that repeats over it."""
    left, right = graph.tensors[op.left], graph.tensors[op.right]
    operand_repetition(graph, op)
    if op.constant:
        data = right.data
        require(data is not None and data.shape == right.shape, op.name, f"{right.name} shape")
        if right.dtype != left.dtype or len(right.scales) != 1:
            raise UnsupportedLayer(f"{op.name}: {right.name} must be {left.dtype} with one scale")
        check_scale(right, op.name)
        if right.dtype == "int16" and right.zero_point != 0:
            raise UnsupportedLayer(f"{op.name}: {right.name} is int16 with a zero point, must be 0")


def with_repeated_right(graph: Graph, op: Binary, kernel: Kernel) -> Kernel:
    """`kernel` with its right operand, a constant or not, shaped to repeat over the left one."""
    left, right = graph.tensors[op.left], graph.tensors[op.right]
    shape = (*(1,) * (len(left.shape) - len(right.shape)), *right.shape[1:])
    if not op.constant:
        return lambda a, b: kernel(a, b.reshape(len(b), *shape))
    if right.data is None:
        raise UserError(f"{op.name}: {right.name} has no data")
    data = right.data
    return lambda a: kernel(a, data)


def operand_ties(graph: Graph, op: Binary, channels: Channels) -> Iterator[Tie]:
    """Each output channel is tied to that of both operands; an operand of one channel is kept."""
    out = channels[op.output]
    yield out, channels[op.left]
    if not op.constant:
        right = channels[op.right]
        yield right, out if len(right) == len(out) else np.array(FIXED)


def cut_constant_operand(graph: Graph, op: BinaryT, kept: Kept, constants: CutConstants) -> BinaryT:
    """Cut a constant right operand that has one element per channel."""
    if not op.constant:
        return op
    right, out = graph.tensors[op.right], kept[op.output]
    if right.shape[-1:] == out.shape:
        right = sliced(right, out, axis=len(right.shape) - 1)
    return replace(op, right=constants.place(op.right, right))


def import_operands(node: ImportNode) -> tuple[list[Op], int, int, bool, bool]:
    """(operators before, left, right, right is constant, the stored operands are swapped).

    The operand that is repeated or constant comes second. One that repeats in a way that the
    kernels do not have is repeated before, a constant at once.
    """
    tensors, shape = node.tensors, node.tensors[node.output].shape
    if len(node.stored.inputs) != 2:
        raise UserError(f"{node.label}: {len(node.stored.inputs)} inputs, must be 2")
    left, right = node.stored.inputs
    repeated = tensors[left].shape != shape and tensors[right].shape == shape
    swapped = tensors[left].data is not None or (repeated and tensors[right].data is None)
    if swapped:
        left, right = right, left
    if tensors[left].data is not None:
        raise UnsupportedLayer(f"{node.label}: {tensors[left].name} is a constant")
    before: list[Op] = []
    data = tensors[right].data
    # Shapes that do not fit at all are left to the check.
    if tensors[left].shape != shape and can_repeat(tensors[left].shape, shape):
        left = _repeated(node, left, "left", before)
    unknown = repetition(shape, tensors[right].shape) is None
    if unknown and can_repeat(tensors[right].shape, shape):
        right = _repeated(node, right, "right", before) if data is None else _whole(node, right)
    return before, left, right, data is not None, swapped


def _repeated(node: ImportNode, index: int, side: str, before: list[Op]) -> int:
    """The activation repeated to the output's shape by operators that are added to `before`."""
    output = node.reshaped(index, node.tensors[node.output].shape, side)
    before += broadcast(node, index, output, f"{node.label}_{side}")
    return output


def _whole(node: ImportNode, index: int) -> int:
    """A constant repeated to the output's shape."""
    tensor, shape = node.tensors[index], node.tensors[node.output].shape
    data = np.broadcast_to(np.asarray(tensor.data), shape).copy()
    name = f"{node.tensors[node.output].name}_repeated"
    return node.add_tensor(replace(tensor, name=name, shape=shape, data=data))
