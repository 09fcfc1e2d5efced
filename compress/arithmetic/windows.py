"""Geometry of sliding windows: output extents, padding, and the elements that each tap reads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compress.ops import Padding
from compress.types import Array, IntArray

LARGEST_WINDOW = 1024  # larger windows, strides, dilations or paddings mean a damaged file


def output_size(size: int, window: int, stride: int, dilation: int, padding: int) -> int:
    """Number of window positions along one axis; below 1 where the window does not fit.

    `padding` is the sum of both sides, in elements.
    """
    return (size + padding - (window - 1) * dilation - 1) // stride + 1


def same_padding(
    size: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> Padding:
    """TFLite's SAME (tensorflow/lite/kernels/padding.h): the odd element goes after."""
    vertical, horizontal = (
        max(0, (-(-n // s) - 1) * s + (w - 1) * d + 1 - n)
        for n, w, s, d in zip(size, window, stride, dilation, strict=True)
    )
    return Padding(
        vertical // 2, vertical - vertical // 2, horizontal // 2, horizontal - horizontal // 2
    )


def pad(x: IntArray, padding: Padding, value: int) -> IntArray:
    """x (N, H, W, C) with `value` around H and W; x itself where there is nothing to pad."""
    if padding == Padding():
        return x
    n, height, width, channels = x.shape
    vertical, horizontal = padding.top + padding.bottom, padding.left + padding.right
    padded = np.full((n, height + vertical, width + horizontal, channels), value, x.dtype)
    padded[:, padding.top : padding.top + height, padding.left : padding.left + width] = x
    return padded


def spread(
    x: IntArray,
    window: tuple[int, ...],
    stride: tuple[int, int],
    crop: tuple[int, int],
    output: tuple[int, ...],
    value: int,
) -> IntArray:
    """x (N, H, W, C) with its pixels `stride` apart and `value` between and around them.

    A window that moves over it by steps of 1 has as many positions as the transposed convolution
    has outputs, and reads at each the pixels that reach it; `crop` as in `TransposeConv2D`,
    `output` is its shape (1, H', W', C').
    """
    rows, columns = output[1] + window[0] - 1, output[2] + window[1] - 1
    area = np.full((len(x), rows, columns, x.shape[3]), value, x.dtype)
    top, left = window[0] - 1 - crop[0], window[1] - 1 - crop[1]
    places = area[:, top :: stride[0], left :: stride[1]]
    inside = x[:, : places.shape[1], : places.shape[2]]
    places[:, : inside.shape[1], : inside.shape[2]] = inside
    return area


def taps(
    padded: Array,
    window: tuple[int, ...],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    output: tuple[int, ...],
) -> Iterator[Array]:
    """For each element of the window, in row-major order, a view (N, H', W', C) of its inputs.

    `output` is the output's shape (1, H', W', C).
    """
    rows, columns = (output[1] - 1) * stride[0] + 1, (output[2] - 1) * stride[1] + 1
    for top in range(0, window[0] * dilation[0], dilation[0]):
        for left in range(0, window[1] * dilation[1], dilation[1]):
            yield padded[:, top : top + rows : stride[0], left : left + columns : stride[1]]
