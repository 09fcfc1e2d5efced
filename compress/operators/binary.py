"""Element-wise operators of two operands, of which the second may be repeated or constant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import dropwhile
from typing import TypeVar

import numpy as np

from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer, UserError
from compress.operator_interface.channels import FIXED, Channels, CutConstants, Kept, Tie, sliced
from compress.operator_interface.checks import check_scale, require
from compress.ops import Add, Mul
from compress.tflite_records.import_node import ImportNode
from compress.types import Graph

Binary = Add | Mul
BinaryT = TypeVar("BinaryT", Add, Mul)


def check_operands(graph: Graph, op: Binary) -> None:
    """Require a right operand of the left one's shape or one that repeats over it."""
    left, right, out = graph.tensors[op.left], graph.tensors[op.right], graph.tensors[op.output]
    core = tuple(dropwhile(lambda n: n == 1, right.shape))
    repeats = (
        len(right.shape) <= len(left.shape) and left.shape[len(left.shape) - len(core) :] == core
    )
    if left.shape != out.shape or not repeats:
        raise UnsupportedLayer(
            f"{op.name}: {type(op).__name__} of {left.shape} and {right.shape} to {out.shape}"
        )
    if op.constant:
        data = right.data
        require(data is not None and data.shape == right.shape, op.name, f"{right.name} shape")
        if right.dtype != "int8" or len(right.scales) != 1:
            raise UnsupportedLayer(f"{op.name}: {right.name} must be int8 with one scale")
        check_scale(right, op.name)
    if out.dtype == "int16" and (op.constant or right.shape != left.shape):
        raise UnsupportedLayer(f"{op.name}: operands on int16 must be of one shape, not constant")


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


def import_operands(node: ImportNode, ordered: bool) -> tuple[int, int, bool]:
    """(left, right, right is constant); the operand that is repeated or constant comes second.

    Operands of an `ordered` operator, such as a difference, are not swapped.
    """
    tensors = node.tensors
    if len(node.stored.inputs) != 2:
        raise UserError(f"{node.label}: {len(node.stored.inputs)} inputs, must be 2")
    left, right = node.stored.inputs
    repeated = tensors[left].shape != tensors[node.output].shape
    if not ordered and (repeated or tensors[left].data is not None):
        left, right = right, left
    if tensors[left].data is not None:
        raise UnsupportedLayer(f"{node.label}: {tensors[left].name} is a constant")
    return left, right, tensors[right].data is not None
