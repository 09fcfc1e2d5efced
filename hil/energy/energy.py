"""Energy of an inference: power times time, each number with how far it may be off.

E = P_active * cycles / clock + P_idle * (period - cycles / clock)

The power of a Cortex-M that computes at a given clock, regulator and supply hardly depends on the
network (MLPerf Tiny v0.5 to v1.3, one board over the benchmark's tasks: within 5 % in most
submissions), so that one reading of one looped inference calibrates a board. A published figure for
another specimen, toolchain and set-up is good for 20 % (NUCLEO-L4R5ZI in MLPerf Tiny: some 14 %
between submitters with the same regulator and supply).
"""

from __future__ import annotations

from dataclasses import dataclass

from compress.errors import UserError
from hil.types import Board

CALIBRATED_ERROR = 0.05
_MICROJOULES_PER_MILLIJOULE = 1e3


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of one inference, or of one period if one was given; `source` says how it is known.

    `low` and `high` are its error bar, in microjoules, too.
    """

    microjoules: float
    low: float
    high: float
    source: str

    @classmethod
    def with_error(cls, microjoules: float, error: float, source: str) -> Energy:
        """With an error bar of `error` (a share) to both sides."""
        return cls(microjoules, microjoules * (1 - error), microjoules * (1 + error), source)


def inference_energy(
    board: Board,
    cycles: float | None,
    period_s: float | None = None,
    cycles_error: float = 0.0,
) -> Energy | None:
    """Energy of an inference of `cycles` core cycles (None where only instructions were counted).

    `cycles_error` is what the cycles may be off by, a share: modelled ones are; it adds to the
    error bar.

    With `period_s` the time between two inferences is spent asleep and counts, too. None
    where a figure that is needed is not known. Raises UserError for a period shorter than the
    inference.
    """
    figure = board.energy
    if figure is None or cycles is None:
        return None
    active_s = cycles / figure.clock_hz
    millijoules = figure.active_mw * active_s
    source = f"estimate: {figure.source}"
    if period_s is not None:
        if period_s < active_s:
            raise UserError(
                f"a period of {period_s:g} s is shorter than the inference, {active_s:.4g} s"
            )
        if figure.idle_mw is None:
            return None
        millijoules += figure.idle_mw * (period_s - active_s)
        source += f"; one inference per {period_s:g} s"
    error = figure.error + cycles_error
    return Energy.with_error(_MICROJOULES_PER_MILLIJOULE * millijoules, error, source)
