"""Energy and power of the inferences in a power trace.

An inference (or a batch of them) lasts while a digital channel is high, or while the power is above
a threshold. An inference that the trace's start or end cuts off is not used. If the windows, or the
gaps between them, differ so much that a threshold must have split inferences, all are rejected.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compress.errors import UserError
from hil.energy.energy import Energy
from hil.energy.trace_csv import Trace

# Longest to shortest window: inferences take equal time, so a longer window is not one inference.
_LENGTH_RATIO = 2.0
# Longest to shortest gap: ripple across the threshold adds short gaps within an inference.
_GAP_RATIO = 10.0
_REMEDY = "use another threshold, a trigger (--trigger), or a trace of inferences only"


@dataclass(frozen=True, slots=True)
class Window:
    """One inference or batch of them: samples first..end-1 of the trace."""

    first: int
    end: int
    seconds: float
    joules: float


def windows(
    trace: Trace, trigger: str | None = None, threshold_w: float | None = None
) -> tuple[Window, ...]:
    """The complete windows of a trace: `trigger` is high, or the power is above `threshold_w`.

    With neither, the trigger is the only digital channel that ever changes. Raises UserError if
    there is no such channel or no complete window, or if the power crosses the threshold within an
    inference.
    """
    if threshold_w is not None:
        high = trace.watts > threshold_w
        what = f"power above {threshold_w:g} W"
    else:
        channel = trigger or _only_trigger(trace)
        if channel not in trace.digital:
            raise UserError(
                f"{trace.name}: no digital channel {channel!r}: the channels are "
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
        raise UserError(f"{trace.name}: {what}: never from beginning to end")
    if threshold_w is not None:
        _check_gaps(trace, found, what)
    return found


def energy_from_trace(trace: Trace, found: Sequence[Window], inferences: int = 1) -> Energy:
    """Energy per inference: the median of the windows, their minimum and maximum as error bar.

    `inferences` is the number of inferences per window. The analyzer's own error is not included.
    Raises UserError for windows of so different lengths that they cannot be the same work.
    """
    shortest, longest = (f(window.seconds for window in found) for f in (min, max))
    if longest > _LENGTH_RATIO * shortest:
        raise UserError(
            f"{trace.name}: {len(found)} windows last {1e3 * shortest:.4g} to "
            f"{1e3 * longest:.4g} ms, but equal inferences take equal time; {_REMEDY}"
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
    """Mean power within the windows, in watts."""
    return sum(window.joules for window in found) / sum(window.seconds for window in found)


def idle_watts(trace: Trace, found: Sequence[Window]) -> float | None:
    """Mean power between the windows, in watts; None if there is only one window."""
    if len(found) < 2:
        return None
    return active_watts([_window(trace, a.end, b.first) for a, b in itertools.pairwise(found)])


def _check_gaps(trace: Trace, found: Sequence[Window], what: str) -> None:
    """Raises UserError if some gaps are so short that they must lie within an inference."""
    gaps_s = [trace.times_s[b.first] - trace.times_s[a.end] for a, b in itertools.pairwise(found)]
    if not gaps_s or max(gaps_s) <= _GAP_RATIO * min(gaps_s):
        return
    if min(gaps_s) < _LENGTH_RATIO * max(window.seconds for window in found):
        raise UserError(
            f"{trace.name}: {what} {len(found)} times, {1e3 * min(gaps_s):.4g} to "
            f"{1e3 * max(gaps_s):.4g} ms apart: the power crosses it within an inference; {_REMEDY}"
        )


def _window(trace: Trace, first: int, end: int) -> Window:
    """The window of samples first..end-1; sample `end`, the first one outside, must exist."""
    durations_s = np.diff(trace.times_s[first : end + 1])
    joules = float(durations_s @ trace.watts[first:end])
    return Window(first, end, float(durations_s.sum()), joules)


def _only_trigger(trace: Trace) -> str:
    changing = [name for name, high in trace.digital.items() if high.any() and not high.all()]
    if len(changing) != 1:
        names = (
            f"digital channels {', '.join(changing)} change" if changing else "no channel changes"
        )
        raise UserError(f"{trace.name}: {names}: name the trigger, or give a threshold")
    return changing[0]
