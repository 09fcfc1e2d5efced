"""Parsers for sizes, times, energies and objective weights: `64K`, `50ms`, `1mJ`, `flash=1`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import fields

from compress.errors import UserError
from hil.objective.goal import ObjectiveWeights

BYTES = {"B": 1, "K": 1024, "KB": 1024, "KiB": 1024, "M": 1024**2, "MB": 1024**2, "MiB": 1024**2}
MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
MICROJOULES = {"uJ": 1.0, "mJ": 1e3, "J": 1e6}
JOULES = {"J": 1.0, "kJ": 1e3, "MJ": 1e6}

_NUMBER_AND_UNIT = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z]*)\s*", re.ASCII)
_MICRO = str.maketrans("\N{MICRO SIGN}\N{GREEK SMALL LETTER MU}", "uu")


def bytes_in(option: str, text: str) -> int:
    """The bytes in a text such as `64K`; K, KB and KiB are 1024, no unit means bytes."""
    return max(1, round(_quantity(option, text, BYTES, "64K, 64KB, 64KiB or 1M; or bytes, 65536")))


def milliseconds_in(option: str, text: str) -> float:
    """The milliseconds in a text such as `50ms`, `800us`, `0.05s`; no unit means milliseconds."""
    return _quantity(option, text, MILLISECONDS, "800us, 50ms or 0.05s; or milliseconds, 50")


def microjoules_in(option: str, text: str) -> float:
    """The microjoules in a text such as `1mJ`, `800uJ`, `0.001J`; no unit means microjoules."""
    return _quantity(option, text, MICROJOULES, "800uJ, 1mJ or 0.001J; or microjoules, 1000")


def joules_in(option: str, text: str) -> float:
    """The joules in a text such as `20kJ`; no unit means joules."""
    return _quantity(option, text, JOULES, "900J, 20kJ or 1MJ; or joules, 20000")


def share_in(option: str, text: str) -> float:
    """The share of 1 in a text such as `5%` or `0.05`. Raises UserError unless it is 0 .. 1."""
    number, percent, rest = text.strip().partition("%")
    value = _plain_number(number)
    share = None if value is None or rest else value / 100 if percent else value
    if share is None or share > 1:
        hint = f"; did you mean {text.strip()}%?" if share is not None and share <= 100 else ""
        raise UserError(f"{option} {text!r}: must be a share, written like 5% or 0.05{hint}")
    return share


def weights_in(option: str, text: str) -> ObjectiveWeights:
    """The objective weights in a text such as `flash=1,ram=0.5`; those not named are 0.

    Raises UserError for a part that is not `name=number`, an unknown or repeated name, a negative
    number, and if all weights are 0.
    """
    names = tuple(field.name for field in fields(ObjectiveWeights))
    hint = f"NAME=NUMBER,..., of {', '.join(names)}, at least one of them above 0"
    weights = dict.fromkeys(names, 0.0)
    seen: set[str] = set()
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        value = _plain_number(number)
        if name not in weights or name in seen or value is None:
            raise UserError(f"{option} {text!r}: {part.strip()!r} is not understood; {hint}")
        weights[name] = value
        seen.add(name)
    if not any(weights.values()):
        raise UserError(f"{option} {text!r}: all weights are 0; {hint}")
    return ObjectiveWeights(**weights)


def _quantity(option: str, text: str, units: Mapping[str, float], forms: str) -> float:
    """The quantity in the unit whose factor is 1. Raises UserError with the allowed forms.

    Case does not matter (`64k`, `20KJ`), except for a leading m (milli) or M (mega).
    """
    match = _NUMBER_AND_UNIT.fullmatch(text.translate(_MICRO))
    if match is not None:
        number, unit = match.groups()
        factor = 1.0 if not unit else units.get(unit)
        if factor is None:
            folded = {_folded(name): value for name, value in units.items()}
            factor = folded.get(_folded(unit))
        if factor is not None and 0 < float(number) * factor < math.inf:
            return float(number) * factor
    raise UserError(f"{option} {text!r}: must be more than 0, written like {forms}")


def _folded(unit: str) -> str:
    """The unit in lower case, except for a leading m or M."""
    return unit[:1] + unit[1:].lower() if unit[:1] in ("m", "M") else unit.lower()


def _plain_number(text: str) -> float | None:
    """The number in `text`; None if it is not a finite number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None
