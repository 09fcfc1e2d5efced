"""The firmware on every emulated core, tested over its UART: hand-written models, no pyOCD."""

from __future__ import annotations

import random
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from cobs import cobs
from elftools.elf.elffile import ELFFile

from helpers.machine import ERROR, FAULT, HELLO, HELLO_REPLY, RUN, RUN_REPLY, Frame, Machine, body
from helpers.programs import program
from hil.board import load_board
from hil.codegen.build import build
from hil.emulator.plugin import counting_arguments, qemu_version, version_numbers
from hil.types import Board, Image

BOARDS = ("m0", "m3", "m4", "m7", "m33", "m55", "stm32f405")
INSN = 1
BAD_VERSION, BAD_CRC, BAD_TYPE, BAD_ARGUMENTS = 1, 2, 3, 4
STACK_OVERFLOW, ARENA_OVERRUN = 1, 2
COPY = "for (int i = 0; i < 4; i++) model_arena[12 + i] = model_arena[i];"
SAMPLES = 5


@pytest.fixture(params=BOARDS, scope="module")
def board(request: pytest.FixtureRequest) -> Board:
    return load_board(request.param)


@pytest.fixture(scope="module")
def empty(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """An image whose model_run does nothing."""
    return made(board, tmp_path_factory.mktemp(board.name))


def made(board: Board, folder: Path, text: str = "", declarations: str = "") -> Image:
    return build(program(board, text, declarations=declarations), board, folder)


def places(image: Image) -> tuple[int, int, int, int]:
    """Addresses for the inputs, labels, outputs and counts of SAMPLES samples."""
    start = image.staging.origin
    assert start % 16 == 0
    return start, start + 32, start + 48, start + 80


def run_counts(image: Image, folder: Path, arguments: tuple[str, ...]) -> tuple[int, ...]:
    return run_both(image, folder, arguments)[::2]


def run_both(image: Image, folder: Path, arguments: tuple[str, ...]) -> tuple[int, ...]:
    """Instructions and modeled cycles of each sample, alternating."""
    inputs, _, outputs, counts = places(image)
    with Machine(image, folder, {}, arguments) as machine:
        reply = machine.ask(RUN, SAMPLES, inputs, 0, outputs, counts, 0)
        assert (reply.type, reply.words[0]) == (RUN_REPLY, 0)
        return struct.unpack(f"<{2 * SAMPLES}Q", machine.read(counts, 16 * SAMPLES))


def symbol(image: Image, name: str) -> int:
    with image.elf.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        return int(table.get_symbol_by_name(name)[0]["st_value"])


def test_hello_tells_who_is_there(empty: Image, tmp_path: Path) -> None:
    with Machine(empty, tmp_path, {}, counting_arguments()) as machine:
        reply = machine.ask(HELLO, sequence=0xBEEF)
    staging = empty.staging
    words = (0x12345678, 4, 4, staging.origin, staging.length_bytes, INSN)
    assert reply == Frame(HELLO_REPLY, 0xBEEF, words)


def test_an_empty_model_counts_as_its_return(empty: Image, tmp_path: Path) -> None:
    assert run_counts(empty, tmp_path, counting_arguments()) == (1,) * SAMPLES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nop; nop; nop", 3),
        ("movs r0, #200; 1: subs r0, #1; bne 1b", 1 + 200 * 2),
        (
            "movs r0, #3; 1: movs r1, #50; 2: subs r1, #1; bne 2b; subs r0, #1; bne 1b",
            1 + 3 * (1 + 50 * 2 + 2),
        ),
    ],
)
@pytest.mark.parametrize("name", ["m0", "m3", "m4", "m7"])
def test_counts_are_those_counted_by_hand(
    name: str, tmp_path: Path, text: str, expected: int
) -> None:
    code = f'__asm volatile(".syntax unified; {text}" ::: "r0", "r1", "cc");'
    image = made(load_board(name), tmp_path, code)
    assert run_counts(image, tmp_path, counting_arguments()) == (expected + 1,) * SAMPLES


def one_by_one() -> tuple[str, ...]:
    """QEMU's arguments for one instruction in each block of translated code."""
    if version_numbers(qemu_version()) < (8, 1):
        return ("-singlestep",)
    return ("-accel", "tcg,one-insn-per-tb=on")


def test_counts_do_not_depend_on_how_the_emulator_cuts_blocks(tmp_path: Path) -> None:
    board = load_board("m4")
    code = (
        "for (volatile int i = 0; i < 1000; i++) model_arena[i & 7] = (int8_t)(model_arena[0] / 3);"
    )
    image = made(board, tmp_path, code)
    by_block = run_counts(image, tmp_path, counting_arguments())
    by_instruction = run_counts(image, tmp_path, (*counting_arguments(), *one_by_one()))
    assert by_block == by_instruction == by_block[:1] * SAMPLES
    assert by_block[0] > 5000


def test_without_the_plug_in_nothing_is_counted_and_hello_says_so(tmp_path: Path) -> None:
    image = made(load_board("m3"), tmp_path)
    with Machine(image, tmp_path) as machine:
        assert machine.ask(HELLO).words[5] == 0
    assert run_counts(image, tmp_path, ()) == (0,) * SAMPLES


def test_outputs_checksum_and_right_answers(board: Board, tmp_path: Path) -> None:
    image = made(board, tmp_path, COPY)
    samples = np.array(
        [[1, 9, 3, 4], [-5, -5, -5, -5], [-128, 127, 127, 0], [0, -1, -2, 1], [7, 8, 7, 8]], np.int8
    )
    labels = np.array([1, 0, 1, 2, 1], np.uint16)  # the third 127 and the second 8 do not count
    inputs, labels_at, outputs, counts = places(image)
    memory = {inputs: samples.tobytes(), labels_at: labels.tobytes()}
    with Machine(image, tmp_path, memory, counting_arguments()) as machine:
        reply = machine.ask(RUN, SAMPLES, inputs, labels_at, outputs, counts, 0, sequence=3)
        unlabelled = machine.ask(RUN, SAMPLES, inputs, 0, outputs, counts, 0, sequence=4)
        written = machine.read(outputs, samples.size)
        behind = machine.read(outputs + samples.size, 12)
    right = int((samples.argmax(axis=1) == labels).sum())
    crc = zlib.crc32(samples.tobytes())
    assert (reply.type, reply.sequence) == (RUN_REPLY, 3)
    assert (reply.words[0], reply.words[1], reply.words[3]) == (0, right, crc)
    assert (unlabelled.sequence, unlabelled.words[1]) == (4, 0)
    assert written == samples.tobytes()
    assert behind == bytes(12)


def touching(size_bytes: int) -> str:
    return (
        f"volatile uint8_t big[{size_bytes}]; "
        f"for (int i = 0; i < {size_bytes}; i++) big[i] = 1; model_arena[0] = (int8_t)big[0];"
    )


def run_once(image: Image, folder: Path) -> Frame:
    inputs, _, outputs, counts = places(image)
    with Machine(image, folder, {}, counting_arguments()) as machine:
        return machine.ask(RUN, 1, inputs, 0, outputs, counts, 0)


def test_the_stack_peak_grows_by_what_the_model_uses(board: Board, tmp_path: Path) -> None:
    peaks = []
    for size_bytes in (128, 384):
        reply = run_once(made(board, tmp_path, touching(size_bytes)), tmp_path)
        assert reply.words[0] == 0
        peaks.append(reply.words[2])
    assert peaks[1] - peaks[0] == 256
    assert 128 < peaks[0] < 1024


def test_a_stack_overflow_is_told(board: Board, tmp_path: Path) -> None:
    image = made(board, tmp_path, touching(board.stack_bytes))
    reply = run_once(image, tmp_path)
    if board.core in ("cortex-m33", "cortex-m55"):  # Armv8-M checks the stack pointer itself
        assert reply.type == FAULT
        assert reply.words[3] & 1 << 20  # UsageFault: STKOF
    else:
        assert (reply.type, reply.words[0]) == (RUN_REPLY, STACK_OVERFLOW)
        assert reply.words[2] == board.stack_bytes


@pytest.mark.parametrize("distance", [0, 15])
def test_a_write_behind_the_arena_is_told_at_the_first_sample(
    board: Board, tmp_path: Path, distance: int
) -> None:
    overrun = f"int8_t *volatile a = model_arena; if (a[0] == 2) a[{16 + distance}]++;"
    image = made(board, tmp_path, f"{COPY}\n{overrun}")
    inputs, _, outputs, counts = places(image)
    memory = {inputs: b"".join(bytes([sample] * 4) for sample in range(SAMPLES))}
    with Machine(image, tmp_path, memory, counting_arguments()) as machine:
        reply = machine.ask(RUN, SAMPLES, inputs, 0, outputs, counts, 0)
        again = machine.ask(RUN, 2, inputs, 0, outputs, counts, 0)  # neither of them overruns
        written = machine.read(outputs, 4 * SAMPLES)
    assert (reply.type, reply.words[0]) == (RUN_REPLY, ARENA_OVERRUN)
    assert (again.type, again.words[0]) == (RUN_REPLY, 0)
    assert written[:12] == memory[inputs][:12]
    assert written[12:] == bytes(8)  # nothing ran after the sample that overran


def test_a_fault_names_the_instruction(board: Board, tmp_path: Path) -> None:
    code = '__asm volatile(".global culprit\\nculprit: .inst.n 0xde00");'  # udf #0
    image = made(board, tmp_path, code)
    reply = run_once(image, tmp_path)
    assert (reply.type, reply.sequence) == (FAULT, 0)
    pc, lr, psr, cfsr, hfsr, _, _ = reply.words
    assert pc == symbol(image, "culprit")
    assert symbol(image, "cycles_between_reads") & ~1 < lr < symbol(image, "main") + 4096
    assert psr & 1 << 24  # Thumb
    if board.core != "cortex-m0":
        assert cfsr & 1 << 16  # UsageFault: UNDEFINSTR
        assert hfsr & 1 << 30  # FORCED


def test_a_fault_tells_the_address(tmp_path: Path) -> None:
    board = load_board("m4")
    code = "*(volatile uint32_t *)0xA0000000u = 1;"  # nothing is mapped there
    reply = run_once(made(board, tmp_path, code), tmp_path)
    _, _, _, cfsr, _, _, bfar = reply.words
    assert cfsr & 1 << 15  # BFARVALID
    assert bfar == 0xA0000000


def test_frames_that_are_not_ours_get_an_error_and_do_no_harm(board: Board, tmp_path: Path) -> None:
    image = made(board, tmp_path)
    hello = body(HELLO, 9)
    with Machine(image, tmp_path) as machine:
        machine.send(hello[:-1] + bytes([hello[-1] ^ 1]))
        assert machine.receive() == Frame(ERROR, 9, (BAD_CRC,))
        machine.send(body(HELLO, 10, version=2))
        assert machine.receive() == Frame(ERROR, 10, (BAD_VERSION,))
        assert machine.ask(0x7F, sequence=11) == Frame(ERROR, 11, (BAD_TYPE,))
        assert machine.ask(HELLO, 1, sequence=12) == Frame(ERROR, 12, (BAD_ARGUMENTS,))
        machine.send_raw(b"\0\0\0")  # empty frames: resynchronization
        assert machine.ask(HELLO, sequence=13).type == HELLO_REPLY


@pytest.mark.parametrize("name", ["m0", "m3"])
def test_run_refuses_arguments_outside_staging(name: str, tmp_path: Path) -> None:
    image = made(load_board(name), tmp_path)
    inputs, labels, outputs, counts = places(image)
    end = image.staging.end
    good = (1, inputs, labels, outputs, counts, 0)
    bad = [
        (0, *good[1:]),
        (0xFFFFFFFF, *good[1:]),
        (1 << 30, *good[1:]),
        (1, inputs - 4, *good[2:]),
        (*good[:5], 2),
        (1, end - 3, *good[2:]),
        (1, end + 1, *good[2:]),
        (1, 0, *good[2:]),
        (1, inputs, labels + 1, outputs, counts, 0),
        (1, inputs, image.arena_address, outputs, counts, 0),
        (1, inputs, labels, end - 3, counts, 0),
        (1, inputs, labels, 0, counts, 0),
        (1, inputs, labels, outputs, counts + 4, 0),
        (1, inputs, labels, outputs, end, 0),
        (1, inputs, labels, outputs, 0xFFFFFFF8, 0),
        good[:5],
        (*good, 0),
        (),
    ]
    with Machine(image, tmp_path) as machine:
        for words in bad:
            assert machine.ask(RUN, *words) == Frame(ERROR, 7, (BAD_ARGUMENTS,)), words
        assert machine.ask(RUN, *good).type == RUN_REPLY
        assert machine.ask(RUN, 1, end - 4, end - 8, end - 12, end - 32, 0).type == RUN_REPLY


def test_garbage_of_any_length_gets_one_error_each(tmp_path: Path) -> None:
    image = made(load_board("m3"), tmp_path)
    random_source = random.Random(1)
    with Machine(image, tmp_path) as machine:
        for size in [*range(1, 48), 253, 254, 255, 256, 600]:
            machine.send_raw(bytes(random_source.randrange(1, 256) for _ in range(size)) + b"\0")
            reply = machine.receive()
            assert (reply.type, reply.words) == (ERROR, (BAD_CRC,)), size
        encoded = cobs.encode(body(HELLO, 5))
        for cut in range(1, len(encoded)):
            machine.send_raw(encoded[:cut] + b"\0")
            assert machine.receive().words == (BAD_CRC,), cut
        assert machine.ask(HELLO).type == HELLO_REPLY


def test_the_host_rests_while_the_firmware_waits(empty: Image, tmp_path: Path) -> None:
    with Machine(empty, tmp_path) as machine:
        machine.ask(HELLO)
        before = machine.cpu_ticks()
        time.sleep(0.3)
        assert machine.cpu_ticks() - before <= 3  # of 10 ms; a firmware that polls takes all 30
