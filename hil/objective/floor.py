"""The floor of a search's goal as people give it: a value, or a distance to the float network."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from compress.errors import UserError
from compress.metrics.scale import MetricScale

Kind = Literal["absolute", "distance", "relative"]
_FORM = re.compile(
    r"(?P<base>float)?\s*(?P<number>[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)\s*(?P<unit>%)?"
)
CONFIDENCE = 0.8  # the probability of keeping the floor that is asked for by default
FORMS = "a value such as 0.9, a distance such as float-0.02, or a share such as float-2%"


@dataclass(frozen=True, slots=True)
class Floor:
    """The least value of a task's metric, or the most where less is better.

    `amount` is in the metric's unit: the value itself ("absolute") or what is added to that of the
    float network ("distance"); "relative" is added as a share of the float network's value.
    """

    amount: float
    kind: Kind = "absolute"

    def value(self, original: float) -> float:
        """The floor in the metric's unit for a float network that has the value `original`."""
        match self.kind:
            case "absolute":
                return self.amount
            case "distance":
                return original + self.amount
            case "relative":
                return original + self.amount * abs(original)

    def share(self, metric: MetricScale, original: float) -> float:
        """The floor as a share where more is better, of a metric with its reference."""
        return metric.share(self.value(original))

    def __str__(self) -> str:
        """The text that `parse_floor` reads."""
        match self.kind:
            case "absolute":
                return f"{self.amount:g}"
            case "distance":
                return f"float{self.amount:+g}"
            case "relative":
                return f"float{100 * self.amount:+g}%"


def parse_floor(text: str) -> Floor:
    """The floor that a text gives: `0.9`, `float-0.02`, `float-2%`. Raises UserError."""
    found = _FORM.fullmatch(text.strip())
    try:
        number = float(found["number"]) if found else math.nan
    except ValueError:  # such as 1.2.3
        number = math.nan
    signed = found is not None and found["number"][0] in "+-"
    if found is None or not math.isfinite(number) or (found["base"] and not signed):
        raise UserError(f"--floor {text!r}: must be {FORMS}")
    if found["base"] is None:
        if found["unit"]:
            raise UserError(
                f"--floor {text!r}: write {number / 100:g}, or a share of the float network's "
                f"value such as float-2%"
            )
        return Floor(number)
    return Floor(number / 100, "relative") if found["unit"] else Floor(number, "distance")


def check_floor(option: str, floor: Floor, metric: MetricScale) -> None:
    """Check a floor before the float network is known; `option` names it. Raises UserError.

    Of a metric that people read in percent, 0 < floor < 1; a distance must not ask for more than
    the float network has.
    """
    value = floor.amount
    if floor.kind != "absolute" and (value > 0 if metric.better == "higher" else value < 0):
        raise UserError(
            f"{option} {floor}: {metric.title} is better where it is {metric.better}, so that this "
            f"is better than the float network; did you mean {Floor(-value, floor.kind)}?"
        )
    if floor.kind == "absolute" and metric.in_percent and not 0.0 < value < 1.0:
        hint = f"; did you mean {value / 100:g}?" if 1.0 < value < 100.0 else ""
        raise UserError(f"{option} {value:g}: must be a share of 1, 0 < {metric.title} < 1{hint}")
