"""What is computed of a signal before a network sees it: declared by a task, in real numbers.

`compress.features.integer` turns a declaration into the integers that a device computes with.
"""

from __future__ import annotations

from dataclasses import dataclass

from compress.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class Spectra:
    """Logarithmic spectra of a signal of one channel, one frame after the other.

    A frame is `window` (samples,) times as many samples, followed by zeros up to `dft_points`, of
    which the magnitudes (`power`: their squares) of the DFT go through `filters` (DFT bins, bands);
    then `log_scale` times the natural logarithm of the sum and `floor`; then, if there is one,
    `matrix` (bands, values), as the cosines of an MFCC; then less `mean` and divided by `deviation`
    (values,). Samples are of -1..1, here int16 / 32768. `frames` of them, the earliest first, are
    an input of the network; each starts `stride_samples` after the one before.
    """

    sample_rate_hz: int
    window: Array
    stride_samples: int
    frames: int
    dft_points: int
    filters: Array
    power: bool
    log_scale: float
    floor: float
    matrix: Array | None
    mean: Array
    deviation: Array


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """Readings of sensors: less `mean`, divided by `deviation`, limited to -largest..largest.

    A reading has a value for each of `channels`; the device has them as int16, of which
    `counts_per_unit` (channels,) are the unit that `mean` and `deviation` are in. `frames` readings
    are an input of the network: by time and then by channel or, if `planar`, by channel first.
    """

    sample_rate_hz: int
    channels: tuple[str, ...]
    units: tuple[str, ...]
    counts_per_unit: Array
    frames: int
    mean: Array
    deviation: Array
    largest: float
    planar: bool


FrontEnd = Spectra | Readings
