"""Real boards, tested without hardware: board files, images, and pyOCD's memory maps."""

from __future__ import annotations

import itertools
import re
import struct
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from pyocd.core.memory_map import MemoryMap, MemoryType
from pyocd.target import TARGET

from helpers.graph_examples import every_op
from helpers.programs import program
from hil.board import board_names, load_board
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.files import data_folder
from hil.types import Board, Image, Region

NUCLEOS = (
    "nucleo-f103rb",
    "nucleo-f446re",
    "nucleo-f767zi",
    "nucleo-g071rb",
    "nucleo-h743zi2",
    "nucleo-h7a3zi-q",
    "nucleo-l476rg",
    "nucleo-l4r5zi",
    "nucleo-u575zi-q",
)
BOARDS = (*NUCLEOS, "stm32f405")
VECTORS = 16
STARTS_WITH = "int model_initialized = 7;"  # so that there is a .data section to place


@pytest.fixture(scope="module", params=BOARDS)
def board(request: pytest.FixtureRequest) -> Board:
    return load_board(request.param)


@pytest.fixture(scope="module")
def image(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Image:
    code = "model_arena[0] = (int8_t)model_initialized++;"
    folder = tmp_path_factory.mktemp(board.name)
    return build(program(board, code, declarations=STARTS_WITH), board, folder)


@pytest.fixture
def elf(image: Image) -> ELFFile:
    return ELFFile(image.elf.open("rb"))


def symbol(elf: ELFFile, name: str) -> int:
    return int(elf.get_section_by_name(".symtab").get_symbol_by_name(name)[0]["st_value"])


def lies_in(start: int, size_bytes: int, region: Region) -> bool:
    return region.origin <= start and start + size_bytes <= region.end


def test_they_are_all_there() -> None:
    real = {name for name in board_names() if load_board(name).backend == "pyocd"}
    assert real == set(NUCLEOS)


@pytest.mark.parametrize("name", NUCLEOS)
def test_a_real_board_is_complete(name: str) -> None:
    board = load_board(name)
    assert board.connect_mode == "under-reset"
    assert board.counter == ("systick" if board.core == "cortex-m0plus" else "dwt")
    assert board.pack == ("" if board.pyocd_target in TARGET else board.pyocd_target)
    assert (board.flash_limit_bytes, board.ram_limit_bytes) == (
        board.flash.length_bytes,
        board.ram.length_bytes,
    )
    assert re.sub("[^a-z0-9]", "", name.removeprefix("nucleo"))[:6] in board.title.lower()
    text = (data_folder("boards") / f"{name}.toml").read_text()
    assert re.search(r"\bRM\d{4}\b", text), "no reference manual is cited"
    assert re.search(r"\bDS\d{4,5}\b", text), "no data sheet is cited"


@pytest.mark.parametrize("name", ["nucleo-f103rb", "nucleo-g071rb", "nucleo-f767zi"])
def test_no_power_figure_where_none_is_published(name: str) -> None:
    assert load_board(name).energy is None


def test_the_vector_table_is_one(board: Board, elf: ELFFile) -> None:
    section = elf.get_section_by_name(".vectors")
    assert section["sh_addr"] == board.flash.origin
    assert section["sh_addr"] % 128 == 0  # VTOR
    stack, *handlers = struct.unpack(f"<{VECTORS}I", section.data())
    assert stack == symbol(elf, "__stack_top") == board.ram.end
    assert stack % 8 == 0
    assert handlers[0] == symbol(elf, "reset_handler")
    for handler in handlers:
        assert handler == 0 or (handler % 2 == 1 and lies_in(handler, 2, board.flash))
    counts_wraps = board.counter == "systick"
    assert (handlers[14] != symbol(elf, "fault_handler")) == counts_wraps


def test_everything_lies_in_the_boards_memory(board: Board, image: Image, elf: ELFFile) -> None:
    loaded = [segment for segment in elf.iter_segments("PT_LOAD") if segment["p_filesz"]]
    assert len(loaded) > 1  # code, and .data in RAM
    for segment in loaded:
        assert lies_in(segment["p_paddr"], segment["p_filesz"], board.flash)
    for section in elf.iter_sections():
        if section["sh_flags"] & 2 and section["sh_size"]:  # SHF_ALLOC
            in_ram = section.name in (".data", ".bss", ".arena", ".scratch", ".guard")
            region = board.ram if in_ram else board.flash
            assert lies_in(section["sh_addr"], section["sh_size"], region), section.name
    stack_limit = symbol(elf, "__stack_limit")
    assert board.ram.end - stack_limit == board.stack_bytes
    assert symbol(elf, "__arena_end") <= stack_limit
    staging = board.staging or Region(board.ram.origin, stack_limit - board.ram.origin)
    assert lies_in(image.staging.origin, image.staging.length_bytes, staging)


def test_a_network_builds_and_fits(board: Board, tmp_path: Path) -> None:
    plan = make_plan(every_op(), board)
    built = build(render(plan, board), board, tmp_path)
    assert 0 < built.flash.total <= board.flash_limit_bytes


def covered(region: Region, memory: MemoryMap, kind: MemoryType) -> bool:
    """True if the map has memory of this kind over the whole region, without a gap."""
    address = region.origin
    while address < region.end:
        found = memory.get_region_for_address(address)
        if found is None or found.type != kind:
            return False
        address = found.end + 1
    return True


@pytest.mark.parametrize("name", NUCLEOS)
def test_pyocd_has_the_same_memory(name: str) -> None:
    board = load_board(name)
    if board.pyocd_target not in TARGET:
        pytest.skip(f"pyOCD knows {board.pyocd_target} only by its pack, which is not installed")
    memory = TARGET[board.pyocd_target].MEMORY_MAP
    assert covered(board.flash, memory, MemoryType.FLASH)
    assert covered(board.ram, memory, MemoryType.RAM)
    assert memory.get_boot_memory().start == board.flash.origin


def test_what_is_built_differs_in_the_ports_settings(tmp_path: Path) -> None:
    """Boards with one port, core and memory must not share the port's cached objects."""
    images = [
        build(program(load_board(name)), load_board(name), tmp_path / name)
        for name in ("nucleo-h743zi2", "nucleo-h7a3zi-q")
    ]
    parts = [ELFFile(image.elf.open("rb")).get_section_by_name(".harness") for image in images]
    assert all(a.data() != b.data() for a, b in itertools.pairwise(parts))
