"""Reader of linked ELF files: bytes by part, and the addresses that measuring needs.

The output sections are those of firmware/templates/link.ld.j2, one or more per part.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from compress.errors import HilError
from hil.types import Board, Image, Program, Region, Sizes

FLASH_PARTS = {
    ".vectors": "harness",
    ".harness": "harness",
    ".libc": "libc",
    ".kernels": "kernels",
    ".model": "model",
    ".weights": "weights",
    ".data": "harness",
}
RAM_PARTS = {".data": "static", ".bss": "static", ".arena": "arena", ".guard": "static"}


class _Section(NamedTuple):
    name: str
    address: int
    size_bytes: int


def read_image(elf: Path, program: Program, board: Board) -> Image:
    """The image in the file `elf`, linked from `program` for `board`."""
    with elf.open("rb") as stream:
        file = ELFFile(stream)
        sections = [
            _Section(section.name, section["sh_addr"], section["sh_size"])
            for section in file.iter_sections()
            if section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section["sh_size"]
        ]
        symbols = {
            symbol.name: int(symbol["st_value"])
            for table in file.iter_sections()
            if isinstance(table, SymbolTableSection)
            for symbol in table.iter_symbols()
        }
    staging = symbols["__staging_start"]
    return Image(
        elf=elf,
        sha256=hashlib.sha256(elf.read_bytes()).hexdigest(),
        program=program,
        board=board,
        flash=_flash_sizes(sections, symbols["__data_load"], board),
        ram=_ram_sizes(sections),
        arena_address=symbols["__arena_start"],
        layer_ends=_layer_ends(symbols),
        staging=Region(staging, symbols["__staging_end"] - staging),
        layer_counts_address=symbols.get("model_layer_counts"),
    )


def _flash_sizes(sections: Sequence[_Section], data_load: int, board: Board) -> Sizes:
    """Bytes of flash by part; padding before a section belongs to the section's part."""
    parts = dict.fromkeys(("weights", "model", "kernels", "harness", "libc"), 0)
    end = board.flash.origin
    for section in sections:  # in order of address, as in link.ld
        if section.name not in FLASH_PARTS and section.name not in RAM_PARTS:
            raise HilError(f"link.ld.j2 has no place for section {section.name}")
        if section.name in FLASH_PARTS:
            start = data_load if section.name == ".data" else section.address
            parts[FLASH_PARTS[section.name]] += start + section.size_bytes - end
            end = start + section.size_bytes
    return Sizes(parts)


def _ram_sizes(sections: Sequence[_Section]) -> Sizes:
    parts = {"arena": 0, "static": 0}
    for section in sections:
        if section.name in RAM_PARTS:
            parts[RAM_PARTS[section.name]] += section.size_bytes
    return Sizes(parts)


def _layer_ends(symbols: Mapping[str, int]) -> tuple[int, ...]:
    """Addresses of the symbols model_layer_end_0, _1, ... of all layers."""
    names = itertools.takewhile(
        symbols.__contains__, (f"model_layer_end_{index}" for index in itertools.count())
    )
    return tuple(symbols[name] for name in names)
