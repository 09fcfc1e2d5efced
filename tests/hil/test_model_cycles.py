"""Modeled cycles in the emulator: loops counted by hand, on every core; counts stay the same.

Each figure is the difference of two runs with different numbers of iterations, so that the code
around the loop does not matter.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from helpers.machine import RUN, Machine
from helpers.programs import program
from hil.board import load_board
from hil.codegen.build import build
from hil.cycle_model import DelayedRam, FlashTiming
from hil.emulator.plugin import counting_arguments
from hil.types import Image

BOARDS = ("m0", "m3", "m4", "m7", "m33")
SIMPLE = "1: subs r0, #1; bne 1b"
USE_A_LOAD = "1: ldr r1, [r2]; adds r3, r1; subs r0, #1; bne 1b"
# Five inner iterations, whose end a Cortex-M7 mispredicts once.
NESTED = "1: movs r1, #5; 2: subs r1, #1; bne 2b; subs r0, #1; bne 1b"
# BEQ is never taken, B always.
UNTAKEN = "1: cmp r0, #0; beq 3f; b 2f; nop; 2: subs r0, #1; bne 1b; 3:"


def image_of(board_name: str, text: str, turns: int, folder: Path) -> Image:
    # The loops may store to r2: below SP is nothing that the compiler keeps.
    start = (
        f"mov r2, sp; subs r2, #64; movs r0, #{turns}; .balign 8, 0; .inst.n 0xbf00; .inst.n 0xbf00"
    )
    if board_name == "m0":  # has only the 16-bit NOP
        start = f"mov r2, sp; subs r2, #64; movs r0, #{turns}; .balign 4; nop; nop"
    clobbers = '"r0", "r1", "r2", "r3", "cc", "memory"'
    code = f'__asm volatile(".syntax unified; {start}; {text}" ::: {clobbers});'
    return build(program(load_board(board_name), code), load_board(board_name), folder)


def counted(image: Image, folder: Path, arguments: tuple[str, ...]) -> tuple[int, int]:
    """Instructions and modeled cycles of the third inference."""
    start = image.staging.origin
    with Machine(image, folder, {}, arguments) as machine:
        machine.ask(RUN, 3, start, 0, start + 32, start + 64, 0)
        data = machine.read(start + 64, 48)
    instructions, cycles = struct.unpack("<6Q", data)[4:]
    return instructions, cycles


def cycles_per_turn(board_name: str, text: str, folder: Path) -> int:
    return per_turn(board_name, text, folder, counting_arguments(load_board(board_name).core))


def per_turn(board_name: str, text: str, folder: Path, arguments: tuple[str, ...]) -> int:
    few, many = (
        counted(image_of(board_name, text, turns, folder), folder, arguments)[1]
        for turns in (50, 150)
    )
    assert (many - few) % 100 == 0
    return (many - few) // 100


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # one for SUBS and, taken: 3 (M0), 1 + P = 2 (M3, M4), together with SUBS (M7), 2 (M33)
        (SIMPLE, {"m0": 1 + 3, "m3": 1 + 2, "m4": 1 + 2, "m7": 1, "m33": 1 + 2}),
        # LDR: 2, 2 and 2 cycles; M7: ADDS waits for it and goes with SUBS; M33: ADDS waits
        (
            USE_A_LOAD,
            {"m0": 2 + 1 + 4, "m3": 2 + 1 + 3, "m4": 2 + 1 + 3, "m7": 3, "m33": 2 + 1 + 3},
        ),
        # MOVS, four turns inside, the last one not taken, and the outer end
        (
            NESTED,
            {
                "m0": 1 + 4 * 4 + 2 + 4,
                "m3": 1 + 4 * 3 + 2 + 3,
                "m4": 1 + 4 * 3 + 2 + 3,
                "m7": 1 + 5 + 6 + 1,
                "m33": 1 + 4 * 3 + 1 + 3,
            },
        ),
        # M7 and M33: CMP with BEQ, B, SUBS with BNE
        (UNTAKEN, {"m0": 2 + 3 + 4, "m3": 2 + 2 + 3, "m4": 2 + 2 + 3, "m7": 3, "m33": 1 + 3 + 3}),
    ],
    ids=["simple", "load", "nested", "untaken"],
)
@pytest.mark.parametrize("board_name", BOARDS)
def test_loops_counted_by_hand(
    board_name: str, text: str, expected: dict[str, int], tmp_path: Path
) -> None:
    assert cycles_per_turn(board_name, text, tmp_path) == expected[board_name]


@pytest.mark.parametrize("board_name", BOARDS)
def test_modelling_changes_no_instruction_count(board_name: str, tmp_path: Path) -> None:
    image = image_of(board_name, NESTED, 20, tmp_path)
    plain = counted(image, tmp_path, counting_arguments())
    modelled = counted(image, tmp_path, counting_arguments(image.board.core))
    again = counted(image, tmp_path, counting_arguments(image.board.core))
    assert plain == (modelled[0], 0)
    assert modelled == again
    assert modelled[1] > 0


ONE_WORD = ("ldr r2, [r0], #4", 1)
TWO_WORDS = ("ldrd r2, r3, [r0], #8", 2)  # two reads of a word, or one of two in later QEMU


def waited(
    words: int, wait_cycles: int, data_lines: int, folder: Path, load: tuple[str, int] = ONE_WORD
) -> int:
    """The additional cycles of reading `words` words from a flash with lines of 16 bytes."""
    board = load_board("m4")
    code = (
        '__asm volatile(".syntax unified; mov r0, %0; movs r1, %1; .balign 4; '
        f'1: {load[0]}; subs r1, #1; bne 1b" '
        f':: "r"(constants), "i"({words // load[1]}) : "r0", "r1", "r2", "r3", "cc");'
    )
    table = '__attribute__((aligned(16), section(".weights"))) const int constants[64] = {1};'
    made = program(board, code, declarations="extern const int constants[];", weights=table)
    image = build(made, board, folder)
    flash = board.flash
    timing = FlashTiming(flash.origin, flash.length_bytes, 16, wait_cycles, 64, data_lines)
    never = counted(image, folder, counting_arguments(board.core))[1]
    return counted(image, folder, counting_arguments(board.core, timing))[1] - never


@pytest.mark.parametrize("load", [ONE_WORD, TWO_WORDS])
def test_flash_wait_states_delay_each_new_line(load: tuple[str, int], tmp_path: Path) -> None:
    assert waited(64, wait_cycles=0, data_lines=4, folder=tmp_path, load=load) == 0
    # A cache of 4 lines loses the table between two inferences; 64 lines keep it.
    assert waited(64, wait_cycles=5, data_lines=64, folder=tmp_path, load=load) == 0
    for data_lines, each in ((4, 5 * 32 // 4), (0, 5 * 32)):
        long, short = (waited(words, 5, data_lines, tmp_path, load) for words in (64, 32))
        assert long - short == each


# Accesses below SP, in a RAM that delays each first one by a cycle: turns of a loop around them.
DELAYED = [
    ("ldr r1, [r2]", 2 + 1),
    ("ldr r1, [r2]; ldr r3, [r2]", 3 + 1),  # the second follows right behind
    ("ldm r2, {r1, r3}", 3 + 1),
    ("ldr r1, [r2]; nop; ldr r3, [r2]", 2 + 1 + 1 + 2 + 1),
    ("str r1, [r2]", 1),  # nobody waits
    ("str r1, [r2]; str r1, [r2]", 2 + 1),  # the second waits for the first
    ("str r1, [r2]; ldr r1, [r2]", 2 + 2 + 1),
]


@pytest.mark.parametrize(("text", "cycles"), DELAYED)
def test_a_ram_that_delays_first_accesses(text: str, cycles: int, tmp_path: Path) -> None:
    board = load_board("m4")
    loop = f"1: {text}; subs r0, #1; bne 1b"
    ram = DelayedRam(board.ram.origin, board.ram.length_bytes)
    nowhere = DelayedRam(board.flash.origin, 16)
    delayed = counting_arguments(board.core, ram=ram)
    assert per_turn("m4", loop, tmp_path, delayed) == cycles + 1 + 2
    unhurried = counting_arguments(board.core, ram=nowhere)
    assert per_turn("m4", loop, tmp_path, unhurried) == cycles_per_turn("m4", loop, tmp_path)


def test_a_core_without_a_model_has_no_modelled_cycles(tmp_path: Path) -> None:
    board = load_board("m55")
    image = build(program(board), board, tmp_path)
    assert counted(image, tmp_path, counting_arguments()) == (1, 0)
