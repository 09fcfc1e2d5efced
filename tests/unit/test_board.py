"""Board files: the shipped ones agree with the tools; wrong ones are rejected with file and key."""

from __future__ import annotations

import itertools
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from compress.errors import UserError
from hil.board import board_names, board_path, board_sha256, load_board, read_board, without_limits
from hil.cycle_model import DelayedRam, FlashTiming, MemoryTiming
from hil.types import Part, PowerFigure, Region

GOOD = """
title = "a board"
core = "cortex-m4"
clock_hz = 168_000_000
backend = "pyocd"
machine = ""
pyocd_target = "stm32f405"
port = "stm32f4"
counter = "dwt"
features = ["dsp", "fpu"]
compiler_flags = ["-mcpu=cortex-m4"]
stack_bytes = 4096
[flash]
origin = 0x0800_0000
length_bytes = 0x10_0000
[ram]
origin = 0x2000_0000
length_bytes = 0x2_0000
[limits]
flash_bytes = 1_048_576
ram_bytes = 131_072
"""

ENERGY = """[energy]
active_mw = 160
supply_v = 3.3
source = "a paper, table 1"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def predefined(flags: tuple[str, ...]) -> str:
    command = ["arm-none-eabi-gcc", *flags, "-dM", "-E", "-x", "c", "/dev/null"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_emulated_boards_are_there() -> None:
    assert {"m0", "m3", "m4", "m7", "m33", "m55"} <= set(board_names())


@pytest.mark.parametrize("name", board_names())
def test_core_and_features_are_what_the_compiler_makes_of_the_flags(name: str) -> None:
    board = load_board(name)
    assert f"-mcpu={board.core}" in board.compiler_flags
    macros = predefined(board.compiler_flags)
    for feature, macro in (
        ("dsp", "__ARM_FEATURE_DSP 1"),
        ("fpu", "__ARM_FP "),
        ("mve", "__ARM_FEATURE_MVE "),
    ):
        assert (feature in board.features) == (f"#define {macro}" in macros), feature


@pytest.mark.parametrize("name", board_names())
def test_regions_do_not_overlap(name: str) -> None:
    board = load_board(name)
    regions = [board.flash, board.ram] + ([board.staging] if board.staging else [])
    regions.sort(key=lambda region: region.origin)
    assert all(a.end <= b.origin for a, b in itertools.pairwise(regions))


def test_qemu_knows_the_machines() -> None:
    listing = subprocess.run(
        ["qemu-system-arm", "-machine", "help"], capture_output=True, text=True, check=True
    ).stdout
    machines = {line.split()[0] for line in listing.splitlines() if line}
    boards = [load_board(name) for name in board_names()]
    assert {board.machine for board in boards if board.backend == "qemu"} <= machines


def test_a_real_board_loads(tmp_path: Path) -> None:
    board = read_board(write(tmp_path, GOOD))
    assert (board.name, board.backend, board.counter, board.staging) == (
        "mine",
        "pyocd",
        "dwt",
        None,
    )
    assert board.flash == Region(0x0800_0000, 1 << 20)
    assert board.features == {"dsp", "fpu"}


def test_energy_is_what_the_file_says_or_nothing(tmp_path: Path) -> None:
    assert read_board(write(tmp_path, GOOD)).energy is None
    known = read_board(write(tmp_path, GOOD + ENERGY))
    assert known.energy == PowerFigure(160.0, None, 3.3, 168_000_000, "a paper, table 1")
    more = read_board(write(tmp_path, GOOD + ENERGY + "idle_mw = 0.5\nclock_hz = 80_000_000"))
    assert more.energy == PowerFigure(160.0, 0.5, 3.3, 80_000_000, "a paper, table 1")


def test_an_emulated_board_must_tell_the_clock_of_the_part_it_stands_for(tmp_path: Path) -> None:
    emulated = EMULATED + ENERGY
    with pytest.raises(UserError, match=r"missing key energy\.clock_hz"):
        read_board(write(tmp_path, emulated))
    board = read_board(write(tmp_path, emulated + "clock_hz = 80_000_000"))
    assert board.energy is not None
    assert (board.energy.clock_hz, board.clock_hz) == (80_000_000, 168_000_000)
    assert board.time_clock_hz == 80_000_000  # one clock for time and energy


EMULATED = GOOD.replace('"pyocd"', '"qemu"').replace('machine = ""', 'machine = "any"')
STANDS_FOR = """[stands_for]
part = "STM32F446RE"
clock_hz = 180_000_000
"""
FLASH_TIMING = """[stands_for.flash_timing]
line_bytes = 16
wait_cycles = 5
instruction_lines = 64
data_lines = 8
source = "a manual"
"""
DELAYED_RAM = """[stands_for.delayed_ram]
origin = 0x2001_C000
length_bytes = 0x4000
source = "a figure"
"""


def test_an_emulated_board_stands_for_a_part(tmp_path: Path) -> None:
    plain = read_board(write(tmp_path, EMULATED))
    assert (plain.part, plain.memory.waits, plain.time_clock_hz) == (None, False, 168_000_000)
    board = read_board(write(tmp_path, EMULATED + STANDS_FOR + FLASH_TIMING + DELAYED_RAM + ENERGY))
    assert board.part == Part("STM32F446RE", 180_000_000)
    assert board.limits_stand_for == "STM32F446RE"
    assert (board.clock_hz, board.time_clock_hz) == (168_000_000, 180_000_000)
    assert board.memory == MemoryTiming(
        FlashTiming(0x0800_0000, 1 << 20, 16, 5, 64, 8),
        DelayedRam(0x2001_C000, 0x4000),
        "a manual; a figure",
    )
    assert board.memory.key == "flash=134217728:1048576:16:5:64:8,ram=536985600:16384"
    assert board.energy is not None
    assert board.energy.clock_hz == 180_000_000


def test_what_only_turns_counts_into_time_makes_no_other_board(tmp_path: Path) -> None:
    old = read_board(write(tmp_path, 'limits_stand_for = "STM32F446RE"\n' + EMULATED))
    new = read_board(write(tmp_path, EMULATED + STANDS_FOR + FLASH_TIMING))
    assert board_sha256(old) == board_sha256(new)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (GOOD + STANDS_FOR, "stands_for = "),
        (
            'limits_stand_for = "x"\n' + EMULATED + STANDS_FOR,
            "limits_stand_for = 'x': must be",
        ),
        (EMULATED + "[stands_for]\npart = 'x'\n", "missing key stands_for.clock_hz"),
        (EMULATED + STANDS_FOR + "wait = 3\n", "unknown key stands_for.wait"),
        (
            EMULATED + STANDS_FOR + FLASH_TIMING.replace("= 5", "= 0"),
            "stands_for.flash_timing.wait_cycles = 0: must be from 1 to 15",
        ),
        (
            EMULATED + STANDS_FOR + FLASH_TIMING.replace("= 64", "= 4097"),
            "stands_for.flash_timing.instruction_lines = 4097",
        ),
        (
            EMULATED + STANDS_FOR + FLASH_TIMING.replace('source = "a manual"\n', ""),
            "missing key stands_for.flash_timing.source",
        ),
        (
            EMULATED + STANDS_FOR + ENERGY + "clock_hz = 25_000_000\n",
            "energy.clock_hz = 25000000: must be that of stands_for, 180000000",
        ),
    ],
)
def test_a_bad_part_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(UserError) as caught:
        read_board(write(tmp_path, text))
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("name", "hertz"),
    # highest core clock of the part's data sheet
    [("m0", 48e6), ("m3", 72e6), ("m4", 180e6), ("m7", 216e6), ("m33", 110e6)],
)
def test_the_emulated_boards_stand_for_parts_at_their_clocks(name: str, hertz: float) -> None:
    board = load_board(name)
    assert board.part is not None
    assert board.part.name == board.limits_stand_for
    assert board.time_clock_hz == hertz


def test_counts_compare_whatever_the_board_draws(tmp_path: Path) -> None:
    board = read_board(write(tmp_path, GOOD))
    assert board_sha256(read_board(write(tmp_path, GOOD + ENERGY))) == board_sha256(board)
    assert board_sha256(replace(board, clock_hz=1)) != board_sha256(board)


def test_what_may_be_left_out_has_a_default(tmp_path: Path) -> None:
    board = read_board(write(tmp_path, GOOD))
    assert (board.connect_mode, board.pack, board.limits_stand_for) == ("halt", "", "")
    assert (board.flash_wait_states, board.port_settings) == (0, ())
    more = 'connect_mode = "under-reset"\nflash_wait_states = 5\n[port_settings]\nB = 0x10\nA = 1\n'
    board = read_board(write(tmp_path, GOOD.replace("[flash]", more + "[flash]")))
    assert (board.connect_mode, board.flash_wait_states) == ("under-reset", 5)
    assert board.port_settings == (("A", 1), ("B", 16))


def test_limits_default_to_what_the_file_says_and_can_be_lifted() -> None:
    board = load_board("m3")
    assert (board.flash_limit_bytes, board.ram_limit_bytes) == (128 * 1024, 20 * 1024)
    free = without_limits(board)
    assert (free.flash_limit_bytes, free.ram_limit_bytes) == (4 << 20, 4 << 20)


def test_a_board_may_be_a_file_anywhere(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert load_board(str(path)) == read_board(path)
    assert board_path(str(path)) == path
    with pytest.raises(UserError, match=r"none\.toml: No such file"):
        load_board(str(tmp_path / "none.toml"))


def test_boards_of_the_users_own_lie_beside_the_work_and_win(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = load_board("m4")
    monkeypatch.chdir(tmp_path)
    assert load_board("m4") == shipped
    folder = tmp_path / "boards"
    folder.mkdir()
    write(folder, GOOD)
    (folder / "m4.toml").write_text(GOOD)
    assert "mine" in board_names()
    assert load_board("mine").title == load_board("m4").title == "a board"
    assert board_path("mine") == Path("boards/mine.toml")
    assert board_path("m3") is None


@pytest.mark.parametrize("name", ["m5", "", "../boards/m3", "M3"])
def test_an_unknown_board_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(UserError) as caught:
        load_board(name)
    assert repr(name) in str(caught.value)
    assert ", ".join(board_names()) in str(caught.value)


@pytest.mark.parametrize("line", [line for line in GOOD.splitlines() if " = " in line])
def test_a_missing_key_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, GOOD.replace(line + "\n", "", 1))
    with pytest.raises(UserError) as caught:
        read_board(path)
    assert str(path) in str(caught.value)
    assert re.search(rf"missing key (\w+\.)?{line.split(' = ')[0]}\b", str(caught.value))


@pytest.mark.parametrize("table", ["flash", "ram", "limits"])
def test_a_missing_table_is_named(tmp_path: Path, table: str) -> None:
    path = write(tmp_path, re.sub(rf"\[{table}\]\n(\w+ = .*\n)+", "", GOOD))
    with pytest.raises(UserError, match=f"missing key {table}"):
        read_board(path)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('title = "a board"', 'title = "a board"\ncolour = "red"', "unknown key colour"),
        ("[flash]", "[flash]\nsectors = 4", "unknown key flash.sectors"),
        ("[flash]", "[eeprom]\n[flash]", "unknown key eeprom"),
        ('"cortex-m4"', '"cortex-a9"', "core = 'cortex-a9': must be one of cortex-m0"),
        ('"cortex-m4"', "4", "core = 4"),
        ("168_000_000", '"fast"', "clock_hz = 'fast'"),
        ("168_000_000", "0", "clock_hz = 0"),
        ("168_000_000", "true", "clock_hz = True"),
        ("168_000_000", "168e6", "clock_hz = 168000000.0"),
        ('"pyocd"', '"openocd"', "backend = 'openocd': must be one of qemu, pyocd"),
        ('"pyocd"', '"qemu"', "machine = ''"),
        ('"stm32f4"', '""', "port = ''"),
        ('"dwt"', '"etm"', "counter = 'etm': must be one of insn, dwt, systick"),
        ('["dsp", "fpu"]', '["dsp", "gpu"]', "features = "),
        ('["dsp", "fpu"]', '"dsp"', "features = 'dsp'"),
        ('["-mcpu=cortex-m4"]', "[4]", "compiler_flags = [4]"),
        ("stack_bytes = 4096", "stack_bytes = 4097", "stack_bytes = 4097"),
        ("stack_bytes = 4096", "stack_bytes = 1_000_000", "stack_bytes = 1000000"),
        ("0x2000_0000", "-4", "ram.origin = -4"),
        ("0x2_0000", "0", "ram.length_bytes = 0"),
        ("0x0800_0000", "0xFFFF_0000", "flash.length_bytes = 1048576"),
        ("1_048_576", "1_048_577", "limits.flash_bytes = 1048577"),
        ("131_072", "131_073", "limits.ram_bytes = 131073"),
        ("[limits]", "[staging]\norigin = 0\n[limits]", "missing key staging.length_bytes"),
        ("[limits]", 'staging = "ram"\n[limits]', "unknown key ram.staging"),
        (
            "[limits]",
            "[energy]\nsupply_v = 1.8\n[limits]",
            "missing key energy.active_mw, energy.s",
        ),
        (
            "[limits]",
            f"{ENERGY.replace('160', '-1')}[limits]",
            "energy.active_mw = -1: must be a num",
        ),
        ("[limits]", f"{ENERGY.replace('160', 'nan')}[limits]", "energy.active_mw = nan"),
        ("[limits]", f"{ENERGY.replace('160', 'true')}[limits]", "energy.active_mw = True"),
        ("[limits]", f"{ENERGY}idle_mw = 0\n[limits]", "energy.idle_mw = 0"),
        ("stack_bytes = ", 'connect_mode = "hot"\nstack_bytes = ', "connect_mode = 'hot': must be"),
        ("stack_bytes = ", "pack = 7\nstack_bytes = ", "pack = 7"),
        ("stack_bytes = ", "flash_wait_states = 16\nstack_bytes = ", "flash_wait_states = 16"),
        ("stack_bytes = ", "limits_stand_for = 4\nstack_bytes = ", "limits_stand_for = 4"),
        ("[flash]", "[port_settings]\nA = -1\n[flash]", "port_settings.A = -1"),
        ("[flash]", '[port_settings]\nA = "1"\n[flash]', "port_settings.A = '1'"),
        ("[flash]", '[port_settings]\n"A;B" = 1\n[flash]', "port_settings = {'A;B': 1}: must be"),
        ("core = ", "core == ", ""),
        ("core = ", f"deep = {'[' * 3000}\ncore = ", "nested too deeply"),
        ("168_000_000", "9" * 5000, "4300 digits"),
    ],
)
def test_a_bad_value_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        read_board(path)
    assert str(path) in str(caught.value)
    assert named in str(caught.value)
