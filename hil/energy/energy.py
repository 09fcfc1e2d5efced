"""Energy of an inference: power times time, with an error bar.

E = P_active * cycles / clock + P_idle * (period - cycles / clock)

Its relative error is sqrt(error of the power ^ 2 + error of the cycles ^ 2): the two have nothing
to do with each other, one is of a supply current, the other of a model of the core. Counted cycles
have no error, modeled ones that of `hil.cycle_model.stated_error`.

The power of a Cortex-M that computes at a given clock, regulator and supply hardly depends on the
network (MLPerf Tiny v0.5 to v1.3, one board over the benchmark's tasks: within 5 % in most
submissions), so one reading during continuous inference calibrates a board. A published figure,
from another specimen, toolchain and set-up, is accurate to 20 % (NUCLEO-L4R5ZI in MLPerf Tiny:
submitters with the same regulator and supply differ by some 14 %).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from compress.errors import UserError
from hil.types import Board, PowerFigure

CALIBRATED_ERROR = 0.05
_MICROJOULES_PER_MILLIJOULE = 1e3


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of one inference, or of one period if one was given, with its error bar.

    `low` and `high` are the ends of the error bar, in microjoules; `source` names the power figure
    or the trace.
    """

    microjoules: float
    low: float
    high: float
    source: str

    @classmethod
    def with_error(cls, microjoules: float, error: float, source: str) -> Energy:
        """An energy with a symmetric error bar of the relative `error`."""
        return cls(microjoules, microjoules * (1 - error), microjoules * (1 + error), source)


def inference_energy(
    board: Board,
    cycles: float | None,
    period_s: float | None = None,
    cycles_error: float = 0.0,
) -> Energy | None:
    """Energy of an inference of `cycles` core cycles; None if the power or the cycles are unknown.

    `cycles_error` is the relative error of the cycles (modeled ones have one). With `period_s`, the
    time between two inferences is spent asleep and counts, too. Raises UserError for a period
    shorter than the inference.
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
    error = energy_error(figure, cycles_error)
    return Energy.with_error(_MICROJOULES_PER_MILLIJOULE * millijoules, error, source)


def energy_error(figure: PowerFigure, cycles_error: float) -> float:
    """The relative error of power times time, from the errors of the power and of the cycles."""
    return math.hypot(figure.error, cycles_error)
