"""Boards: facts read from a TOML file, every key checked.

Board files ship with hil (`boards/<name>.toml` of the checkout); a user's own lie in `./boards/` or
are named by their path (`--board my.toml`).

These keys are required:

    title core clock_hz backend machine pyocd_target port counter features compiler_flags
    stack_bytes [flash] [ram] origin length_bytes  [limits] flash_bytes ram_bytes

These may be left out, and none else is allowed:

    connect_mode flash_wait_states limits_stand_for pack [port_settings]
    [staging] origin length_bytes  [energy] active_mw idle_mw supply_v clock_hz source
    [stands_for] part clock_hz
    [stands_for.flash_timing] line_bytes wait_cycles instruction_lines data_lines source
    [stands_for.delayed_ram] origin length_bytes source

`port` names firmware/port/<port>.c, `counter` firmware/port/counter_<counter>.c; `machine` is
QEMU's name of the board ("" for a real one). `port_settings` are whole numbers for the port's C,
which gets them as macros. `connect_mode` is pyOCD's; `pack` is the part to name to
`pyocd pack install` where pyOCD itself does not know the target. `limits_stand_for` names the part
whose memories the limits are. For an emulated board `stands_for` names it instead, with the core
clock at which cycles become time and energy, and the wait states of its memories where the cycle
model describes them truly (`hil.cycle_model.MemoryTiming`). `energy` is a cited figure at the
board's clock, for an emulated board at that of the part; where none is known there is no such
table.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from compress.errors import UserError
from compress.files import toml_values
from hil.cycle_model import NO_WAITS, DelayedRam, FlashTiming, MemoryTiming
from hil.files import data_folder
from hil.types import Board, CounterKind, Part, PowerFigure, Region

USER_BOARDS = Path("boards")  # in the current folder
BACKENDS = ("qemu", "pyocd")
CORES = (
    "cortex-m0",
    "cortex-m0plus",
    "cortex-m3",
    "cortex-m4",
    "cortex-m7",
    "cortex-m33",
    "cortex-m55",
)
FEATURES = ("dsp", "fpu", "mve")
CONNECT_MODES = ("halt", "pre-reset", "under-reset", "attach")
MAX_FLASH_WAIT_STATES = 15
_MACRO = re.compile("[A-Z][A-Z0-9_]*")
_REGION = ("origin", "length_bytes")
_ENERGY = ("active_mw", "supply_v", "source")
_FLASH_TIMING = ("line_bytes", "wait_cycles", "instruction_lines", "data_lines")
MAX_LINE_BYTES = 1024
MAX_CACHE_LINES = 4096  # of the plug-in's caches: firmware/emulator/flash.c
_KEYS = (
    "title",
    "core",
    "clock_hz",
    "backend",
    "machine",
    "pyocd_target",
    "port",
    "counter",
    "features",
    "compiler_flags",
    "stack_bytes",
    "flash",
    "ram",
    "limits",
)
_DEFAULTS: dict[str, object] = {
    "connect_mode": "halt",
    "flash_wait_states": 0,
    "limits_stand_for": "",
    "pack": "",
    "port_settings": {},
}
_OPTIONAL = (*_DEFAULTS, "staging", "energy", "stands_for")


def board_names() -> tuple[str, ...]:
    """Names of the boards there are, in alphabetical order."""
    return tuple(sorted(_board_files()))


def board_text(name: str) -> str:
    """The file of the board called `name`, to start a board of one's own from.

    Raises UserError for an unknown name.
    """
    return _board_file(name).read_text(encoding="utf-8")


def load_board(name: str) -> Board:
    """The board called `name`, or described by the file `name`, if that ends in `.toml`.

    Raises UserError for an unknown name, a missing file or a bad one.
    """
    if name.endswith(".toml"):
        return read_board(Path(name))
    return read_board(_board_file(name))


def board_path(name: str) -> Path | None:
    """File of the board `name` if it is the user's own; None for a board that ships with hil."""
    if name.endswith(".toml"):
        return Path(name)
    path = _board_files().get(name)
    return path if path is not None and path.parent == USER_BOARDS else None


def _board_file(name: str) -> Path:
    files = _board_files()
    if name not in files:
        raise UserError(
            f"board {name!r}: allowed are {', '.join(sorted(files))}, "
            f"a file {USER_BOARDS}/NAME.toml, or the path of a .toml file"
        )
    return files[name]


def _board_files() -> dict[str, Path]:
    """Board files by name: those that ship with hil, and the user's in ./boards/, which win."""
    shipped = {path.stem: path for path in data_folder("boards").glob("*.toml")}
    if USER_BOARDS.resolve() == data_folder("boards").resolve():  # called in the checkout
        return shipped
    return {**shipped, **{path.stem: path for path in USER_BOARDS.glob("*.toml")}}


def read_board(path: Path) -> Board:
    """The board described by one TOML file; its name is the file's stem.

    Raises UserError naming the file and the key if one is missing, unknown or has a bad value.
    """
    try:
        values = {**_DEFAULTS, **toml_values(path.read_bytes())}
    except OSError as error:
        raise UserError(f"board file {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    table = _Table(path, "", values, _KEYS, optional=_OPTIONAL)
    flash, ram = table.region("flash"), table.region("ram")
    limits = table.table("limits", ("flash_bytes", "ram_bytes"))
    part, memory = table.part("stands_for", flash) if "stands_for" in values else (None, NO_WAITS)
    energy = table.energy("energy", part) if "energy" in values else None
    limits_stand_for = table.text("limits_stand_for", empty=True)
    if part is None and energy is not None and values["backend"] == "qemu":
        part = Part(limits_stand_for or "its part", energy.clock_hz)
    board = Board(
        name=path.stem,
        title=table.text("title"),
        core=table.choice("core", CORES),
        clock_hz=table.positive("clock_hz"),
        backend="qemu" if table.choice("backend", BACKENDS) == "qemu" else "pyocd",
        machine=table.text("machine", empty=values["backend"] != "qemu"),
        pyocd_target=table.text("pyocd_target"),
        flash=flash,
        ram=ram,
        staging=table.region("staging") if "staging" in values else None,
        flash_limit_bytes=limits.positive("flash_bytes", at_most=flash.length_bytes),
        ram_limit_bytes=limits.positive("ram_bytes", at_most=ram.length_bytes),
        stack_bytes=table.positive("stack_bytes", at_most=ram.length_bytes),
        compiler_flags=table.texts("compiler_flags"),
        features=frozenset(table.texts("features", FEATURES)),
        port=table.text("port"),
        counter=table.counter("counter"),
        energy=energy,
        connect_mode=table.choice("connect_mode", CONNECT_MODES),
        pack=table.text("pack", empty=True),
        flash_wait_states=table.whole("flash_wait_states", 0, MAX_FLASH_WAIT_STATES),
        limits_stand_for=limits_stand_for or ("" if part is None else part.name),
        port_settings=table.settings("port_settings"),
        part=part,
        memory=memory,
    )
    if board.stack_bytes % 8:
        raise UserError(f"{path}: stack_bytes = {board.stack_bytes}: must be a multiple of 8")
    return board


def without_limits(board: Board) -> Board:
    """The same board allowed to fill its memories, for building what is weighed afterwards."""
    return replace(
        board, flash_limit_bytes=board.flash.length_bytes, ram_limit_bytes=board.ram.length_bytes
    )


def without_waits(board: Board) -> Board:
    """The same board with memory that never waits."""
    return replace(board, memory=NO_WAITS)


def board_sha256(board: Board) -> str:
    """Hash of all that the board's file says but for energy, clock and memories of the part.

    The limits are those that hold. Most of it is what counts depend on. Its texts are in it, too,
    as they are in the hashes that runs and tables have kept: to change one is to make another
    board. Time and energy are computed from counts whenever they are shown; measurements keep the
    memories whose wait states they include (docs/decisions/0027).
    """
    facts = {**asdict(board), "features": sorted(board.features)}
    for shown_only in ("energy", "part", "memory"):
        del facts[shown_only]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def facts_in_words(name: str, sha256: str) -> str:
    """Which facts of board `name` have this hash: those of today's file, or others."""
    hash_ = f"hash {sha256[:12]}"
    if name in board_names():
        board = load_board(name)
        if sha256 == board_sha256(board):
            return f"today's boards/{name}.toml ({hash_})"
        if sha256 == board_sha256(without_limits(board)):
            return f"today's boards/{name}.toml and --limits none ({hash_})"
    return f"another boards/{name}.toml ({hash_})"


@dataclass(frozen=True, slots=True)
class _Table:
    """A TOML table whose keys have been checked; getters check a value and name it if bad."""

    path: Path
    prefix: str
    values: Mapping[str, Any]
    keys: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        allowed = self.keys + self.optional
        for what, names in (
            ("unknown", [key for key in self.values if key not in allowed]),
            ("missing", [key for key in self.keys if key not in self.values]),
        ):
            if names:
                keys = ", ".join(self.prefix + key for key in names)
                raise UserError(
                    f"{self.path}: {what} key {keys}: keys are "
                    + ", ".join(self.prefix + key for key in allowed)
                )

    def bad(self, key: str, expected: str) -> UserError:
        return UserError(
            f"{self.path}: {self.prefix}{key} = {self.values[key]!r}: must be {expected}"
        )

    def text(self, key: str, empty: bool = False) -> str:
        value = self.values[key]
        if not isinstance(value, str) or not (value or empty):
            raise self.bad(key, "a text")
        return value

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        if self.values[key] not in allowed:
            raise self.bad(key, f"one of {', '.join(allowed)}")
        return self.text(key)

    def counter(self, key: str) -> CounterKind:
        for kind in get_args(CounterKind):
            if self.values[key] == kind:
                return kind  # type: ignore[no-any-return]
        raise self.bad(key, f"one of {', '.join(get_args(CounterKind))}")

    def texts(self, key: str, allowed: tuple[str, ...] | None = None) -> tuple[str, ...]:
        value = self.values[key]
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.bad(key, "a list of texts")
        if allowed is not None and not set(value) <= set(allowed):
            raise self.bad(key, f"a list of some of {', '.join(allowed)}")
        return tuple(value)

    def whole(self, key: str, at_least: int, at_most: int) -> int:
        value = self.values[key]
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.bad(key, "a whole number")
        if not at_least <= value <= at_most:
            raise self.bad(key, f"from {at_least} to {at_most}")
        return value

    def positive(self, key: str, at_most: int = 0xFFFF_FFFF) -> int:
        return self.whole(key, 1, at_most)

    def above_zero(self, key: str) -> float:
        value = self.values[key]
        if (
            not isinstance(value, int | float)
            or isinstance(value, bool)
            or not 0 < value < math.inf
        ):
            raise self.bad(key, "a number above 0")
        return float(value)

    def table(self, key: str, keys: tuple[str, ...], optional: tuple[str, ...] = ()) -> _Table:
        value = self.values[key]
        if not isinstance(value, dict):
            raise self.bad(key, "a table")
        return _Table(self.path, f"{self.prefix}{key}.", value, keys, optional)

    def part(self, key: str, flash: Region) -> tuple[Part, MemoryTiming]:
        """The part that an emulated board stands for, and the wait states of its memories."""
        if self.values["backend"] != "qemu":
            raise self.bad(key, "left out of a real board's file: it stands for itself")
        if self.values["limits_stand_for"]:
            raise self.bad("limits_stand_for", f"left out where there is a table {key}")
        table = self.table(key, ("part", "clock_hz"), ("flash_timing", "delayed_ram"))
        memory = NO_WAITS
        if "flash_timing" in table.values:
            timing = table.table("flash_timing", (*_FLASH_TIMING, "source"))
            memory = MemoryTiming(timing.flash_timing(flash), None, timing.text("source"))
        if "delayed_ram" in table.values:
            delayed = table.table("delayed_ram", (*_REGION, "source"))
            sources = [text for text in (memory.source, delayed.text("source")) if text]
            ram = DelayedRam(*astuple(delayed.region_here()))
            memory = MemoryTiming(memory.flash, ram, "; ".join(sources))
        return Part(table.text("part"), table.positive("clock_hz")), memory

    def flash_timing(self, flash: Region) -> FlashTiming:
        return FlashTiming(
            origin=flash.origin,
            length_bytes=flash.length_bytes,
            line_bytes=self.whole("line_bytes", 1, MAX_LINE_BYTES),
            wait_cycles=self.whole("wait_cycles", 1, MAX_FLASH_WAIT_STATES),
            instruction_lines=self.whole("instruction_lines", 0, MAX_CACHE_LINES),
            data_lines=self.whole("data_lines", 0, MAX_CACHE_LINES),
        )

    def energy(self, key: str, part: Part | None) -> PowerFigure:
        clock_needed = self.values["backend"] == "qemu" and part is None
        keys = (*_ENERGY, "clock_hz") if clock_needed else _ENERGY
        table = self.table(key, keys, optional=("idle_mw", "clock_hz"))
        clock = table if "clock_hz" in table.values else self
        if part is not None and table.values.get("clock_hz", part.clock_hz) != part.clock_hz:
            raise table.bad("clock_hz", f"that of stands_for, {part.clock_hz}, or left out")
        return PowerFigure(
            active_mw=table.above_zero("active_mw"),
            idle_mw=table.above_zero("idle_mw") if "idle_mw" in table.values else None,
            supply_v=table.above_zero("supply_v"),
            clock_hz=clock.positive("clock_hz") if part is None else part.clock_hz,
            source=table.text("source"),
        )

    def settings(self, key: str) -> tuple[tuple[str, int], ...]:
        values = self.values[key]
        if not isinstance(values, dict) or not all(map(_MACRO.fullmatch, values)):
            raise self.bad(key, "a table of whole numbers by names for C macros, like A_NAME")
        table = self.table(key, tuple(values))
        return tuple((name, table.whole(name, 0, 0xFFFF_FFFF)) for name in sorted(values))

    def region(self, key: str) -> Region:
        return self.table(key, _REGION).region_here()

    def region_here(self) -> Region:
        origin = self.whole("origin", 0, 0xFFFF_FFFF)
        return Region(origin, self.positive("length_bytes", at_most=(1 << 32) - origin))
