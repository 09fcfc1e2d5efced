"""The benches of real boards, as `bench.toml` lists them and USB completes them.

    [nucleo-f446re]              # a board's name; [[nucleo-f446re]] twice for two of the kind
    probe = "066BFF3"            # pyOCD's unique id or a part of it, or "remote:HOST[:PORT]"
    port = "/dev/ttyACM0"        # a pyserial URL; also "rfc2217://HOST:PORT", "socket://HOST:PORT"
    power = "traces/f446.csv"    # the CSV trace that this bench's power analyzer writes

All keys are optional. A probe is then recognized by the board name that it reports (ST-Links do),
a serial port by the USB serial number that it shares with the probe. See docs/bench.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serial.tools import list_ports

from compress.errors import UserError
from compress.files import toml_values
from hil.errors import ProbeLost
from hil.files import settings_folder
from hil.types import Board

BENCH_FILE = "bench.toml"
_KEYS = ("probe", "port", "power")


@dataclass(frozen=True, slots=True)
class Probe:
    """A debug probe on USB; `board` is the board name that it reports, or ''."""

    id: str
    title: str
    board: str


@dataclass(frozen=True, slots=True)
class SerialPort:
    """A serial port of this computer; `serial_number` is that of its USB device, or ''."""

    device: str
    title: str
    serial_number: str


@dataclass(frozen=True, slots=True)
class BenchEntry:
    """One table of bench.toml; a key that is left out is '' (`power`, a CSV file: None)."""

    board: str
    probe: str = ""
    port: str = ""
    power: Path | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """A board with its probe (pyOCD id), serial port (pyserial URL) and power trace, if any."""

    board: str
    probe_id: str
    port_url: str
    power: Path | None = None


def find_bench(board: Board) -> Bench:
    """The first bench of `board`. Raises as `find_benches`."""
    return find_benches(board)[0]


def find_benches(board: Board) -> tuple[Bench, ...]:
    """Every bench of `board`, at least one.

    Raises UserError if bench.toml is wrong, or if neither it nor USB tells which probe is meant;
    ProbeLost if no connected probe can be the board's.
    """
    entries = read_entries(settings_folder() / BENCH_FILE)
    return match_benches(board.name, entries, connected_probes(), serial_ports())


def read_entries(path: Path) -> tuple[BenchEntry, ...]:
    """The tables of bench.toml; empty if the file is missing. Raises UserError: file and key."""
    try:
        values = toml_values(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
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
    # Imported here: it takes long, and most callers need no probe.
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
    """The serial ports of this computer, sorted by name."""
    found: list[Any] = list_ports.comports()  # type: ignore[no-untyped-call,attr-defined]
    return tuple(
        SerialPort(port.device, port.description, port.serial_number or "")
        for port in sorted(found, key=lambda port: str(port.device))
    )


def match_benches(
    board: str, entries: Sequence[BenchEntry], probes: Sequence[Probe], ports: Sequence[SerialPort]
) -> tuple[Bench, ...]:
    """Every bench of `board` that `entries` and the connected probes make up.

    An entry that names no probe gets one that no entry names. Raises UserError, ProbeLost.
    """
    ours = [entry for entry in entries if entry.board == board]
    pairs = [(entry, _named_probe(entry, probes)) for entry in ours if entry.probe]
    if len(pairs) < len(ours) or not ours:
        taken = [entry.probe for entry in entries if entry.probe]
        free = [probe for probe in probes if not any(_matches(id, probe) for id in taken)]
        found = _matching_probes(board, free)
        vague = [entry for entry in ours if not entry.probe] or [BenchEntry(board)] * len(found)
        pairs += zip(vague, found, strict=False)
    return tuple(
        Bench(board, id, entry.port or _serial_port(board, id, ports), entry.power)
        for entry, id in pairs
    )


def _named_probe(entry: BenchEntry, probes: Sequence[Probe]) -> str:
    """The full id of the probe that the entry names; a network address is complete."""
    if ":" in entry.probe:
        return entry.probe
    matching = [probe.id for probe in probes if _matches(entry.probe, probe)]
    if not matching:
        raise ProbeLost(
            f"board {entry.board}: probe {entry.probe!r} ({BENCH_FILE}) is not connected; "
            f"{_connected_text(probes)}"
        )
    if len(matching) > 1:
        raise UserError(
            f"board {entry.board}: probe {entry.probe!r} ({BENCH_FILE}) matches several probes: "
            + ", ".join(matching)
        )
    return matching[0]


def _matching_probes(board: str, probes: Sequence[Probe]) -> list[str]:
    """Ids of the probes that report this board, else of the only one that reports no board."""
    named = [probe.id for probe in probes if _normalized(probe.board) == _normalized(board)]
    silent = [probe.id for probe in probes if not probe.board]
    if named or len(silent) == 1:
        return named or silent
    if silent:
        raise UserError(
            f"board {board}: probes {', '.join(silent)} report no board, each may be its: "
            f'write [{board}] probe = "..." into {settings_folder() / BENCH_FILE}'
        )
    raise ProbeLost(f"board {board}: no debug probe for it; {_connected_text(probes)}")


def _serial_port(board: str, probe_id: str, ports: Sequence[SerialPort]) -> str:
    """The first serial port with the probe's USB serial number. Raises ProbeLost."""
    for port in ports:
        if port.serial_number and _normalized_serial(port.serial_number) == _normalized_serial(
            probe_id
        ):
            return port.device
    there = ", ".join(f"{port.device} ({port.serial_number or 'no number'})" for port in ports)
    raise ProbeLost(
        f"board {board}: no serial port has the serial number of probe {probe_id} "
        f'(ports: {there or "none"}): write [{board}] port = "..." into '
        f"{settings_folder() / BENCH_FILE}"
    )


def _connected_text(probes: Iterable[Probe]) -> str:
    texts = [f"{probe.id} on {probe.board or 'an unnamed board'}" for probe in probes]
    return f"connected are {', '.join(texts)}" if texts else "no probe is connected (USB cable?)"


def _matches(part: str, probe: Probe) -> bool:
    return part.casefold() in probe.id.casefold()


def _normalized(name: str) -> str:
    """A board name without case and punctuation: NUCLEO-F446RE and nucleo_f446re are one board."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _normalized_serial(number: str) -> str:
    """A serial number without pyOCD's plug-in prefix and the leading zeros that J-Link omits."""
    return number.rpartition(":")[2].casefold().lstrip("0")
