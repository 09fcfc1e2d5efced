"""A target follows its protocol, on the board of `--board`."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from helpers.programs import program
from hil.codegen.build import build
from hil.errors import FirmwareFault, FlashFailed, NoReply
from hil.target.target import Layout, Target
from hil.types import Board, Image

TIMEOUT_S = 20.0


def layout_of(image: Image, samples: int) -> Layout:
    return Layout.within(image.staging, samples, 4, 4)


def fill(target: Target, image: Image, samples: int, seed: int = 0) -> tuple[Layout, bytes]:
    """Write random inputs and labels; returns the expected outputs of the plus-two program."""
    rng = np.random.default_rng(seed)
    inputs = rng.integers(-128, 128, (samples, 4), dtype=np.int8)
    layout = layout_of(image, samples)
    target.write(layout.inputs.origin, inputs.tobytes())
    target.write(layout.labels.origin, rng.integers(0, 4, samples).astype("<u2").tobytes())
    return layout, (inputs + np.int8(2)).tobytes()


def changed(image: Image, folder: Path, **edits: bytes) -> Image:
    """The image with bytes of its ELF file replaced: `at_<file offset>`."""
    data = bytearray(image.elf.read_bytes())
    for name, value in edits.items():
        offset = int(name.removeprefix("at_"))
        data[offset : offset + len(value)] = value
    elf = folder / "changed.elf"
    elf.write_bytes(data)
    return dataclasses.replace(image, elf=elf)


def program_header(elf: Path, index: int = 0) -> tuple[int, int]:
    """File offsets of a segment's program header and of its first byte."""
    with elf.open("rb") as file:
        parsed = ELFFile(file)
        header = parsed["e_phoff"] + index * parsed["e_phentsize"]
        return header, parsed.get_segment(index)["p_offset"]


def symbol(elf: Path, name: str) -> int:
    with elf.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return int(table.get_symbol_by_name(name)[0]["st_value"]) & ~1


def test_load_tells_which_program_answers(target: Target, image: Image, board: Board) -> None:
    hello = target.load(image)
    assert (hello.model_id, hello.input_bytes, hello.output_bytes) == (image.program.id, 4, 4)
    assert (hello.staging_address, hello.staging_bytes, hello.counter) == (
        image.staging.origin,
        image.staging.length_bytes,
        board.counter,
    )


@pytest.mark.parametrize("samples", [1, 100])
def test_run_computes_counts_and_classifies(target: Target, image: Image, samples: int) -> None:
    target.load(image)
    layout, expected = fill(target, image, samples, seed=samples)
    reply = target.run(layout.request, TIMEOUT_S)
    outputs = target.read(layout.outputs.origin, layout.outputs.length_bytes)
    assert outputs == expected
    assert reply.outputs_crc32 == zlib.crc32(expected)
    labels = np.frombuffer(target.read(layout.labels.origin, 2 * samples), "<u2")
    answers = np.frombuffer(expected, np.int8).reshape(samples, 4).argmax(1)
    assert reply.correct == int(np.sum(answers == labels))
    assert 0 < reply.stack_peak_bytes < image.board.stack_bytes


def test_counts_repeat_exactly(target: Target, image: Image) -> None:
    if image.board.counter != "insn":
        pytest.skip("cycles of a real core may vary; instructions of an emulated one do not")
    target.load(image)
    layout, _ = fill(target, image, 50)
    seen = set()
    for _ in range(3):
        target.run(layout.request, TIMEOUT_S)
        data = target.read(layout.counts.origin, layout.counts.length_bytes)
        seen |= set(struct.iter_unpack("<QQ", data))
    assert len(seen) == 1
    assert seen.pop()[0] > 8  # two loops of four: at least one instruction for each


def test_memory_reads_back_at_any_alignment(target: Target, image: Image) -> None:
    target.load(image)
    room = min(20_000, image.staging.length_bytes)
    data = np.random.default_rng(1).bytes(room)
    for offset, size_bytes in [(0, room), (1, 1), (2, room // 2 + 1), (3, 8), (0, 3), (7, 4099)]:
        address = image.staging.origin + offset
        target.write(address, data[:size_bytes])
        assert target.read(address, size_bytes) == data[:size_bytes]
    assert target.read(image.staging.origin, 0) == b""


def test_each_of_many_loads_runs_its_own_program(
    target: Target, image: Image, board: Board, tmp_path: Path
) -> None:
    minus = build(
        program(board, "    for (int i = 0; i < 4; i++) model_arena[12 + i] = 7;"), board, tmp_path
    )
    for _ in range(3):
        for loaded, expected in ((image, bytes([3, 4, 5, 6])), (minus, bytes([7] * 4))):
            target.load(loaded)
            layout = layout_of(loaded, 1)
            target.write(layout.inputs.origin, bytes([1, 2, 3, 4]))
            target.run(layout.request, TIMEOUT_S)
            assert target.read(layout.outputs.origin, 4) == expected


def test_a_run_can_be_halted_at_a_layer_and_resumed(target: Target, image: Image) -> None:
    target.load(image)
    layout = layout_of(image, 2)
    target.write(layout.inputs.origin, bytes([1, 2, 3, 4, 11, 12, 13, 14]))
    for _ in range(3):
        target.write(image.arena_address, bytes(16))
        target.run_until(layout.request, image.layer_ends[0], TIMEOUT_S)
        arena = target.read(image.arena_address, 16)
        assert arena[:8] == bytes([1, 2, 3, 4, 2, 3, 4, 5])
        assert arena[12:] == bytes(4)  # layer 1 has not run
        reply = target.resume(TIMEOUT_S)  # and does not stop at the second sample
        assert target.read(layout.outputs.origin, 8) == bytes([3, 4, 5, 6, 13, 14, 15, 16])
        assert target.run(layout.request, TIMEOUT_S) == reply


def test_halting_where_the_run_never_passes_is_no_reply(target: Target, image: Image) -> None:
    target.load(image)
    nowhere = symbol(image.elf, "main")  # passed once, at the start
    with pytest.raises(NoReply, match="without reaching"):
        target.run_until(layout_of(image, 1).request, nowhere, TIMEOUT_S)
    target.load(image)
    assert target.run(layout_of(image, 1).request, TIMEOUT_S)


def test_a_run_that_hangs_before_the_halt_is_no_reply(
    target: Target, image: Image, board: Board, tmp_path: Path
) -> None:
    endless = build(program(board, '    for (;;) __asm volatile("");'), board, tmp_path)
    target.load(endless)
    with pytest.raises(NoReply, match=r"not reached within 0\.3 s"):
        target.run_until(layout_of(endless, 1).request, symbol(endless.elf, "main"), 0.3)
    target.load(image)
    assert target.run(layout_of(image, 1).request, TIMEOUT_S)


def test_resume_needs_a_halted_run(target: Target, image: Image) -> None:
    target.load(image)
    with pytest.raises(RuntimeError):
        target.resume(TIMEOUT_S)


def test_another_program_than_the_image_says_is_refused(target: Target, image: Image) -> None:
    other = dataclasses.replace(image.program, id=image.program.id ^ 1)
    with pytest.raises(FlashFailed, match="0x12345678 answers"):
        target.load(dataclasses.replace(image, program=other))


def test_an_image_outside_the_memory_is_refused(
    target: Target, image: Image, tmp_path: Path
) -> None:
    """pyOCD only logs a segment outside of all memory regions: the read-back must detect it."""
    header, _ = program_header(image.elf)
    elsewhere = struct.pack("<I", 0x9000_0000)
    moved = changed(image, tmp_path, **{f"at_{header + 12}": elsewhere})  # p_paddr
    with pytest.raises(FlashFailed):
        target.load(moved)


@pytest.mark.parametrize("content", [b"", b"not an ELF file", None])
def test_a_file_that_is_no_image_is_refused(
    target: Target, image: Image, tmp_path: Path, content: bytes | None
) -> None:
    elf = tmp_path / "bad.elf"
    if content is not None:
        elf.write_bytes(content)
    with pytest.raises(FlashFailed, match=r"bad\.elf"):
        target.load(dataclasses.replace(image, elf=elf))


def test_a_run_that_never_ends_is_no_reply_and_the_board_is_not_lost(
    target: Target, image: Image, board: Board, tmp_path: Path
) -> None:
    endless = build(program(board, '    for (;;) __asm volatile("");'), board, tmp_path)
    target.load(endless)
    with pytest.raises(NoReply, match=r"no reply to RUN within 0\.3 s") as caught:
        target.run(layout_of(endless, 1).request, 0.3)
    assert "[RUN]" in caught.value.transcript
    target.load(image)
    layout, expected = fill(target, image, 5)
    target.run(layout.request, TIMEOUT_S)
    assert target.read(layout.outputs.origin, 20) == expected


def test_a_hard_fault_is_ours_and_says_where(
    target: Target, image: Image, board: Board, tmp_path: Path
) -> None:
    body = '    __asm volatile(".global crash\\ncrash: udf #0");'
    crashing = build(program(board, body), board, tmp_path)
    target.load(crashing)
    with pytest.raises(FirmwareFault, match="HardFault") as caught:
        target.run(layout_of(crashing, 1).request, TIMEOUT_S)
    assert caught.value.registers["pc"] == symbol(crashing.elf, "crash")
    target.load(image)
    assert target.run(layout_of(image, 1).request, TIMEOUT_S)


def test_a_hard_fault_before_the_halt_is_told_too(
    target: Target, board: Board, tmp_path: Path
) -> None:
    body = '    __asm volatile("udf #0\\n.global after\\nafter: nop");'
    crashing = build(program(board, body), board, tmp_path)
    target.load(crashing)
    with pytest.raises(FirmwareFault, match="HardFault"):
        target.run_until(layout_of(crashing, 1).request, symbol(crashing.elf, "after"), TIMEOUT_S)


def test_a_stack_overflow_is_ours(target: Target, board: Board, tmp_path: Path) -> None:
    deep = f"""\
    volatile char local[{board.stack_bytes + 64}];
    for (unsigned i = 0; i < sizeof local; i++)
        local[i] = 1;
"""
    overflowing = build(program(board, deep), board, tmp_path)
    target.load(overflowing)
    with pytest.raises(FirmwareFault, match=r"stack overflow|STKOF"):
        target.run(layout_of(overflowing, 1).request, TIMEOUT_S)


def test_arguments_that_the_firmware_rejects_are_no_reply(target: Target, image: Image) -> None:
    target.load(image)
    outside = dataclasses.replace(layout_of(image, 1).request, outputs_address=0)
    with pytest.raises(NoReply, match="arguments"):
        target.run(outside, TIMEOUT_S)
