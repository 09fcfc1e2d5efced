"""Layouts: how torch's tensors lie in memory as NHWC, and which reshapes move no element.

A map (N, C, H, W) of torch is (N, H, W, C) here, a series (N, C, L) is (N, 1, L, C), a vector
(N, K) stays. The *order* of a value lists, for each element as it lies in memory here, the index
that it has in torch's contiguous tensor, without the batch: int64 (elements,). A reshape in torch
keeps these indices. It is free here if the order is the one that the new shape has by itself.
"""

import math

import numpy as np

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


def layer_axis(axis: int, rank: int) -> int:
    """The axis of `layer_shape` for one of torch's `rank` axes, which may be negative."""
    return {4: (0, 3, 1, 2), 3: (0, 3, 2)}.get(rank, tuple(range(rank)))[axis % rank]


def own_order(shape: Shape) -> Array:
    """The order of a value of this shape in torch that a layer has computed."""
    indices = np.arange(math.prod(shape[1:])).reshape(shape[1:])
    return (np.moveaxis(indices, 0, -1) if len(shape) > 2 else indices).ravel()


def permuted(order: Array, shape: Shape, axes: Shape) -> Array:
    """The order after torch's permute of a value of this `shape` and `order`.

    `axes` include the batch, which stays first.
    """
    before = np.arange(math.prod(shape[1:])).reshape(1, *shape[1:]).transpose(axes).ravel()
    return np.argsort(before)[order]


def is_own(order: Array, shape: Shape) -> bool:
    """True if a layer can read a value of this order as one of this shape in torch."""
    return np.array_equal(order, own_order(shape))


def in_layout(values: Array, shape: Shape, order: Array | None = None) -> Array:
    """`values`, which broadcast to torch's (1, *shape[1:]), as an array of the layer's shape.

    `order` is that of the value that they are combined with, if it is not the shape's own.
    """
    whole = np.broadcast_to(values, (1, *shape[1:])).ravel()
    order = own_order(shape) if order is None else order
    return np.ascontiguousarray(whole[order].reshape(layer_shape(shape)))


def per_channel(values: Array, shape: Shape) -> Array | None:
    """`values` as one number per channel (axis 1 of `shape` in torch), or None if they are not.

    `values` must broadcast to (1, *shape[1:]).
    """
    padded = values.reshape(*(1,) * (len(shape) - values.ndim), *values.shape)
    if padded.ndim != len(shape) or padded.size != padded.shape[1]:
        return None
    return np.broadcast_to(padded.ravel(), (shape[1],)).copy()
