"""Power analyzers' CSV files, read into traces.

Columns are recognized by their headings, in the styles of Nordic's PPK2 ("Timestamp(ms),
Current(uA),D0-D7"), of "Time (ms);Current (nA)" and the like. Required are a time and a current or
power; optional are a voltage and digital channels (a column each, or one column of bit strings).
Units stand in the headings ("uA", "[mW]", "(ms)"); the defaults are s, A, W, V. Lines before the
headings are skipped. Semicolon and tab are separators, too; with the semicolon, 0,5 is a number.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.errors import UserError
from hil.types import Floats

_SCALES = {"n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}
_END = "(?![A-Za-z])"  # end of a word; an underscore or a unit in parentheses may follow
_QUANTITIES = {
    "time": ("s", re.compile(rf"^(time|timestamp|t){_END}", re.I)),
    "current": ("A", re.compile(rf"\bcurrent{_END}|^i{_END}", re.I)),
    "power": ("W", re.compile(rf"\bpower{_END}|^p{_END}", re.I)),
    "voltage": ("V", re.compile(rf"\bvoltage{_END}|^[uv]{_END}|\bvdd{_END}", re.I)),
}
_DIGITAL = re.compile(r"^(d\d+|gpio?\d*|bits|(trigger|marker|digital)\w*)$", re.I)
_BIT_STRING = re.compile(r"^d0-d(\d)$", re.I)  # PPK2: a column of 0s and 1s, D0 first
_HEADING_LINES = 50


@dataclass(frozen=True, slots=True)
class Trace:
    """Samples in time order; each value holds until the next. `digital` maps channel to states."""

    name: str
    times_s: Floats
    watts: Floats
    digital: dict[str, NDArray[np.bool_]]


def read_trace(path: Path, supply_v: float | None = None) -> Trace:
    """Read a CSV file. `supply_v` (volts) turns currents into powers if no column has voltages.

    Raises UserError, naming the line or column, for a file that is not such a trace.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from None
    below, separator, headings = _headings(path, text)
    scales = _scales(path, headings)
    digital = [i for i, name in enumerate(headings) if _DIGITAL.match(name) or _bits(name)]
    used = sorted({index for index, _ in scales.values()} | set(digital))
    rows = _numbers(path, text, below, separator, used, digital)
    table = dict(zip(used, rows.T, strict=True))
    values = {kind: table[index] * scale for kind, (index, scale) in scales.items()}
    times_s = values["time"]
    if np.any(np.diff(times_s) <= 0):
        row = int(np.flatnonzero(np.diff(times_s) <= 0)[0]) + 2
        raise UserError(f"{path}: time does not increase at sample {row}")
    watts = _watts(path, values, supply_v)
    channels = [_channels(headings[index], table[index]) for index in digital]
    return Trace(path.name, times_s, watts, dict(itertools.chain(*channels)))


def trace_to_csv(trace: Trace) -> str:
    """The trace as a CSV file that `read_trace` reads: time, power, digital channels."""
    columns = [trace.times_s, trace.watts, *(high.astype(float) for high in trace.digital.values())]
    headings = ["Time(s)", "Power(W)", *trace.digital]
    formats = ["%.7f", "%.9g", *["%d"] * len(trace.digital)]
    lines = [",".join(formats) % tuple(row) for row in np.column_stack(columns).tolist()]
    return "\n".join([",".join(headings), *lines, ""])


def _headings(path: Path, text: str) -> tuple[int, str, list[str]]:
    """The index of the first line after the headings, the separator, and the headings."""
    for number, line in enumerate(text.splitlines()[:_HEADING_LINES]):
        for separator in ";\t,":
            try:
                cells = [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
            except csv.Error as error:
                raise UserError(f"{path}, line {number + 1}: {error}") from None
            kinds = {_kind(cell) for cell in cells}
            if "time" in kinds and kinds & {"current", "power"}:
                return number + 1, separator, cells
    raise UserError(
        f"{path}: no headings with a time and a current or power in the first "
        f"{_HEADING_LINES} lines"
    )


def _kind(heading: str) -> str:
    for kind, (_, pattern) in _QUANTITIES.items():
        if pattern.search(heading):
            return kind
    return ""


def _bits(heading: str) -> int:
    """The number of channels in a column of bit strings; 0 for another column."""
    found = _BIT_STRING.match(heading)
    return int(found[1]) + 1 if found else 0


def _channels(heading: str, values: Floats) -> list[tuple[str, NDArray[np.bool_]]]:
    """The names and states of the digital channels in a column."""
    bits = _bits(heading)
    if not bits:
        return [(heading, values != 0)]
    return [(f"D{i}", values // 10 ** (bits - 1 - i) % 10 != 0) for i in range(bits)]


def _scales(path: Path, headings: Sequence[str]) -> dict[str, tuple[int, float]]:
    """Each quantity's first column, and the factor from its unit to s, A, W or V."""
    scales: dict[str, tuple[int, float]] = {}
    for index, heading in enumerate(headings):
        kind = _kind(heading)
        if kind and kind not in scales:
            scales[kind] = index, _scale(path, heading, _QUANTITIES[kind][0])
    return scales


def _scale(path: Path, heading: str, unit: str) -> float:
    """The factor of a heading's unit: 1e-3 for "(mA)", "[ms]", "Current mA", "time_ms"."""
    words = re.split(r"[^0-9A-Za-zµμ]+", heading)[1:]
    for word in words:
        for symbol in (unit, unit.lower()):
            prefix = word.removesuffix(symbol)
            if prefix != word and prefix in _SCALES:
                return _SCALES[prefix]
    unknown = re.search(r"[(\[]([^)\]]*)[)\]]", heading)
    if unknown and unknown[1].strip():
        raise UserError(f"{path}: column {heading!r}: {unknown[1]} is not a unit of {unit}")
    return 1.0


def _numbers(
    path: Path,
    text: str,
    below: int,
    separator: str,
    columns: Sequence[int],
    digital: Sequence[int],
) -> Floats:
    """The numbers in `columns` from line `below` on: float64 (samples, columns)."""
    body = "\n".join(line for line in text.splitlines()[below:] if line.strip())
    if separator == ";":
        body = body.replace(",", ".")
    if not body:
        raise UserError(f"{path}: no samples")
    try:
        table = np.loadtxt(
            io.StringIO(body),
            delimiter=separator,
            ndmin=2,
            usecols=columns,
            comments=None,
            encoding="utf-8",
            converters=dict.fromkeys(digital, _digits),
        )
    except ValueError as error:
        raise UserError(f"{path}: below its headings: {error}") from None
    if len(table) < 2 or not np.isfinite(table).all():
        raise UserError(f"{path}: fewer than 2 samples, or one that is not a finite number")
    return np.asarray(table, np.float64)


def _digits(text: str) -> float:
    """A channel's state or a bit string, as a number; PPK2 writes - for unknown, X for both."""
    return float(text.strip().translate({ord("-"): "0", ord("X"): "1"}) or 0)


def _watts(path: Path, values: Mapping[str, Floats], supply_v: float | None) -> Floats:
    if "power" in values:
        return values["power"]
    if "voltage" in values:
        return values["current"] * values["voltage"]
    if supply_v is None:
        raise UserError(f"{path}: it has only currents: give the supply voltage (--supply-v)")
    return values["current"] * supply_v
