"""A firmware that is silent, faults, overruns or is for another board: the right error for each.

Correct behavior is tested in test_target.py.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from helpers.programs import PLUS_TWO, program, run_once
from hil.board import load_board
from hil.codegen.build import build
from hil.errors import FirmwareFault, FlashFailed, NoReply
from hil.target.target import Layout
from hil.target.target_qemu import QemuTarget
from hil.types import Board, Image

pytestmark = pytest.mark.usefixtures("emulated", "watchdog")

RUN_TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def qemu(board: Board) -> Iterator[QemuTarget]:
    target = QemuTarget(board)
    yield target
    target.close()


def patched(image: Image, folder: Path, name: str, code: bytes) -> Image:
    """The image with other code at the start of a function."""
    data = bytearray(image.elf.read_bytes())
    with image.elf.open("rb") as file:
        parsed = ELFFile(file)
        table = parsed.get_section_by_name(".symtab")
        address = int(table.get_symbol_by_name(name)[0]["st_value"]) & ~1
        offset = next(
            segment["p_offset"] + address - segment["p_vaddr"]
            for segment in parsed.iter_segments("PT_LOAD")
            if segment["p_vaddr"] <= address < segment["p_vaddr"] + segment["p_filesz"]
        )
    data[offset : offset + len(code)] = code
    elf = folder / "patched.elf"
    elf.write_bytes(data)
    return dataclasses.replace(image, elf=elf)


def test_a_firmware_that_never_answers_ends_the_load(
    qemu: QemuTarget, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.target.target_pyocd.HELLO_TIMEOUT_S", 0.5)
    mute = patched(image, tmp_path, "main", struct.pack("<H", 0xE7FE))  # b .
    with pytest.raises(NoReply, match=r"no reply to HELLO within 0\.5 s") as caught:
        qemu.load(mute)
    assert "[HELLO]" in caught.value.transcript
    monkeypatch.undo()
    assert run_once(qemu, image)


def test_a_bus_fault_tells_pc_and_fault_registers(
    qemu: QemuTarget, board: Board, tmp_path: Path
) -> None:
    body = "    *(volatile uint32_t *)0xD0000000u = 1;"  # nothing is there
    with pytest.raises(FirmwareFault, match=r"HardFault at pc 0x\w{8}, .*PRECISERR") as caught:
        run_once(qemu, build(program(board, body), board, tmp_path))
    registers = caught.value.registers
    assert set(registers) == {"pc", "lr", "psr", "cfsr", "hfsr", "mmfar", "bfar"}
    assert registers["bfar"] == 0xD0000000
    assert registers["pc"] in range(board.flash.origin, board.flash.end)
    assert registers["hfsr"] & 1 << 30  # forced
    assert "[RUN]" in caught.value.transcript
    assert "\n< " in caught.value.transcript


def test_a_write_behind_the_arena_is_ours(qemu: QemuTarget, board: Board, tmp_path: Path) -> None:
    body = "    int8_t *volatile arena = model_arena; arena[16] = 1;"
    overrun = build(program(board, body), board, tmp_path)
    with pytest.raises(FirmwareFault, match="past the arena's end") as caught:
        run_once(qemu, overrun)
    assert "[RUN]" in caught.value.transcript


def test_a_stack_that_grows_into_the_next_region_is_noticed_at_the_first_sample(
    qemu: QemuTarget, board: Board, tmp_path: Path
) -> None:
    """100 samples, each of which overflows: the run stops at the first."""
    body = f"""\
    volatile char local[{board.stack_bytes + 64}];
    for (unsigned i = 0; i < sizeof local; i++)
        local[i] = 1;
    model_arena[12]++;
"""
    image = build(program(board, body), board, tmp_path)
    qemu.load(image)
    qemu.write(image.arena_address, bytes(16))
    layout = Layout.within(image.staging, 100, 4, 4)
    qemu.write(layout.outputs.origin, bytes(400))
    with pytest.raises(FirmwareFault, match="stack overflow") as caught:
        qemu.run(layout.request, RUN_TIMEOUT_S)
    assert "[RUN]" in caught.value.transcript
    outputs = qemu.read(layout.outputs.origin, 400)
    assert outputs[0] > 0  # the first sample has run
    assert outputs[4:] == bytes(396)  # no other has


def test_an_image_for_another_board_is_refused_before_it_is_written(
    qemu: QemuTarget, image: Image, tmp_path: Path
) -> None:
    other = load_board("m33")
    foreign = build(program(other, PLUS_TWO), other, tmp_path)
    qemu.load(image)
    with pytest.raises(FlashFailed, match=f"for board m33, not {qemu.board.name}"):
        qemu.load(foreign)
    assert qemu.run(Layout.within(image.staging, 1, 4, 4).request, RUN_TIMEOUT_S)


def test_another_boards_elf_where_there_is_no_memory_cannot_be_written(
    qemu: QemuTarget, image: Image, tmp_path: Path
) -> None:
    other = load_board("m33")
    foreign = build(program(other, PLUS_TWO), other, tmp_path)
    with pytest.raises(FlashFailed):
        qemu.load(dataclasses.replace(foreign, board=qemu.board))
    assert run_once(qemu, image)


def test_another_boards_elf_with_instructions_this_core_lacks_faults(
    qemu: QemuTarget, image: Image, tmp_path: Path
) -> None:
    if "fpu" in qemu.board.features:
        pytest.skip("the core has a floating-point unit")
    other = load_board("m4")
    body = '    __asm volatile("vadd.f32 s0, s0, s0");'
    foreign = build(program(other, body), other, tmp_path)
    with pytest.raises(FirmwareFault, match=r"UNDEFINSTR|NOCP") as caught:
        run_once(qemu, dataclasses.replace(foreign, board=qemu.board))
    assert caught.value.registers["pc"]
    assert run_once(qemu, image)
