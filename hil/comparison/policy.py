"""Tolerances of a comparison, by quantity, and the TOML file that has them.

[tolerance]
flash = "1%"              # of the former value
ram = "256"               # bytes, also 1K
cycles = "2% + 1000"      # both together
instructions = "2%"
energy = "5%"
accuracy = "0.5 points"   # percentage points that it may fall by
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compress.errors import UserError
from compress.files import toml_values
from hil.comparison.figures import ACCURACIES, COMPARED_COSTS

# The quantities that a name in a policy is about: those of one meaning by different counters.
POLICY_NAMES: Mapping[str, tuple[str, ...]] = {
    "flash": ("flash_bytes",),
    "ram": ("ram_bytes",),
    "cycles": ("model_cycles", "dwt_cycles"),
    "instructions": ("insn",),
    "waits": ("wait_cycles",),
    "energy": ("energy_uj",),
    "accuracy": ACCURACIES,
}
_FORMS = "a share such as 2%, an amount such as 512 or 1K (accuracy: 0.5 points), or both with +"
_UNITS = {"": 1.0, "k": 1024.0, "kib": 1024.0, "b": 1.0, "points": 0.01}
_PART = re.compile(
    r"\s*(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>%|k|kib|b|points|)\s*", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """By how much a quantity may get worse: a share of the former value, plus an amount."""

    share: float = 0.0
    amount: float = 0.0

    def allowed(self, old: float) -> float:
        """The most by which `old` may grow, of an accuracy fall."""
        return self.share * abs(old) + self.amount


@dataclass(frozen=True, slots=True)
class Policy:
    """Tolerances by quantity (`hil.comparison.figures`); one without is shown and decides nothing.

    A name in `required` (of `POLICY_NAMES`) must be comparable, so that no gate is passed unseen.
    """

    tolerances: Mapping[str, Tolerance]
    required: tuple[str, ...] = ()


def uniform(share: float, accuracy: bool = True) -> Policy:
    """The same relative tolerance for all costs; an accuracy that decides must not fall at all."""
    tolerances = dict.fromkeys(COMPARED_COSTS, Tolerance(share))
    if accuracy:
        tolerances |= dict.fromkeys(ACCURACIES, Tolerance())
    return Policy(tolerances)


def read_policy(path: Path) -> Policy:
    """The policy of a file. Raises UserError for one that cannot be read or is not as above."""
    try:
        values = toml_values(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a policy (TOML): {error}") from error
    given = values.get("tolerance")
    if set(values) != {"tolerance"} or not isinstance(given, dict) or not given:
        raise UserError(
            f"{path}: must have one section [tolerance], with {', '.join(POLICY_NAMES)}"
        )
    tolerances: dict[str, Tolerance] = {}
    for name, text in given.items():
        if name not in POLICY_NAMES:
            raise UserError(f"{path}: {name!r} is not known; allowed are {', '.join(POLICY_NAMES)}")
        tolerances |= dict.fromkeys(POLICY_NAMES[name], _tolerance(f"{path}: {name}", text))
    return Policy(tolerances, tuple(given))


def _tolerance(where: str, value: object) -> Tolerance:
    """The tolerance in a number or a text. Raises UserError."""
    share = amount = 0.0
    for part in str(value).split("+"):
        match = _PART.fullmatch(part)
        if match is None or isinstance(value, bool):
            raise UserError(f"{where} = {value!r}: must be {_FORMS}")
        number, unit = float(match["number"]), match["unit"].lower()
        if unit == "%":
            share += number / 100
        else:
            amount += number * _UNITS[unit]
    return Tolerance(share, amount)
