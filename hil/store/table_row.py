"""Checked reading of one row of a table; errors name the row and column."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from compress.errors import UserError

_SHOWN = 60  # characters of a bad cell
_MOST = 2**63 - 1  # SQLite's largest whole number
_TEXTS = {  # values with text
    "measurement": ("counter", "outputs_sha256", "memory_timing", "name"),
    "costs": ("stage",),
}
_SIGNED = ("value", "accuracy", "drop")  # of a metric, which may be negative


@dataclass(frozen=True, slots=True)
class Row:
    """Row `line` of the table `path`; the header is row 1. Every getter raises UserError."""

    path: Path
    line: int
    cells: Mapping[str, str]

    def error(self, column: str, expected: str) -> UserError:
        """The error for a cell that is not `expected`, a text such as "a whole number"."""
        cell = self.cells[column]
        shown = repr(cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]}...")
        return UserError(
            f"{self.path}, row {self.line}, column {column}: {shown} is not {expected}"
        )

    def choice(self, column: str, allowed: tuple[str, ...]) -> str:
        """One of the allowed texts."""
        if self.cells[column] not in allowed:
            raise self.error(column, f"one of {', '.join(allowed)}")
        return self.cells[column]

    def whole(self, column: str) -> int:
        """A whole number from 0 to SQLite's largest, 2**63 - 1."""
        cell = self.cells[column]
        if not (cell.isascii() and cell.isdecimal()):
            raise self.error(column, "a whole number")
        if len(cell) > len(str(_MOST)) or int(cell) > _MOST:
            raise self.error(column, f"a whole number up to {_MOST}")
        return int(cell)

    def number(self, column: str, at_most: float = math.inf) -> float:
        """A finite number from 0 to `at_most`."""
        expected = "a number from 0" + (f" to {at_most:g}" if at_most < math.inf else " on")
        try:
            number = float(self.cells[column])
        except ValueError:
            raise self.error(column, expected) from None
        if not 0 <= number <= at_most or number == math.inf:
            raise self.error(column, expected)
        return number

    def share(self, column: str) -> float:
        """A number from 0 to 1."""
        return self.number(column, at_most=1.0)

    def metric(self, column: str) -> float:
        """A finite number, also a negative one: a metric as a share where more is better."""
        try:
            number = float(self.cells[column])
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self.error(column, "a finite number")
        return number

    def json(self, column: str) -> Any:
        """The parsed JSON of the cell; NaN and infinity are refused."""
        try:
            return json.loads(
                self.cells[column], parse_constant=_refuse, parse_float=_finite_number
            )
        except (ValueError, RecursionError):
            raise self.error(column, "JSON of finite numbers") from None

    def figures(self, column: str) -> Any:
        """The parsed JSON of the cell; its values are numbers from 0 on, or texts (`_TEXTS`)."""
        value = self.json(column)
        if not _are_figures(value, _TEXTS.get(column, ())):
            raise self.error(column, "made of numbers from 0 on")
        return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _finite_number(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _are_figures(value: object, texts: tuple[str, ...]) -> bool:
    if isinstance(value, dict):
        return all(
            isinstance(item, str)
            if key in texts
            else _is_signed(key, item) or _are_figures(item, texts)
            for key, item in value.items()
        )
    if isinstance(value, list):
        return all(_are_figures(item, texts) for item in value)
    return value is None or (isinstance(value, int | float) and value >= 0)


def _is_signed(key: str, value: object) -> bool:
    return key in _SIGNED and isinstance(value, int | float)
