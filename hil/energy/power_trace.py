"""A power analyzer's CSV trace: energy and power of the inferences in it.

Columns are known by their headings, in the styles of Nordic's PPK2 ("Timestamp(ms),Current(uA),
D0-D7"), of "Time (ms);Current (nA)" and the like: a time, a current or a power, maybe a voltage,
maybe digital channels (a column each, or one of bit strings). Units stand in the heading ("uA",
"[mW]", "(ms)"), else they are s, A, W, V. Lines before the headings are skipped; a semicolon or tab
may separate, and after a semicolon decimals may be written 0,5.

An inference (or a batch of them) lasts while a digital channel is high, or while the power is above
a threshold. One that the trace's start or end cuts off does not count. Where windows or the gaps
between them are so unlike that a threshold must have cut inferences in pieces, none is believed.
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
from hil.energy.energy import Energy
from hil.types import Floats

_SCALES = {"n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}
_END = "(?![A-Za-z])"  # of a word; an underscore or a unit in parentheses may follow
_QUANTITIES = {
    "time": ("s", re.compile(rf"^(time|timestamp|t){_END}", re.I)),
    "current": ("A", re.compile(rf"\bcurrent{_END}|^i{_END}", re.I)),
    "power": ("W", re.compile(rf"\bpower{_END}|^p{_END}", re.I)),
    "voltage": ("V", re.compile(rf"\bvoltage{_END}|^[uv]{_END}|\bvdd{_END}", re.I)),
}
_DIGITAL = re.compile(r"^(d\d+|gpio?\d*|bits|(trigger|marker|digital)\w*)$", re.I)
_BIT_STRING = re.compile(r"^d0-d(\d)$", re.I)  # PPK2: a column of 0s and 1s, D0 first
_HEADING_LINES = 50
# An inference takes the same time again and again; a longer one is another thing, or several.
_LENGTH_RATIO = 2.0
# Ripple across a threshold makes gaps within an inference beside those between inferences.
_GAP_RATIO = 10.0
_REMEDY = "take another threshold, a trigger (--trigger), or a trace of them alone"


@dataclass(frozen=True, slots=True)
class Trace:
    """Samples in the order of time; each holds until the next. `digital` is by column heading."""

    name: str
    times_s: Floats
    watts: Floats
    digital: dict[str, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Window:
    """What lies between two markers: samples first..end-1 of the trace."""

    first: int
    end: int
    seconds: float
    joules: float


def read_trace(path: Path, supply_v: float | None = None) -> Trace:
    """The trace in a CSV file. `supply_v` turns currents into powers if no column has voltages.

    Raises UserError for a file that is no such trace, naming the line or column.
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
        raise UserError(f"{path}: time does not go on at sample {row}")
    watts = _watts(path, values, supply_v)
    channels = [_channels(headings[index], table[index]) for index in digital]
    return Trace(path.name, times_s, watts, dict(itertools.chain(*channels)))


def windows(
    trace: Trace, trigger: str | None = None, threshold_w: float | None = None
) -> tuple[Window, ...]:
    """The complete windows of a trace: where `trigger` is high, or the power above `threshold_w`.

    With neither, the only digital channel that ever changes is the trigger. Raises UserError if
    there is none, or no complete window, or if the power crosses the threshold within inferences.
    """
    if threshold_w is not None:
        high = trace.watts > threshold_w
        what = f"power above {threshold_w:g} W"
    else:
        channel = trigger or _only_trigger(trace)
        if channel not in trace.digital:
            raise UserError(
                f"{trace.name}: no digital channel {channel!r}: there are "
                + (", ".join(trace.digital) or "none")
            )
        high, what = trace.digital[channel], f"channel {channel} high"
    edges = np.flatnonzero(np.diff(high.astype(np.int8))) + 1
    if len(edges) and not high[edges[0]]:
        edges = edges[1:]  # the trace starts within a window
    found = tuple(
        _window(trace, int(first), int(end))
        for first, end in zip(edges[::2], edges[1::2], strict=False)
    )
    if not found:
        raise UserError(f"{trace.name}: {what} from a beginning to an end: not once")
    if threshold_w is not None:
        _check_gaps(trace, found, what)
    return found


def energy_from_trace(trace: Trace, found: Sequence[Window], inferences: int = 1) -> Energy:
    """Energy per inference: median of the windows, the lowest and the highest as error bar.

    `inferences` is how many of them each window holds. The analyzer's own error is not included.
    Raises UserError for windows that cannot all be the same work.
    """
    shortest, longest = (f(window.seconds for window in found) for f in (min, max))
    if longest > _LENGTH_RATIO * shortest:
        raise UserError(
            f"{trace.name}: {len(found)} windows last {1e3 * shortest:.4g} to "
            f"{1e3 * longest:.4g} ms, though the same inferences take the same time; {_REMEDY}"
        )
    microjoules = [1e6 * window.joules / inferences for window in found]
    each = f" of {inferences} inferences" if inferences > 1 else ""
    return Energy(
        float(np.median(microjoules)),
        min(microjoules),
        max(microjoules),
        f"trace {trace.name}, {len(found)} window{'s' if len(found) > 1 else ''}{each}",
    )


def active_watts(found: Sequence[Window]) -> float:
    """Mean power within the windows."""
    return sum(window.joules for window in found) / sum(window.seconds for window in found)


def idle_watts(trace: Trace, found: Sequence[Window]) -> float | None:
    """Mean power between the windows; None where there is only one."""
    if len(found) < 2:
        return None
    return active_watts([_window(trace, a.end, b.first) for a, b in itertools.pairwise(found)])


# ---- inside


def _check_gaps(trace: Trace, found: Sequence[Window], what: str) -> None:
    """Raises UserError where some gaps are too short, beside others, to lie between inferences."""
    gaps_s = [trace.times_s[b.first] - trace.times_s[a.end] for a, b in itertools.pairwise(found)]
    if not gaps_s or max(gaps_s) <= _GAP_RATIO * min(gaps_s):
        return
    if min(gaps_s) < _LENGTH_RATIO * max(window.seconds for window in found):
        raise UserError(
            f"{trace.name}: {what} {len(found)} times, {1e3 * min(gaps_s):.4g} to "
            f"{1e3 * max(gaps_s):.4g} ms apart: it crosses within an inference; {_REMEDY}"
        )


def _window(trace: Trace, first: int, end: int) -> Window:
    """The trace has a sample number `end`: that in which the window's end was seen."""
    durations_s = np.diff(trace.times_s[first : end + 1])
    joules = float(durations_s @ trace.watts[first:end])
    return Window(first, end, float(durations_s.sum()), joules)


def _only_trigger(trace: Trace) -> str:
    changing = [name for name, high in trace.digital.items() if high.any() and not high.all()]
    if len(changing) != 1:
        what = f"digital channels {', '.join(changing)} change" if changing else "no trigger in it"
        raise UserError(f"{trace.name}: {what}: name the trigger, or give a threshold")
    return changing[0]


def _headings(path: Path, text: str) -> tuple[int, str, list[str]]:
    """Number of the first line after the headings, the separator, and the headings."""
    for number, line in enumerate(text.splitlines()[:_HEADING_LINES]):
        for separator in ";\t,":
            cells = [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
            kinds = {_kind(cell) for cell in cells}
            if "time" in kinds and kinds & {"current", "power"}:
                return number + 1, separator, cells
    raise UserError(
        f"{path}: no headings with a time and a current or power in {_HEADING_LINES} lines"
    )


def _kind(heading: str) -> str:
    for kind, (_, pattern) in _QUANTITIES.items():
        if pattern.search(heading):
            return kind
    return ""


def _bits(heading: str) -> int:
    """How many channels a column of bit strings holds; 0 if it is none."""
    found = _BIT_STRING.match(heading)
    return int(found[1]) + 1 if found else 0


def _channels(heading: str, values: Floats) -> list[tuple[str, NDArray[np.bool_]]]:
    """The digital channels in a column, by name."""
    bits = _bits(heading)
    if not bits:
        return [(heading, values != 0)]
    return [(f"D{i}", values // 10 ** (bits - 1 - i) % 10 != 0) for i in range(bits)]


def _scales(path: Path, headings: Sequence[str]) -> dict[str, tuple[int, float]]:
    """Index of each quantity's first column, and what turns its numbers into s, A, W or V."""
    scales: dict[str, tuple[int, float]] = {}
    for index, heading in enumerate(headings):
        kind = _kind(heading)
        if kind and kind not in scales:
            scales[kind] = index, _scale(path, heading, _QUANTITIES[kind][0])
    return scales


def _scale(path: Path, heading: str, unit: str) -> float:
    """1e-3 for "(mA)", "[ms]", "Current mA", "current_ma", "time_ms" and the like."""
    words = re.split(r"[^0-9A-Za-zµμ]+", heading)[1:]
    for word in words:
        for symbol in (unit, unit.lower()):
            prefix = word.removesuffix(symbol)
            if prefix != word and prefix in _SCALES:
                return _SCALES[prefix]
    unknown = re.search(r"[(\[]([^)\]]*)[)\]]", heading)
    if unknown and unknown[1].strip():
        raise UserError(f"{path}: column {heading!r}: {unknown[1]} is no unit in {unit}")
    return 1.0


def _numbers(
    path: Path,
    text: str,
    below: int,
    separator: str,
    columns: Sequence[int],
    digital: Sequence[int],
) -> Floats:
    """The numbers from line `below` on: a row per sample, only these columns."""
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
        raise UserError(f"{path}: too few samples, or some that are no numbers")
    return np.asarray(table, np.float64)


def _digits(text: str) -> float:
    """A digital channel's state, or a string of them; PPK2 writes - for unknown, X for both."""
    return float(text.strip().translate({ord("-"): "0", ord("X"): "1"}) or 0)


def _watts(path: Path, values: Mapping[str, Floats], supply_v: float | None) -> Floats:
    if "power" in values:
        return values["power"]
    if "voltage" in values:
        return values["current"] * values["voltage"]
    if supply_v is None:
        raise UserError(f"{path}: it has currents only: give the supply's voltage (--supply-v)")
    return values["current"] * supply_v
