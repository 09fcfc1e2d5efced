"""Where the real boards are: `bench.toml` at the checkout's root, completed by what USB tells.

    [nucleo-f446re]              # a board's name; [[nucleo-f446re]] twice for two of the kind
    probe = "066BFF3"            # pyOCD's unique id or a part of it, or "remote:HOST[:PORT]"
    port = "/dev/ttyACM0"        # a pyserial URL; also "rfc2217://HOST:PORT", "socket://HOST:PORT"
    power = "traces/f446.csv"    # where this bench's power analyzer writes its trace

All keys may be left out. A probe is then known by the board it says it is on (ST-Links do), a
serial port by the USB serial number it shares with the probe. See docs/bench.md.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serial.tools import list_ports

from compress.errors import UserError
from hil.errors import ProbeLost
from hil.files import settings_folder
from hil.types import Board

BENCH_FILE = "bench.toml"
_KEYS = ("probe", "port", "power")


@dataclass(frozen=True, slots=True)
class Probe:
    """A debug probe on USB; `board` is the name of the board it says it is on, or ''."""

    id: str
    title: str
    board: str


@dataclass(frozen=True, slots=True)
class SerialPort:
    """A serial port of this computer; `serial_number` is its USB device's, or ''."""

    device: str
    title: str
    serial_number: str


@dataclass(frozen=True, slots=True)
class BenchEntry:
    """What bench.toml says about one board; '' where it says nothing. `power` is a file or None."""

    board: str
    probe: str = ""
    port: str = ""
    power: Path | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """Where a board is: the probe's id for pyOCD, its serial port for pyserial."""

    board: str
    probe_id: str
    port_url: str
    power: Path | None = None


def find_bench(board: Board) -> Bench:
    """The first bench with such a board. Raises as `find_benches`."""
    return find_benches(board)[0]


def find_benches(board: Board) -> tuple[Bench, ...]:
    """Every bench with such a board, at least one.

    Raises UserError if bench.toml is wrong or leaves open what USB does not tell, ProbeLost if no
    probe is connected that could be the board's.
    """
    entries = read_entries(settings_folder() / BENCH_FILE)
    return match_benches(board.name, entries, connected_probes(), serial_ports())


def read_entries(path: Path) -> tuple[BenchEntry, ...]:
    """What bench.toml says; nothing if there is none. Raises UserError naming file and key."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: {error}") from None
    return tuple(
        _entry(path, name, table)
        for name, tables in values.items()
        for table in (tables if isinstance(tables, list) else [tables])
    )


def _entry(path: Path, board: str, table: object) -> BenchEntry:
    if not isinstance(table, Mapping):
        raise UserError(f"{path}: {board} = {table!r}: must be a table, [{board}]")
    values: Mapping[str, Any] = table
    for key, value in values.items():
        if key not in _KEYS:
            raise UserError(f"{path}: unknown key {board}.{key}: keys are {', '.join(_KEYS)}")
        if not isinstance(value, str) or not value:
            raise UserError(f"{path}: {board}.{key} = {value!r}: must be a text")
    power = path.parent / values["power"] if "power" in values else None
    return BenchEntry(board, values.get("probe", ""), values.get("port", ""), power)


def connected_probes() -> tuple[Probe, ...]:
    """The debug probes that pyOCD finds on USB."""
    # Here, since who asks for no probe should not wait for its import.
    from pyocd.core import exceptions
    from pyocd.probe.aggregator import DebugProbeAggregator

    try:
        probes = DebugProbeAggregator.get_all_connected_probes()
    except exceptions.Error as error:
        raise ProbeLost(f"looking for debug probes: {error}") from error
    return tuple(
        Probe(
            probe.unique_id,
            f"{probe.vendor_name} {probe.product_name}",
            probe.associated_board_info.name if probe.associated_board_info else "",
        )
        for probe in probes
    )


def serial_ports() -> tuple[SerialPort, ...]:
    """The serial ports of this computer, in the order of their names."""
    found: list[Any] = list_ports.comports()  # type: ignore[no-untyped-call,attr-defined]
    return tuple(
        SerialPort(port.device, port.description, port.serial_number or "")
        for port in sorted(found, key=lambda port: str(port.device))
    )


def match_benches(
    board: str, entries: Sequence[BenchEntry], probes: Sequence[Probe], ports: Sequence[SerialPort]
) -> tuple[Bench, ...]:
    """Every place of `board`, from what bench.toml and USB say. Raises UserError, ProbeLost."""
    ours = [entry for entry in entries if entry.board == board]
    pairs = [(entry, _pinned(entry, probes)) for entry in ours if entry.probe]
    if len(pairs) < len(ours) or not ours:
        taken = [entry.probe for entry in entries if entry.probe]
        free = [probe for probe in probes if not any(_matches(id, probe) for id in taken)]
        found = _found(board, free)
        vague = [entry for entry in ours if not entry.probe] or [BenchEntry(board)] * len(found)
        pairs += zip(vague, found, strict=False)
    return tuple(
        Bench(board, id, entry.port or _port_of(board, id, ports), entry.power)
        for entry, id in pairs
    )


def _pinned(entry: BenchEntry, probes: Sequence[Probe]) -> str:
    """The full id of the probe that bench.toml names; an address is one already."""
    if ":" in entry.probe:
        return entry.probe
    matching = [probe.id for probe in probes if _matches(entry.probe, probe)]
    if not matching:
        raise ProbeLost(
            f"board {entry.board}: probe {entry.probe!r} ({BENCH_FILE}) is not connected; "
            f"{_connected(probes)}"
        )
    if len(matching) > 1:
        raise UserError(
            f"board {entry.board}: probe {entry.probe!r} ({BENCH_FILE}) is a part of several ids: "
            + ", ".join(matching)
        )
    return matching[0]


def _found(board: str, probes: Sequence[Probe]) -> list[str]:
    """Ids of the probes that say they are on this board, else of the only one that says nothing."""
    named = [probe.id for probe in probes if _plain(probe.board) == _plain(board)]
    silent = [probe.id for probe in probes if not probe.board]
    if named or len(silent) == 1:
        return named or silent
    if silent:
        raise UserError(
            f"board {board}: probes {', '.join(silent)} could be its: "
            f'write [{board}] probe = "..." into {settings_folder() / BENCH_FILE}'
        )
    raise ProbeLost(f"board {board}: no debug probe for it; {_connected(probes)}")


def _port_of(board: str, probe_id: str, ports: Sequence[SerialPort]) -> str:
    """The first serial port whose USB serial number is the probe's."""
    for port in ports:
        if port.serial_number and _serial(port.serial_number) == _serial(probe_id):
            return port.device
    there = ", ".join(f"{port.device} ({port.serial_number or 'no number'})" for port in ports)
    raise ProbeLost(
        f"board {board}: no serial port has the serial number of probe {probe_id} "
        f'(ports: {there or "none"}): write [{board}] port = "..." into '
        f"{settings_folder() / BENCH_FILE}"
    )


def _connected(probes: Iterable[Probe]) -> str:
    texts = [f"{probe.id} on {probe.board or 'a board it does not name'}" for probe in probes]
    return f"connected are {', '.join(texts)}" if texts else "no probe is connected (USB cable?)"


def _matches(part: str, probe: Probe) -> bool:
    return part.casefold() in probe.id.casefold()


def _plain(name: str) -> str:
    """NUCLEO-F446RE, nucleo_f446re: one board."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _serial(number: str) -> str:
    """A serial number without the plug-in's name before it and zeros that J-Link leaves out."""
    return number.rpartition(":")[2].casefold().lstrip("0")
