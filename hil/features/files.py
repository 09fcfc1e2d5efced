"""The C files of a front end: features in integers, and a test of them with known values.

Templates hold the C; the numbers are those of `compress.features`. The same front end and prefix
give the same bytes: no date, no path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from compress.errors import UserError
from compress.features.golden import golden_samples
from compress.features.integer import IntegerFrontEnd, IntegerReadings, IntegerSpectra
from compress.features.reference import frames_of, input_samples, stream_input
from compress.features.spectrum import POWER_DROP
from compress.features.tables import fft_order, logarithms, roots
from hil.codegen.render import template
from hil.files import write_file

_C_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


def front_end_files(front_end: IntegerFrontEnd, prefix: str) -> Mapping[str, bytes]:
    """C11 sources by file name: PREFIX_features.h and .c, PREFIX_features_test.h and .c.

    They need no other file, no heap, and nothing but string.h of the C library; they compile as
    C11, the headers as C++ too. PREFIX_features.h documents the interface. The test has its own
    signal and expected values. Raises UserError for a prefix that is no lower-case name in C.
    """
    if not _C_NAME.fullmatch(prefix):
        raise UserError(
            f"prefix {prefix!r}: must be a name in C of at most 32 lower-case letters, digits and _"
        )
    context = _context(front_end, prefix)
    return {
        f"{prefix}_{name}": template(name).render(context).encode()
        for name in ("features.h", "features.c", "features_test.h", "features_test.c")
    }


def write_front_end(front_end: IntegerFrontEnd, folder: Path) -> None:
    """Write the C files, with the prefix "model", into a folder. Raises UserError if it cannot."""
    for name, content in front_end_files(front_end, "model").items():
        write_file(folder / name, content)


def features_scratch_bytes(front_end: IntegerFrontEnd) -> int:
    """Bytes that a call works in and that hold nothing between calls."""
    if isinstance(front_end, IntegerSpectra):
        return 4 * (front_end.dft_points + len(front_end.bands))
    return 4


def _context(front_end: IntegerFrontEnd, prefix: str) -> dict[str, Any]:
    quantization = front_end.quantization
    signal = golden_samples(front_end)
    is_spectral = isinstance(front_end, IntegerSpectra)
    own = _spectral(front_end) if isinstance(front_end, IntegerSpectra) else _readings(front_end)
    return {
        "prefix": prefix,
        "upper": prefix.upper(),
        "type": f"{quantization.dtype}_t",
        "rate_hz": front_end.sample_rate_hz,
        "channels": front_end.channels,
        "window": front_end.window_samples,
        "stride": front_end.stride_samples,
        "frames": front_end.frames,
        "values": front_end.values,
        "samples": input_samples(front_end),
        "planar": front_end.planar,
        "multipliers": quantization.multipliers.tolist(),
        "offsets": quantization.offsets.tolist(),
        "shift": quantization.shift,
        "lowest": quantization.lowest,
        "highest": quantization.highest,
        "spectral": is_spectral,
        "signal": signal.reshape(-1).tolist(),
        "expected": stream_input(front_end, signal).tolist(),
        "made": len(frames_of(front_end, signal)),
        "at_a_time": max(1, front_end.stride_samples * 2 // 3),
        **own,
    }


def _spectral(front_end: IntegerSpectra) -> dict[str, Any]:
    bands = front_end.bands
    starts = np.cumsum([0, *(len(band.weights) for band in bands)]).tolist()
    last_bin = max(band.first + len(band.weights) - 1 for band in bands)
    points = front_end.dft_points // 2
    squares = "their squares, " if front_end.power else ""
    matrix = front_end.matrix
    cosines = "" if matrix is None else f", {matrix.shape[1]} sums of them weighted by cosines"
    return {
        "words": [
            f"A sample is an int16. Of a frame: its window, DFT of {front_end.dft_points} points, "
            f"magnitudes, {squares}{len(bands)} mel bands,",
            f"logarithms{cosines}; then the scaling of the training data.",
        ],
        "dft_points": front_end.dft_points,
        "fraction_bits": front_end.fraction_bits,
        "half": (1 << (15 - front_end.fraction_bits)) >> 1,
        "first_length": 2 if points.bit_length() % 2 == 0 else 1,
        "window_table": front_end.window.tolist(),
        "sines": front_end.sines.tolist(),
        "order": fft_order(points),
        "weights": [weight for band in bands for weight in band.weights],
        "bands": [
            {"first": b.first, "bins": len(b.weights), "weight": start, "floor": int(floor)}
            for b, start, floor in zip(bands, starts, front_end.floors, strict=False)
        ],
        "last_bin": last_bin,
        "power": front_end.power,
        "power_drop": POWER_DROP,
        "matrix": None if matrix is None else matrix.reshape(-1).tolist(),
        "roots": roots().tolist(),
        "logarithms": logarithms().tolist(),
    }


def _readings(front_end: IntegerReadings) -> dict[str, Any]:
    each = zip(front_end.names, front_end.units, front_end.counts_per_unit, strict=True)
    return {
        "words": [
            f"A sample are {front_end.channels} int16 numbers, in counts:",
            *(f"  {name}: {count:g} counts are 1 {unit}" for name, unit, count in each),
            "They are scaled as the training data were, and limited.",
        ]
    }
