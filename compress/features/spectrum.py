"""Integer spectra, bit for bit as the generated C computes them: windows, FFT, magnitudes, bands.

All values fit the C types int32_t and uint32_t (powers and their sums: uint64_t); shifts to the
right round down. An FFT of N real samples is one of N / 2 complex values, even samples as real and
odd ones as imaginary parts (radix 4, decimation in time), and the separation of both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.features.tables import (
    ONE_Q15,
    ROOT_FIRST,
    fft_order,
    logarithms,
    roots,
    shifted_left,
    top_bit,
)
from compress.types import Array

if TYPE_CHECKING:
    from compress.features.integer import IntegerSpectra

_HALF_Q15 = ONE_Q15 // 2
_ROOTS, _LOGARITHMS = roots(), logarithms()


def frame_values(front_end: IntegerSpectra, samples: Array) -> Array:
    """The values int64 (frames, values), before quantization, of samples int16 (frames, window)."""
    logs = band_logarithms(front_end, samples)
    matrix = front_end.matrix
    if matrix is None:
        return logs
    return np.asarray(((logs[:, :, None] * matrix + _HALF_Q15) >> 15).sum(axis=1))


def band_logarithms(front_end: IntegerSpectra, samples: Array) -> Array:
    """log2 of each band's sum, 16 bits after the point, int64 (frames, bands)."""
    drop = 15 - front_end.fraction_bits
    windowed = (samples.astype(np.int64) * front_end.window + (1 << drop >> 1)) >> drop
    padded = np.zeros((len(samples), front_end.dft_points), np.int64)
    padded[:, : windowed.shape[1]] = windowed
    real, imaginary = bins_of(front_end, *_transform(front_end, padded))
    bins = bin_powers(real, imaginary) if front_end.power else magnitudes(real, imaginary)
    sums: Array = np.empty((len(samples), len(front_end.bands)), np.int64)
    for number, band in enumerate(front_end.bands):
        own = bins[:, band.first : band.first + len(band.weights)]
        products: Array = own * np.array(band.weights, np.int64)
        if not front_end.power:
            products = (products + _HALF_Q15) >> 15
        sums[:, number] = products.sum(axis=1) + front_end.floors[number]
    return base_2_logarithms(sums)


def _transform(front_end: IntegerSpectra, frames: Array) -> tuple[Array, Array]:
    """Real and imaginary parts int64 (frames, N / 2) of the FFT of frames int64 (frames, N)."""
    points = front_end.dft_points // 2
    order = fft_order(points)
    real, imaginary = frames[:, 0::2][:, order], frames[:, 1::2][:, order]
    length = 1
    if points.bit_length() % 2 == 0:  # an odd power of two: pairs first
        real, imaginary = (_pairs(part) for part in (real, imaginary))
        length = 2
    while length < points:
        real, imaginary = _quarters(front_end.sines, real, imaginary, length)
        length *= 4
    return real, imaginary


def _pairs(part: Array) -> Array:
    first, second = part[:, 0::2], part[:, 1::2]
    joined: Array = np.stack([first + second, first - second], axis=2)
    return joined.reshape(part.shape)


def _quarters(sine: Array, real: Array, imaginary: Array, length: int) -> tuple[Array, Array]:
    """The step that makes transforms of 4 * length values out of four of `length`."""
    shape = (len(real), real.shape[1] // (4 * length), 4, length)
    x, y = real.reshape(shape), imaginary.reshape(shape)
    turned = [(x[:, :, 0], y[:, :, 0])]
    for part in (1, 2, 3):
        angle = part * np.arange(length) * (len(sine) // (4 * length))
        turned.append(_turned(sine, x[:, :, part], y[:, :, part], angle))
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = turned
    sums = (ax + cx, ay + cy, ax - cx, ay - cy)
    others = (bx + dx, by + dy, bx - dx, by - dy)
    out_x = (sums[0] + others[0], sums[2] + others[3], sums[0] - others[0], sums[2] - others[3])
    out_y = (sums[1] + others[1], sums[3] - others[2], sums[1] - others[1], sums[3] + others[2])
    joined_x, joined_y = (np.stack(parts, axis=2) for parts in (out_x, out_y))
    return joined_x.reshape(real.shape), joined_y.reshape(real.shape)


def _turned(sine: Array, x: Array, y: Array, angle: Array) -> tuple[Array, Array]:
    """(x + iy) exp(-2 pi i angle / points); an angle of 0 changes nothing."""
    s, c = sine[angle], sine[(angle + len(sine) // 4) % len(sine)]
    turned_x = (x * c + y * s + _HALF_Q15) >> 15
    turned_y = (y * c - x * s + _HALF_Q15) >> 15
    return np.where(angle == 0, x, turned_x), np.where(angle == 0, y, turned_y)


def bins_of(front_end: IntegerSpectra, real: Array, imaginary: Array) -> tuple[Array, Array]:
    """Twice the DFT of the real frames, bins 0 to N / 2 - 1 (bin 0 is not computed: zeros)."""
    points = real.shape[1]
    bins = np.arange(1, points)
    x, y, mirrored_x, mirrored_y = (
        part[:, places]
        for part, places in (
            (real, bins),
            (imaginary, bins),
            (real, points - bins),
            (imaginary, points - bins),
        )
    )
    odd_x, odd_y = _turned(front_end.sines, y + mirrored_y, mirrored_x - x, bins)
    nothing = np.zeros((len(real), 1), np.int64)
    return (
        np.concatenate([nothing, x + mirrored_x + odd_x], axis=1),
        np.concatenate([nothing, y - mirrored_y + odd_y], axis=1),
    )


def bin_powers(real: Array, imaginary: Array) -> Array:
    """The squares of the magnitudes, less their last `POWER_DROP` bits."""
    return np.asarray((real * real + imaginary * imaginary) >> POWER_DROP)


POWER_DROP = 11


def magnitudes(real: Array, imaginary: Array) -> Array:
    """sqrt(real^2 + imaginary^2) with a relative error of 5e-5, of parts below 2^30."""
    x, y = np.abs(real), np.abs(imaginary)
    shift = top_bit(x | y) - 14
    half = (np.int64(1) << np.maximum(shift, 0)) >> 1
    x, y = shifted_left(x + half, -shift), shifted_left(y + half, -shift)
    square = x * x + y * y  # 2^28 to 2^31
    small = (square < 1 << 30).astype(np.int64)
    root = _interpolated(_ROOTS, square << (2 * small), 24, ROOT_FIRST)
    exponent = shift - small
    half = (np.int64(1) << np.maximum(-exponent, 0)) >> 1
    return np.where((real | imaginary) == 0, 0, shifted_left(root + half, exponent))


def base_2_logarithms(values: Array) -> Array:
    """log2 with 16 bits after the point and an error of 3e-5, of values from 1 to 2^63 - 1."""
    exponent = top_bit(values)
    mantissa = shifted_left(values, 31 - exponent) & ((1 << 31) - 1)
    return (exponent << 16) + _interpolated(_LOGARITHMS, mantissa, 24, 0)


def _interpolated(table: Array, places: Array, bits: int, first: int) -> Array:
    """The table between its entries, which are 2^bits apart; the first is that of place `first`."""
    entry = (places >> bits) - first
    entry = np.maximum(entry, 0)
    between = (places >> (bits - 16)) & 0xFFFF
    return np.asarray(table[entry] + ((table[entry + 1] - table[entry]) * between >> 16))
