"""Building: sizes checked against objcopy, limits to the byte, errors by culprit, the cache."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

import hil.codegen.build
from compress.errors import OverBudget, UserError
from helpers.programs import program, write_pack
from hil.board import load_board
from hil.cache import cached
from hil.codegen.build import BuildFailed, build, check_compiler, compiler_version
from hil.types import Board, Image, Program, Region

WEIGHTS = """
__attribute__((section(".weights"))) const int8_t weights[1000] = {1};
"""
USES_WEIGHTS = "model_arena[0] = weights[model_arena[1] & 63];"
DECLARES_WEIGHTS = "extern const int8_t weights[1000];"


@pytest.fixture
def board() -> Board:
    return load_board("m4")


def with_weights(board: Board, arena_bytes: int = 16) -> Program:
    return program(
        board,
        USES_WEIGHTS,
        declarations=DECLARES_WEIGHTS,
        weights=WEIGHTS,
        arena_bytes=arena_bytes,
    )


def symbols(image: Image) -> dict[str, int]:
    with image.elf.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        return {symbol.name: symbol["st_value"] for symbol in table.iter_symbols()}


def flash_bytes(image: Image) -> int:
    """Bytes that a programmer writes to flash, from the binary that objcopy makes."""
    binary = image.elf.with_suffix(".bin")
    subprocess.run(
        ["arm-none-eabi-objcopy", "-O", "binary", str(image.elf), str(binary)], check=True
    )
    return binary.stat().st_size


@pytest.mark.parametrize("name", ["m0", "m3", "m4", "m7", "m33", "m55"])
def test_the_parts_add_up_to_what_is_programmed(name: str, tmp_path: Path) -> None:
    board = load_board(name)
    counter = "static volatile int counter = 3;"
    declarations = f"{DECLARES_WEIGHTS}\n{counter}"
    image = build(
        program(
            board,
            f"counter++; {USES_WEIGHTS}",
            declarations=declarations,
            weights=WEIGHTS,
            arena_bytes=48,
        ),
        board,
        tmp_path,
    )
    assert image.flash.total == flash_bytes(image)
    assert image.flash.parts["weights"] == 1000
    assert 0 < image.flash.parts["model"] < 100
    assert 1500 < image.flash.parts["harness"] < 3000
    assert image.ram.parts["arena"] == 48
    assert 12 <= image.ram.parts["static"] <= 64  # the counter's cell, `counter`


def test_a_kernel_counts_as_kernels(board: Board, tmp_path: Path) -> None:
    plain = build(program(board), board, tmp_path / "plain").flash.parts
    body = "model_arena[0] = (int8_t)(uintptr_t)arm_max_pool_s8;"
    text = program(board, body, declarations="#include <arm_nnfunctions.h>")
    pooled = build(text, board, tmp_path / "pooled").flash.parts
    assert plain["kernels"] == 0
    assert pooled["kernels"] > 200
    assert pooled["weights"] == plain["weights"] == 0
    assert abs(pooled["harness"] - plain["harness"]) < 16


def test_the_vector_table_begins_the_flash(board: Board, tmp_path: Path) -> None:
    image = build(program(board), board, tmp_path)
    flash_bytes(image)
    stack, reset, _, fault = struct.unpack_from("<4I", image.elf.with_suffix(".bin").read_bytes())
    names = symbols(image)
    assert stack == board.ram.end
    assert reset == names["reset_handler"]
    assert reset & 1
    assert fault == names["fault_handler"]


def test_staging_is_the_gap_where_the_board_has_no_region_for_it(tmp_path: Path) -> None:
    board = load_board("m0")
    image = build(program(board, arena_bytes=1024), board, tmp_path)
    guard_bytes = 16
    assert image.staging.origin == image.arena_address + 1024 + guard_bytes
    assert image.staging.end == board.ram.end - board.stack_bytes
    roomy = load_board("m4")
    assert build(program(roomy), roomy, tmp_path).staging == roomy.staging


def test_layer_ends_are_in_order_within_the_model(board: Board, tmp_path: Path) -> None:
    def mark(index: int) -> str:
        name = f"model_layer_end_{index}"
        return f'__asm volatile(".global {name}\\n{name}:" ::: "memory");\n'

    body = "".join(f"model_arena[{index}] += 3;\n{mark(index)}" for index in range(12))
    image = build(program(board, body), board, tmp_path)
    start = symbols(image)["model_run"] & ~1
    end = start + image.flash.parts["model"]
    assert len(image.layer_ends) == 12
    assert list(image.layer_ends) == sorted(set(image.layer_ends))
    assert all(start < address < end and address % 2 == 0 for address in image.layer_ends)
    assert build(program(board), board, tmp_path).layer_ends == ()


def test_equal_programs_give_equal_images(board: Board, tmp_path: Path) -> None:
    first = build(with_weights(board), board, tmp_path / "a")
    second = build(with_weights(board), board, tmp_path / "somewhere" / "else")
    assert first.sha256 == second.sha256
    assert first.elf.read_bytes() == second.elf.read_bytes()
    assert build(program(board), board, tmp_path / "c").sha256 != first.sha256


def test_sources_and_elf_are_left_and_nothing_else(board: Board, tmp_path: Path) -> None:
    image = build(with_weights(board), board, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*image.program.files, "model.elf"}
    assert image.elf == tmp_path / "model.elf"


def test_overflowing_flash_says_by_how_much(board: Board, tmp_path: Path) -> None:
    needed = build(with_weights(board), board, tmp_path).flash.total
    small = replace(board, flash=Region(board.flash.origin, needed - 100))
    with pytest.raises(OverBudget, match=r"flash of m4 .* overflows by 100 bytes"):
        build(with_weights(small), small, tmp_path)


def test_overflowing_ram_says_by_how_much(board: Board, tmp_path: Path) -> None:
    static = build(program(board), board, tmp_path).ram.parts["static"]
    others_bytes = -(-static // 16) * 16  # the arena is aligned
    arena_bytes = board.ram.length_bytes - board.stack_bytes - others_bytes + 16
    with pytest.raises(OverBudget, match=r"ram of m4 .* overflows by 16 bytes"):
        build(program(board, arena_bytes=arena_bytes), board, tmp_path)


@pytest.mark.parametrize("region", ["flash", "ram"])
def test_limits_hold_to_the_byte(board: Board, tmp_path: Path, region: str) -> None:
    image = build(with_weights(board), board, tmp_path)
    needed = {"flash": image.flash.total, "ram": image.ram.total}[region]
    exact = replace(board, **{f"{region}_limit_bytes": needed})
    assert build(with_weights(exact), exact, tmp_path).sha256 == image.sha256
    tight = replace(board, **{f"{region}_limit_bytes": needed - 1})
    expected = f"{region} of m4: needs {needed} bytes, 1 more than the {needed - 1} allowed"
    with pytest.raises(OverBudget, match=expected):
        build(with_weights(tight), tight, tmp_path)


def test_bad_c_is_our_bug_not_the_candidates(board: Board, tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"(?s)model\.c.*unused variable"):
        build(program(board, "int unused;"), board, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_flags_that_the_compiler_refuses_are_the_users(board: Board, tmp_path: Path) -> None:
    wrong = replace(board, compiler_flags=("-mcpu=cortex-m99", "-mthumb"))
    for call in (lambda: check_compiler(wrong), lambda: build(program(board), wrong, tmp_path)):
        with pytest.raises(UserError, match=r"board m4: compiler_flags = .*cortex-m99.*error"):
            call()
    assert not list(tmp_path.iterdir())


def test_a_compiler_that_hangs_is_not_the_flags_fault(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object) -> str:
        raise BuildFailed("no end after 120 s: arm-none-eabi-gcc")

    compiler_version()
    monkeypatch.setattr("hil.codegen.build._run", hang)
    with pytest.raises(BuildFailed, match="no end"):
        check_compiler(replace(board, name="slow"))


def test_a_missing_compiler_names_the_packages(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for call in (compiler_version, lambda: build(program(board), board, tmp_path)):
        with pytest.raises(UserError, match="gcc-arm-none-eabi libnewlib-arm-none-eabi"):
            call()


def test_a_killed_compiler_is_no_bug_of_ours(tmp_path: Path) -> None:
    tool = tmp_path / "arm-none-eabi-gcc"
    tool.write_text("#!/bin/sh\nkill -9 $$\n")
    tool.chmod(0o755)
    with pytest.raises(UserError, match=r"arm-none-eabi-gcc was killed \(out of memory\?\)"):
        hil.codegen.build._run([str(tool)], tmp_path)


def test_the_compilers_own_files_are_in_the_build_folder(tmp_path: Path) -> None:
    """Where they go with it, if all processes are killed."""
    told = hil.codegen.build._run(["sh", "-c", "echo $TMPDIR"], tmp_path)
    assert told.strip() == str(tmp_path)


def test_a_build_folder_that_is_gone_is_not_taken_for_a_missing_compiler(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        hil.codegen.build._run(["sh"], tmp_path / "nowhere")


def test_a_board_whose_port_is_not_written_is_refused(board: Board, tmp_path: Path) -> None:
    for other in (replace(board, port="stm32x9"), replace(board, counter="etm")):
        with pytest.raises(UserError, match=r"board m4 needs .*(stm32x9|counter_etm)\.c"):
            build(program(board), other, tmp_path)


@pytest.fixture
def few_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, one kernel of ours and a tiny CMSIS-NN, so that archives build fast."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    firmware = tmp_path / "firmware"
    shutil.copytree(hil.codegen.build.FIRMWARE, firmware, ignore=shutil.ignore_patterns("kernels"))
    (firmware / "kernels").mkdir()
    (firmware / "kernels" / "ours.c").write_text("int ours(void);\nint ours(void) { return 1; }\n")
    monkeypatch.setattr(hil.codegen.build, "FIRMWARE", firmware)
    monkeypatch.setenv("CMSIS_NN", str(write_pack(tmp_path / "cmsis")))
    return tmp_path


def test_builds_at_the_same_time_share_an_empty_cache(board: Board, few_sources: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda n: build(program(board), board, few_sources / n), "abcd"))
    assert len({image.sha256 for image in images}) == 1
    entries = [path.name for path in (few_sources / "cache" / "hil-compress").glob("*/*")]
    assert len(entries) == 2  # one archive, one harness, no leftovers


def test_a_changed_source_compiler_or_flag_gets_its_own_archive(
    board: Board, few_sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(path: Path) -> None:
        path.write_text(path.read_text() + "\n")

    archives = [hil.codegen.build.kernel_archive(board)]
    assert hil.codegen.build.kernel_archive(board) == archives[0]
    change(few_sources / "firmware" / "kernels" / "ours.c")
    archives.append(hil.codegen.build.kernel_archive(board))
    for theirs in (
        "Source/PoolingFunctions/poolingfunctions.c",
        "Include/Internal/arm_nn_compiler.h",
    ):
        change(few_sources / "cmsis" / theirs)
        archives.append(hil.codegen.build.kernel_archive(board))
    other_core = replace(board, compiler_flags=("-mcpu=cortex-m3",))
    archives.append(hil.codegen.build.kernel_archive(other_core))
    monkeypatch.setattr(hil.codegen.build, "compiler_version", lambda: "another compiler")
    archives.append(hil.codegen.build.kernel_archive(board))
    assert len(set(archives)) == 6


def test_a_failed_or_interrupted_build_leaves_no_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def interrupted(work: Path) -> None:
        (work / "half").write_text("half of it")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached("kind", "key", interrupted)
    assert list((tmp_path / "hil-compress" / "kind").iterdir()) == []
    made = cached("kind", "key", lambda work: (work / "whole").touch())
    assert [path.name for path in made.iterdir()] == ["whole"]


def test_an_entry_is_on_the_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    entry = tmp_path / "hil-compress" / "kind" / "key"
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        assert not entry.exists()
        synced.append(Path(f"/proc/self/fd/{descriptor}").resolve().read_text())

    def make(work: Path) -> None:
        (work / "folder").mkdir()
        (work / "folder" / "inner").write_text("inner")
        (work / "outer").write_text("outer")

    monkeypatch.setattr(os, "fsync", fsync)
    assert cached("kind", "key", make) == entry
    assert sorted(synced) == ["inner", "outer"]


def test_a_cache_that_cannot_be_written_is_the_users_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="XDG_CACHE_HOME"):
        cached("kind", "key", lambda work: None)
