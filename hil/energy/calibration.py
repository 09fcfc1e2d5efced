"""Measured power of this bench's boards, kept in `calibration.toml` beside `bench.toml`.

[nucleo-f446re]
active_mw = 161.0
idle_mw = 2.1             # optional
supply_v = 3.3
clock_hz = 180_000_000
read_at = "2026-02-03T14:15:16+00:00"
how = "48.8 mA read by hand"
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from compress.errors import UserError
from compress.files import toml_values
from hil.energy.energy import CALIBRATED_ERROR
from hil.files import settings_folder, write_file
from hil.types import Board, PowerFigure

CALIBRATION_FILE = "calibration.toml"
_NUMBERS = ("active_mw", "supply_v", "clock_hz")
_BARE_KEY = re.compile("[A-Za-z0-9_-]+")
_TEXTS = ("read_at", "how")


def read_calibration(board: Board, folder: Path | None = None) -> PowerFigure | None:
    """The measured power of this bench's `board`, None if it was never calibrated.

    `folder` holds calibration.toml (default: beside bench.toml). Raises UserError if the file is
    damaged, or if the board was calibrated at another clock than its present one.
    """
    path = (folder or settings_folder()) / CALIBRATION_FILE
    values = _read(path).get(board.name)
    if values is None:
        return None
    figure = _figure(path, board.name, values)
    if figure.clock_hz != board.clock_hz:
        raise UserError(
            f"{path}: {board.name} was calibrated at {figure.clock_hz} Hz, runs at "
            f"{board.clock_hz} Hz now: hil calibrate --board {board.name} ..."
        )
    return figure


def calibrated(board: Board, folder: Path | None = None) -> Board:
    """The board with its measured power, if there is one, in place of its file's figure.

    Counts do not depend on power, so a run may be resumed after a calibration. Raises UserError as
    `read_calibration`.
    """
    return replace(board, energy=read_calibration(board, folder) or board.energy)


def save_calibration(
    board: Board,
    active_mw: float,
    supply_v: float,
    idle_mw: float | None,
    how: str,
    folder: Path | None = None,
) -> PowerFigure:
    """Write the measured power of `board` to calibration.toml, replacing an earlier one.

    `how` says how it was measured. Raises UserError for values that cannot be a power or a
    voltage, and for an emulated board, which draws none.
    """
    check_measurable(board)
    for name, value in (("power", active_mw), ("supply", supply_v), ("idle power", idle_mw)):
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"{name} {value:g}: must be above 0")
    if idle_mw is not None and idle_mw > active_mw:
        raise UserError(f"idle power {idle_mw:g} mW is more than active power {active_mw:g} mW")
    path = (folder or settings_folder()) / CALIBRATION_FILE
    everything = dict(_read(path))
    for name, values in everything.items():
        _check_flat(path, name, values)
    entry: dict[str, Any] = {
        "active_mw": active_mw,
        **({} if idle_mw is None else {"idle_mw": idle_mw}),
        "supply_v": supply_v,
        "clock_hz": board.clock_hz,
        "read_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "how": how,
    }
    everything[board.name] = entry
    _write(path, everything)
    return _figure(path, board.name, entry)


def check_measurable(board: Board) -> None:
    """Raises UserError for an emulated board, whose power cannot be measured."""
    if board.backend == "qemu":
        raise UserError(f"board {board.name} is emulated: its power cannot be measured")


def _figure(path: Path, name: str, values: object) -> PowerFigure:
    if not isinstance(values, Mapping):
        raise UserError(f"{path}: {name} must be a table")
    numbers = {key: values.get(key) for key in _NUMBERS}
    idle = values.get("idle_mw")
    bad = [key for key, value in numbers.items() if not _is_positive(value)]
    bad += [key for key in _TEXTS if not isinstance(values.get(key), str)]
    bad += ["idle_mw"] if idle is not None and not _is_positive(idle) else []
    if bad:
        raise UserError(f"{path}: {name}.{bad[0]} is missing or wrong: calibrate again")
    return PowerFigure(
        active_mw=float(values["active_mw"]),
        idle_mw=None if idle is None else float(idle),
        supply_v=float(values["supply_v"]),
        clock_hz=int(values["clock_hz"]),
        error=CALIBRATED_ERROR,
        source=f"calibrated {values['read_at'][:10]}: {values['how']}",
    )


def _check_flat(path: Path, name: str, values: object) -> None:
    """Raises UserError for a table that `_write` cannot write: it would be lost."""
    flat = isinstance(values, Mapping) and all(
        isinstance(value, str) or (isinstance(value, int | float) and math.isfinite(value))
        for value in values.values()
    )
    if not flat:
        raise UserError(f"{path}: {name} was not written by hil calibrate: remove it")


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return toml_values(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None


def _write(path: Path, everything: Mapping[str, Mapping[str, Any]]) -> None:
    """Write flat tables of numbers and strings, atomically."""
    blocks = [
        f"[{_toml(board)}]\n"
        + "".join(f"{_key(key)} = {_toml(value)}\n" for key, value in values.items())
        for board, values in everything.items()
    ]
    # A file name that is not UTF-8 decodes to lone surrogates, which TOML does not allow.
    write_file(path, "\n".join(blocks).encode("utf-8", "replace"))


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _toml(name)


def _toml(value: str | float) -> str:
    """A TOML value: its JSON, without surrogate pairs (ensure_ascii) and with DEL escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
