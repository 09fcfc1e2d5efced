"""Front ends in integers: the tables of a declaration, and its input's quantization."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from compress.features.front_end import FrontEnd, Readings, Spectra
from compress.features.spectrum import POWER_DROP
from compress.features.tables import MOST_INT16, fft_order, q15, sines
from compress.types import Array, DType, Tensor

# Bits of the largest magnitude (twice the DFT's), sum of magnitudes and sum of powers.
_MAGNITUDE_BITS, _SUM_BITS, _POWER_SUM_BITS = 30, 32, 62
_MOST_FRACTION_BITS = 15
_MULTIPLIER_BITS, _OFFSET_BITS = 30, 61
_FULL_SCALE_BITS = 15  # of int16 samples


@dataclass(frozen=True, slots=True)
class Band:
    """The bins of a filter: the first, and a weight for each from there on, Q15."""

    first: int
    weights: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Quantization:
    """How values become the input: limited((value * multiplier + offset) >> shift), for each value.

    Limits are `lowest` and `highest`, within the input's type. Arrays are int64 (values,).
    """

    dtype: DType
    multipliers: Array
    offsets: Array
    shift: int
    lowest: int
    highest: int

    def apply(self, values: Array) -> Array:
        """The quantized values, of the input's type, of int64 (..., values)."""
        scaled = (values.astype(np.int64) * self.multipliers + self.offsets) >> self.shift
        return scaled.clip(self.lowest, self.highest).astype(self.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class IntegerSpectra:
    """`Spectra` in integers.

    `window` is Q15; windowed samples have `fraction_bits` after the point of an int16 sample.
    `sines` is a whole turn, Q15; `bands` the filters, each scaled to a largest weight of 1, and
    `floors` are added to their sums. `matrix` (bands, values) is Q15, its columns scaled to a
    largest coefficient of 1; None if there is none.
    """

    sample_rate_hz: int
    window: Array
    stride_samples: int
    frames: int
    dft_points: int
    fraction_bits: int
    sines: Array
    bands: tuple[Band, ...]
    power: bool
    floors: Array
    matrix: Array | None
    quantization: Quantization

    @property
    def window_samples(self) -> int:
        return len(self.window)

    @property
    def channels(self) -> int:
        return 1

    @property
    def values(self) -> int:
        """Values of a frame."""
        return len(self.quantization.multipliers)

    @property
    def planar(self) -> bool:
        return False


@dataclass(frozen=True, slots=True, eq=False)
class IntegerReadings:
    """`Readings` in integers: a frame is a reading, and its quantization is all arithmetic."""

    sample_rate_hz: int
    names: tuple[str, ...]
    units: tuple[str, ...]
    counts_per_unit: Array
    frames: int
    planar: bool
    quantization: Quantization

    @property
    def window_samples(self) -> int:
        return 1

    @property
    def stride_samples(self) -> int:
        return 1

    @property
    def channels(self) -> int:
        return len(self.names)

    @property
    def values(self) -> int:
        """Values of a frame."""
        return len(self.names)


IntegerFrontEnd = IntegerSpectra | IntegerReadings


def integers_of(front_end: FrontEnd, tensor: Tensor) -> IntegerFrontEnd:
    """The front end in integers, for the network's input `tensor` (int8 or int16).

    Raises ValueError for a tensor of another size or type, and for sizes that the FFT lacks.
    """
    if tensor.dtype not in ("int8", "int16"):
        raise ValueError(f"the input is {tensor.dtype}: must be int8 or int16")
    if isinstance(front_end, Readings):
        made: IntegerFrontEnd = _readings(front_end, tensor)
    else:
        made = _spectra(front_end, tensor)
    if made.frames * made.values != tensor.elements:
        raise ValueError(
            f"{made.frames} frames of {made.values} values for an input of {tensor.elements}"
        )
    return made


def _readings(front_end: Readings, tensor: Tensor) -> IntegerReadings:
    unit = 1.0 / np.asarray(front_end.counts_per_unit, np.float64)
    nothing = np.zeros(len(front_end.channels))
    return IntegerReadings(
        sample_rate_hz=front_end.sample_rate_hz,
        names=front_end.channels,
        units=front_end.units,
        counts_per_unit=np.asarray(front_end.counts_per_unit),
        frames=front_end.frames,
        planar=front_end.planar,
        quantization=_quantization(front_end, unit, nothing, tensor, MOST_INT16 + 1),
    )


def _spectra(front_end: Spectra, tensor: Tensor) -> IntegerSpectra:
    points = front_end.dft_points
    filters = np.asarray(front_end.filters, np.float64)
    if not len(front_end.window) <= points or len(fft_order(points)) < 8:
        raise ValueError(f"DFT of {points} points: must be at least 8 and the window's length")
    if filters.shape[0] != points // 2 + 1 or filters[0].any() or filters[-1].any():
        raise ValueError("filters must have a row for each bin, and zeros for the first and last")
    peaks = filters.max(axis=0)
    if not (peaks > 0).all():
        raise ValueError("every filter must have a weight above 0")
    weights = q15(filters / peaks)
    fraction_bits = _fraction_bits(front_end, filters / peaks)
    # Bits by which magnitudes in integers (of powers: their squares) are above real ones.
    above = _FULL_SCALE_BITS + fraction_bits + 1
    above = 2 * above - POWER_DROP + 15 if front_end.power else above
    sums_to_real = np.log2(peaks) - above
    matrix, columns = _columns(front_end.matrix)
    offset = sums_to_real if matrix is None else (matrix / (1 << 15)).T @ sums_to_real
    per_unit = front_end.log_scale * math.log(2) * columns
    floors = np.rint(front_end.floor * 2.0**above / peaks).astype(np.int64)
    return IntegerSpectra(
        sample_rate_hz=front_end.sample_rate_hz,
        window=q15(front_end.window),
        stride_samples=front_end.stride_samples,
        frames=front_end.frames,
        dft_points=points,
        fraction_bits=fraction_bits,
        sines=sines(points),
        bands=tuple(_band(column) for column in weights.T),
        power=front_end.power,
        floors=np.maximum(floors, 1),
        matrix=matrix,
        quantization=_quantization(
            front_end, per_unit / (1 << 16), per_unit * offset, tensor, 1 << 28
        ),
    )


def _band(weights: Array) -> Band:
    places = np.flatnonzero(weights)
    first, last = int(places[0]), int(places[-1])
    return Band(first, tuple(int(weight) for weight in weights[first : last + 1]))


def _columns(matrix: Array | None) -> tuple[Array | None, Array]:
    """The matrix in Q15 with columns scaled to a largest coefficient of 1, and their scales."""
    if matrix is None:
        return None, np.ones(1)
    columns = np.abs(np.asarray(matrix, np.float64)).max(axis=0)
    return q15(matrix / columns), columns


def _fraction_bits(front_end: Spectra, filters: Array) -> int:
    """The most bits after the point of windowed samples for which nothing overflows.

    Magnitudes are at most the sum of the window. Sums of magnitudes are bounded by Cauchy's
    inequality, sums of powers directly, both with Parseval's theorem: the squares of all bins up to
    half the sampling rate are at most N / 2 times those of the window.
    """
    window = np.abs(np.asarray(front_end.window, np.float64))
    energy = front_end.dft_points / 2 * float(window @ window)
    free = [_MAGNITUDE_BITS - 1 - _FULL_SCALE_BITS - math.log2(window.sum())]
    if front_end.power:
        bits = _POWER_SUM_BITS - 15 + POWER_DROP - math.log2(energy)
        free.append(bits / 2 - _FULL_SCALE_BITS - 1)
    else:
        widest = float(np.sqrt((filters**2).sum(axis=0)).max())
        free.append(_SUM_BITS - _FULL_SCALE_BITS - 1 - math.log2(widest * math.sqrt(energy)))
    bits_left = math.floor(min(free) - 0.01)  # roundings
    if bits_left < 0:
        raise ValueError(f"a window of {len(window)} samples is too long for 32-bit integers")
    return min(bits_left, _MOST_FRACTION_BITS)


def _quantization(
    front_end: FrontEnd, unit: Array, real_offset: Array, tensor: Tensor, most: int
) -> Quantization:
    """The quantization of integers, below `most`, whose real value is integer * unit + offset."""
    step = np.asarray(front_end.deviation, np.float64) * tensor.scale
    factors = np.broadcast_to(unit / step, np.shape(front_end.mean)).astype(np.float64)
    added = (real_offset - np.asarray(front_end.mean, np.float64)) / step + tensor.zero_point
    largest = max(float(np.abs(factors).max() * most), float(np.abs(added).max()) + 1)
    shift = min(
        _MULTIPLIER_BITS - math.ceil(math.log2(float(np.abs(factors).max()))),
        _OFFSET_BITS - math.ceil(math.log2(largest)),
    )
    info = np.iinfo(np.dtype(tensor.item))
    ends = np.array([info.min, info.max])
    if isinstance(front_end, Readings):
        limits = np.array([-1.0, 1.0]) * front_end.largest / tensor.scale + tensor.zero_point
        ends = np.rint(limits).clip(info.min, info.max)
    return Quantization(
        dtype=tensor.dtype,
        multipliers=np.rint(factors * 2.0**shift).astype(np.int64),
        offsets=np.rint((added + 0.5) * 2.0**shift).astype(np.int64),
        shift=shift,
        lowest=int(ends[0]),
        highest=int(ends[1]),
    )
