"""Layouts: how torch's tensors lie in memory as NHWC, and which changes of shape move elements.

A map (N, C, H, W) of torch is (N, H, W, C) here, a series (N, C, L) is (N, 1, L, C), a vector
(N, K) stays. The *order* of a value lists, for each element as it lies in memory here, the index
that it has in torch's contiguous tensor, without the batch: int64 (elements,). A reshape in torch
keeps these indices. It is free here if the order is the one that the new shape has by itself.

A value may also lie *in rows*: as torch's contiguous tensor does, with torch's last axis as the
channels. What people write for sequences (N, L, K) and for maps with channels last is so.
"""

import math

import numpy as np

from compress.frontend.layers import Movement
from compress.types import Array

Shape = tuple[int, ...]


def layer_shape(shape: Shape) -> Shape:
    """The shape here, with batch 1, of a value that has this shape (N, ...) in torch."""
    match shape:
        case (_, channels, height, width):
            return 1, height, width, channels
        case (_, channels, length):
            return 1, 1, length, channels
        case _:
            return 1, *shape[1:]


def row_shape(shape: Shape) -> Shape:
    """The shape here, with batch 1, of a value that lies in rows."""
    return (1, 1, *shape[1:]) if len(shape) == 3 else (1, *shape[1:])


def layer_axis(axis: int, rank: int, in_rows: bool = False) -> int:
    """The axis of `layer_shape` for one of torch's `rank` axes, which may be negative.

    With `in_rows`, the axis of `row_shape`.
    """
    if in_rows:
        found = axis % rank
        return found + 1 if rank == 3 and found else found
    return {4: (0, 3, 1, 2), 3: (0, 3, 2)}.get(rank, tuple(range(rank)))[axis % rank]


def own_order(shape: Shape) -> Array:
    """The order of a value of this shape in torch that a layer has computed."""
    indices = np.arange(math.prod(shape[1:])).reshape(shape[1:])
    return (np.moveaxis(indices, 0, -1) if len(shape) > 2 else indices).ravel()


def row_order(shape: Shape) -> Array:
    """The order of a value that lies in rows."""
    return np.arange(math.prod(shape[1:]))


def permuted(order: Array, shape: Shape, axes: Shape) -> Array:
    """The order after torch's permute of a value of this `shape` and `order`.

    `axes` include the batch, which stays first.
    """
    before = np.arange(math.prod(shape[1:])).reshape(1, *shape[1:]).transpose(axes).ravel()
    return moved(order, before)


def moved(order: Array, sources: Array) -> Array:
    """The order after an operation of torch whose output element i is input element sources[i]."""
    return np.argsort(sources)[order]


def is_own(order: Array, shape: Shape) -> bool:
    """True if a layer can read a value of this order as one of this shape in torch."""
    return np.array_equal(order, own_order(shape))


def movement(order: Array, wanted: Array) -> Movement | None:
    """How elements of `order` get into the order `wanted`; None if no exchange of axes does it.

    Place j of the result takes the element at place p[j] of memory. If axes are exchanged, p is a
    sum over digits of j, each digit times a step. The digits are found from the last one on.
    """
    places = np.argsort(order)[wanted]
    digits: list[tuple[int, int]] = []  # (extent, step), the last one first
    count = 1
    while count < len(places):
        step = int(places[count])
        rest = places[: len(places) // count * count].reshape(-1, count)[:, 0]
        extent = 1
        while extent < len(rest) and rest[extent] == extent * step:
            extent += 1
        while len(rest) % extent:
            extent -= 1
        if extent == 1:
            return None
        digits.append((extent, step))
        count *= extent
    digits.reverse()
    by_step = sorted(range(len(digits)), key=lambda i: -digits[i][1])
    extents = tuple(digits[i][0] for i in by_step)
    axes = tuple(by_step.index(i) for i in range(len(digits)))
    found = np.arange(len(places)).reshape(extents).transpose(axes).ravel()
    return Movement(extents, axes) if np.array_equal(found, places) else None


def constant_in_memory(values: Array, shape: Shape, order: Array, stored: Shape) -> Array:
    """`values`, which broadcast to torch's (1, *shape[1:]), as an array of shape `stored`."""
    whole = np.broadcast_to(values, (1, *shape[1:])).ravel()
    return np.ascontiguousarray(whole[order].reshape(stored))


def per_channel(values: Array) -> Array | None:
    """`values` in memory as one number per channel, the last axis; None if they are not."""
    rows = values.reshape(-1, values.shape[-1])
    return rows[0].copy() if (rows == rows[0]).all() else None
