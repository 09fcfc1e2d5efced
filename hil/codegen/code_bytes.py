"""Bytes of code that functions of the kernel archive bring into a program, from its ELF objects.

Every function has a section of its own (-ffunction-sections), and the linker takes a section if one
that it takes refers to it. What a function brings is known from the relocations, without a build.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import Section, Symbol, SymbolTableSection

from compress.cache import content_hash
from hil.cache import cached
from hil.codegen.build import instance_object, kernel_archive
from hil.codegen.render import instance_file, instance_source
from hil.kernel_interface.call import Instance
from hil.kernel_interface.limits import round_up
from hil.types import Board

_ALIGNMENT_BYTES = 4  # of functions


@dataclass(frozen=True, slots=True)
class Sections:
    """Sections of objects by name: their bytes, the symbols they refer to, where symbols are."""

    size_bytes: dict[str, int] = field(default_factory=dict)
    references: dict[str, list[str]] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)

    def needed_by(self, symbols: Iterable[str]) -> frozenset[str]:
        """The sections that a program with these symbols contains; others' are not counted."""
        needed: set[str] = set()
        waiting = list(symbols)
        while waiting:
            home = self.homes.get(waiting.pop())
            if home is not None and home not in needed:
                needed.add(home)
                waiting += self.references.get(home, [])
        return frozenset(needed)


def archive_sections(board: Board) -> Sections:
    """The sections of the board's kernel archive; read once for each archive."""
    archive = kernel_archive(board)

    def make(work: Path) -> None:
        found = read_objects(sorted(archive.parent.glob("*.o")))
        (work / "sections.json").write_text(
            json.dumps([found.size_bytes, found.references, found.homes]), encoding="utf-8"
        )

    folder = cached("kernel-sections", content_hash([], [archive]), make)
    return Sections(*json.loads((folder / "sections.json").read_text(encoding="utf-8")))


def instance_bytes(instance: Instance, board: Board) -> int:
    """Bytes of a micro-kernel that is assembled for a program."""
    path = instance_object(instance_file(instance), instance_source(instance), board)
    return sum(read_objects([path]).size_bytes.values())


def read_objects(files: Iterable[Path]) -> Sections:
    """The sections of object files; their names start with the object's."""
    found = Sections()
    for path in files:
        with path.open("rb") as stream:
            _read_object(ELFFile(stream), path.stem, found)
    return found


def _read_object(file: ELFFile, prefix: str, found: Sections) -> None:
    names = [f"{prefix}:{section.name}" for section in file.iter_sections()]
    symbols = next(s for s in file.iter_sections() if isinstance(s, SymbolTableSection))
    numbers = {n for n, section in enumerate(file.iter_sections()) if _is_code(section)}
    for number in numbers:
        size_bytes = file.get_section(number)["sh_size"]
        found.size_bytes[names[number]] = round_up(size_bytes, _ALIGNMENT_BYTES)
    targets = [_target(symbol, names) for symbol in symbols.iter_symbols()]
    for symbol in symbols.iter_symbols():
        if symbol["st_shndx"] in numbers and symbol["st_info"]["bind"] != "STB_LOCAL":
            found.homes[symbol.name] = names[symbol["st_shndx"]]
    for number in numbers:
        found.homes[names[number]] = names[number]
    for section in file.iter_sections():
        if isinstance(section, RelocationSection) and section["sh_info"] in numbers:
            referred = {targets[entry["r_info_sym"]] for entry in section.iter_relocations()}
            found.references[names[section["sh_info"]]] = sorted(referred - {""})


def _target(symbol: Symbol, names: list[str]) -> str:
    """What a relocation refers to: a section of the same object, or a symbol of another."""
    home = symbol["st_shndx"]
    return names[home] if isinstance(home, int) else str(symbol.name)


def _is_code(section: Section) -> bool:
    """Code and its constants: what is in flash of a kernel."""
    flags = section["sh_flags"]
    return bool(flags & SH_FLAGS.SHF_ALLOC) and section["sh_type"] == "SHT_PROGBITS"
