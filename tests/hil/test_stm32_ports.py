"""The STM32 ports without their chips: their register writes are recorded in QEMU and decoded.

The decoding follows the register descriptions of the reference manuals, from the fields back to
frequencies; the ports go the other way. One port runs unmodified, on the emulated STM32F405.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from compress.errors import UserError
from helpers.machine import HELLO, RUN, RUN_REPLY, Machine
from helpers.programs import program
from hil.board import load_board
from hil.codegen.build import build
from hil.emulator.plugin import counting_arguments
from hil.emulator.process import Emulator
from hil.errors import FirmwareFault
from hil.target.target import Layout
from hil.target.target_pyocd import PyocdTarget
from hil.target.target_qemu import QemuTarget
from hil.types import Board, Image

MHZ = 1_000_000
BAUD = 115_200
CELLS = 64
F1_HSE, HSI_16, HSI_64 = 8 * MHZ, 16 * MHZ, 64 * MHZ
PRESCALER = {0: 1, 4: 2, 5: 4, 6: 8, 7: 16}

# Registers become entries of a table: address and last written value.
RECORDER = """
#include <stddef.h>
static struct {{ uint32_t address, value; }} cells[{cells}] = {{ {initial} }};
static volatile uint32_t *cell(uint32_t address)
{{
    size_t i = 0;
    while (cells[i].address != address && cells[i].address != 0)
        i++;
    cells[i].address = address;
    return &cells[i].value;
}}
#undef REGISTER
#define REGISTER(address) (*cell(address))
#define port_start start_of_port
#define port_receive receive_of_port
#define port_send send_of_port
{settings}
#include "port/{port}.c"
"""
DUMP = "port_start(); __builtin_memcpy(model_arena, cells, sizeof cells);"

Registers = Mapping[int, int]


@dataclass(frozen=True)
class Clocks:
    """Frequencies in Hz decoded from the registers: core, PLL input and VCO, buses, UART."""

    core: float
    pll_input: float
    vco: float
    buses: tuple[float, ...]
    uart: float
    divider: float
    wait_states: int


def f1(r: Registers) -> Clocks:
    cfgr = r[0x40021004]
    assert cfgr & 3 == 2
    assert cfgr >> 16 & 1
    assert r[0x40021000] & (1 << 16 | 1 << 18 | 1 << 24) == 1 << 16 | 1 << 18 | 1 << 24
    core = F1_HSE * ((cfgr >> 18 & 15) + 2)
    apb1 = core / PRESCALER[cfgr >> 8 & 7]
    return Clocks(core, F1_HSE, core, (apb1,), apb1, r[0x40004408], r[0x40022000] & 7)


def f4_or_f7(r: Registers) -> tuple[float, float, float, float, float]:
    pll, cfgr = r[0x40023804], r[0x40023808]
    assert cfgr & 3 == 2
    assert not pll >> 22 & 1  # from the HSI
    pll_input = HSI_16 / (pll & 63)
    vco = pll_input * (pll >> 6 & 511)
    core = vco / (2 * ((pll >> 16 & 3) + 1))
    apb1, apb2 = (core / PRESCALER[cfgr >> shift & 7] for shift in (10, 13))
    return core, pll_input, vco, apb1, apb2


def f4(r: Registers) -> Clocks:
    core, pll_input, vco, apb1, apb2 = f4_or_f7(r)
    uart, divider = (apb2, r[0x40011008]) if 0x40011008 in r else (apb1, r[0x40004408])
    acr = r[0x40023C00]
    assert acr & 0x700 == 0x700  # prefetch, both caches
    return Clocks(core, pll_input, vco, (apb1, apb2), uart, divider, acr & 15)


def f7(r: Registers) -> Clocks:
    core, pll_input, vco, apb1, apb2 = f4_or_f7(r)
    assert r[0x40007000] & 3 << 16 == 3 << 16  # overdrive
    assert r[0x40023890] >> 4 & 3 == 2  # USART3 from the HSI
    caches_and_uncached_sram(r, 0x2000_0000, 512 << 10)
    return Clocks(core, pll_input, vco, (apb1, apb2), HSI_16, r[0x4000480C], r[0x40023C00] & 15)


def g0(r: Registers) -> Clocks:
    pll = r[0x4002100C]
    assert r[0x40021008] & 7 == 2
    assert pll & 3 == 2
    assert pll >> 28 & 1
    pll_input = HSI_16 / ((pll >> 4 & 7) + 1)
    vco = pll_input * (pll >> 8 & 127)
    core = vco / ((pll >> 29) + 1)
    assert r[0x40021054] >> 2 & 3 == 2  # USART2 from the HSI16
    assert r[0x40022000] >> 18 & 1  # DBG_SWEN, as it was after reset
    return Clocks(core, pll_input, vco, (core,), HSI_16, r[0x4000440C], r[0x40022000] & 7)


def l4(r: Registers) -> Clocks:
    pll, cfgr = r[0x4002100C], r[0x40021008]
    assert cfgr & 3 == 3
    assert cfgr >> 4 & 15 == 0  # the AHB at its full clock in the end
    assert pll & 3 == 2
    pll_input = HSI_16 / ((pll >> 4 & 7) + 1)
    vco = pll_input * (pll >> 8 & 127)
    core = vco / (2 * ((pll >> 25 & 3) + 1))
    divider = r[0x4000800C] / 256 if 0x4000800C in r else r[0x4000440C]
    return Clocks(core, pll_input, vco, (core,), HSI_16, divider, r[0x40022000] & 15)


def h7(r: Registers) -> Clocks:
    divr = r[0x58024430]
    assert r[0x58024410] & 7 == 3
    assert r[0x58024428] & 3 == 0
    assert r[0x5802442C] >> 2 & 3 == 3  # input of 8 to 16 MHz
    pll_input = HSI_64 / (r[0x58024428] >> 4 & 63)
    vco = pll_input * ((divr & 511) + 1)
    core = vco / ((divr >> 9 & 127) + 1)
    bus = core / (2 if r[0x58024418] & 15 == 8 else 1)
    apbs = [
        bus / PRESCALER[r[address] >> shift & 7]
        for address, shift in (
            (0x58024418, 4), (0x5802441C, 4), (0x5802441C, 8), (0x58024420, 4),
        )
    ]  # fmt: skip
    assert r[0x58024454] & 7 == 3  # USART3 from the HSI
    caches_and_uncached_sram(r, 0x2400_0000, (512 if core > 280 * MHZ else 1024) << 10)
    return Clocks(core, pll_input, vco, (bus, *apbs), HSI_64, r[0x4000480C], r[0x52002000] & 15)


def u5(r: Registers) -> Clocks:
    pll, divr = r[0x46020C28], r[0x46020C34]
    assert r[0x46020C1C] & 3 == 3
    assert r[0x46020C20] & 15 == 0  # the AHB at its full clock in the end
    assert pll & 3 == 2
    assert pll >> 2 & 3 == 3  # input of 8 to 16 MHz
    assert pll >> 18 & 1
    pll_input = HSI_16 / ((pll >> 8 & 15) + 1)
    vco = pll_input * ((divr & 511) + 1)
    core = vco / ((divr >> 24 & 127) + 1)
    assert r[0x4602080C] >> 16 & 7 == 7  # range 1, booster
    assert r[0x40030400] & 1  # instruction cache
    return Clocks(core, pll_input, vco, (core,), HSI_16, r[0x4001380C], r[0x40022000] & 15)


def caches_and_uncached_sram(r: Registers, origin: int, size_bytes: int) -> None:
    assert r[0xE000ED14] & 3 << 16 == 3 << 16
    assert r[0xE000ED9C] == origin
    rasr = r[0xE000EDA0]
    assert 2 << (rasr >> 1 & 31) == size_bytes
    assert rasr >> 16 & 0b111111 == 0b001000  # TEX 1, S, C and B 0: normal, not cacheable
    assert not rasr >> 28 & 1  # executable: pyOCD runs its flash algorithms in RAM
    assert r[0xE000ED94] & 1


# Decoder, limits of the PLL's input, of its VCO and of the buses (MHz, data sheets), reset values
CASES: dict[
    str,
    tuple[
        Callable[[Registers], Clocks], tuple[float, float], tuple[float, float], tuple[float, ...]
    ],
] = {
    "nucleo-f103rb": (f1, (1, 25), (16, 72), (36,)),
    "nucleo-f446re": (f4, (0.95, 2.1), (100, 432), (45, 90)),
    "stm32f405": (f4, (0.95, 2.1), (100, 432), (42, 84)),
    "nucleo-f767zi": (f7, (0.95, 2.1), (100, 432), (54, 108)),
    "nucleo-g071rb": (g0, (2.66, 16), (96, 344), (64,)),
    "nucleo-l476rg": (l4, (4, 16), (64, 344), (80,)),
    "nucleo-l4r5zi": (l4, (2.66, 16), (64, 344), (120,)),
    "nucleo-h743zi2": (h7, (2, 16), (192, 836), (200, 100, 100, 100, 100)),
    "nucleo-h7a3zi-q": (h7, (2, 16), (128, 560), (280, 140, 140, 140, 140)),
    "nucleo-u575zi-q": (u5, (4, 16), (128, 544), (160,)),
}
RESET_VALUES = {"nucleo-g071rb": {0x40022000: 0x0004_0600}}


def recorded(board: Board, folder: Path) -> Registers:
    """The register values after the board's port_start, run on an emulated Cortex-M4."""
    core = load_board("m4")
    settings = {
        "BOARD_CLOCK_HZ": board.clock_hz,
        "BOARD_FLASH_WAIT_STATES": board.flash_wait_states,
        **dict(board.port_settings),
        "STATUS_BITS_MISSING": 1,
    }
    code = RECORDER.format(
        cells=CELLS,
        initial=", ".join(
            f"{{{address:#x}, {value:#x}}}"
            for address, value in RESET_VALUES.get(board.name, {0: 0}).items()
        ),
        settings="\n".join(f"#define {name} {value}" for name, value in settings.items()),
        port=board.port,
    )
    size = 8 * CELLS
    text = program(core, DUMP, declarations=code, arena_bytes=size, output_bytes=size)
    image = build(text, core, folder)
    layout = Layout.within(image.staging, 1, 4, size)
    with Machine(image, folder) as machine:
        reply = machine.ask(RUN, *struct.unpack("<6I", layout.request.pack()))
        assert (reply.type, reply.words[0]) == (RUN_REPLY, 0)
        words = np.frombuffer(machine.read(layout.outputs.origin, size), "<u4").tolist()
    pairs = zip(words[::2], words[1::2], strict=True)
    return {address: value for address, value in pairs if address}


@pytest.mark.parametrize("name", CASES)
def test_the_registers_make_the_boards_clock(name: str, tmp_path: Path) -> None:
    board = load_board(name)
    decode, pll_input, vco, buses = CASES[name]
    clocks = decode(recorded(board, tmp_path))
    assert clocks.core == board.clock_hz
    assert clocks.wait_states == board.flash_wait_states
    assert pll_input[0] * MHZ <= clocks.pll_input <= pll_input[1] * MHZ
    assert vco[0] * MHZ <= clocks.vco <= vco[1] * MHZ
    assert len(clocks.buses) == len(buses)
    for bus, limit in zip(clocks.buses, buses, strict=True):
        assert bus <= limit * MHZ
    assert clocks.uart / clocks.divider == pytest.approx(BAUD, rel=0.01)


def test_a_clock_that_does_not_start_is_a_fault_and_not_a_measurement(tmp_path: Path) -> None:
    whole = load_board("stm32f405")
    settings = dict(whole.port_settings) | {"STATUS_BITS_MISSING": 0}
    board = replace(whole, port_settings=tuple(settings.items()))
    image = build(program(board), board, tmp_path)
    target = QemuTarget(board)
    try:
        with pytest.raises(FirmwareFault) as caught:
            target.load(image)
    finally:
        target.close()
    with image.elf.open("rb") as stream:
        start = ELFFile(stream).get_section_by_name(".symtab").get_symbol_by_name("port_start")[0]
    begin = start["st_value"] & ~1
    assert begin <= caught.value.registers["pc"] < begin + start["st_size"]


def counts_of(image: Image, folder: Path, *arguments: str) -> tuple[int, int]:
    """The counter kind in HELLO, and the counts of one run."""
    layout = Layout.within(image.staging, 1, 4, 4)
    with Machine(image, folder, {}, arguments) as machine:
        kind = machine.ask(HELLO).words[5]
        reply = machine.ask(RUN, *struct.unpack("<6I", layout.request.pack()))
        assert (reply.type, reply.words[0]) == (RUN_REPLY, 0)
        assert machine.ask(HELLO).words[5] == kind  # still receives after SysTick was unmasked
        return kind, int.from_bytes(machine.read(layout.counts.origin, 8), "little")


def loop(turns: int) -> str:
    """A program of 2 * turns instructions and a few more."""
    return f"""\
    uint32_t left = {turns};
    __asm volatile(".syntax unified; 1: subs %0, #1; bne 1b" : "+l"(left) :: "cc");
"""


def test_systick_counts_on_through_its_wraps(tmp_path: Path) -> None:
    board = replace(load_board("m0"), counter="systick")
    ticks = []
    for turns in (1_000_000, 20_000_000):
        image = build(program(board, loop(turns)), board, tmp_path)
        # 64 ns per instruction, 62.5 ns per tick; 40 million ticks wrap twice
        kind, count = counts_of(image, tmp_path, "-icount", "shift=6")
        assert kind == 3
        assert count == pytest.approx(2 * turns * 64 / 62.5, rel=0.001)
        ticks.append(count)
    assert ticks[1] > 2 << 24


def test_a_cycle_counter_that_stands_still_is_told(tmp_path: Path) -> None:
    board = replace(load_board("stm32f405"), counter="dwt")  # QEMU has no DWT
    image = build(program(board, loop(1000)), board, tmp_path)
    assert counts_of(image, tmp_path) == (0, 0)


def test_the_emulated_board_counts(tmp_path: Path) -> None:
    board = load_board("stm32f405")
    image = build(program(board, loop(1000)), board, tmp_path)
    kind, count = counts_of(image, tmp_path, *counting_arguments())
    assert kind == 1
    assert 2000 < count < 2010


def test_a_missing_pack_is_the_users_to_install() -> None:
    board = load_board("nucleo-f446re")
    emulator = Emulator(load_board("stm32f405"))
    try:
        with pytest.raises(UserError, match="pyocd pack install stm32f446retx"):
            PyocdTarget(
                board,
                f"qemu:fd:{emulator.gdb.fileno()}",
                f"fd:{emulator.uart.fileno()}",
                no_config=True,
            )
    finally:
        emulator.kill()
