"""Build of a program: compile with arm-none-eabi-gcc, link, check the board's limits.

Objects that do not depend on the model (kernel archive, most of the harness) are compiled once and
cached.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from compress.cache import content_hash
from compress.errors import HilError, OverBudget, UserError
from hil.cache import cached
from hil.files import data_folder
from hil.kernels.cmsis_nn import cmsis_nn
from hil.types import Board, Image, Program

FIRMWARE = data_folder("firmware")
TUNED = FIRMWARE / "tuned"
INSTANCES = TUNED / "instances"
FLAGS = ("-std=c11", "-O2", "-ffunction-sections", "-fdata-sections", "-fno-common")
WARNINGS = ("-Wall", "-Wextra", "-Werror")
LINK_FLAGS = (
    "--specs=nano.specs",
    "-nostartfiles",
    "-Wl,--gc-sections",
    "-Wl,--strip-debug",  # newlib's: it would carry its build paths into every image
    "-Wl,--build-id=none",
    "-Wl,--fatal-warnings",
)
_GCC = "arm-none-eabi-gcc"
_AR = "arm-none-eabi-ar"
_TIMEOUT_S = 120
_DEBIAN = "on Debian: apt install gcc-arm-none-eabi libnewlib-arm-none-eabi"


class BuildFailed(HilError):
    """Our C does not compile or link: a bug of hil-compress, never the candidate's fault."""

    exit_code = 4


def compiler_version() -> str:
    """First line that the cross compiler prints about its version.

    For example "arm-none-eabi-gcc (15:12.2.rel1-1) 12.2.1 20221205".

    Raises UserError if it is missing.
    """
    path = shutil.which(_GCC)
    if path is None:
        raise UserError(f"{_GCC} not found: {_DEBIAN}")
    return _version_of(path)


@functools.cache
def _version_of(path: str) -> str:
    return _run([path, "--version"], Path.cwd()).splitlines()[0]


def check_compiler(board: Board) -> None:
    """Raise UserError if the compiler is missing or refuses the board's `compiler_flags`."""
    compiler_version()
    _check_flags(board.name, board.compiler_flags)


@functools.cache
def _check_flags(name: str, flags: tuple[str, ...]) -> None:
    try:
        _run([_GCC, *flags, "-xc", "-fsyntax-only", os.devnull], Path.cwd())
    except BuildFailed as error:
        _, _, said = str(error).partition("\n")
        if not said:  # the compiler hung: no line of its own to show
            raise
        first = said.splitlines()[0]
        raise UserError(f"board {name}: compiler_flags = {list(flags)}: {first}") from None


def build(program: Program, board: Board, folder: Path) -> Image:
    """Compile and link `program` for `board`; sources and `model.elf` end up in `folder`.

    Raises OverBudget if the image exceeds the board's memory or limits, UserError if a tool or the
    board's port is missing or its compiler flags are wrong, BuildFailed if our C is wrong.
    """
    check_compiler(board)
    harness = _harness(board)
    archive = kernel_archive(board)
    folder = folder.resolve()  # the tools run in a folder of their own
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as name:
        work = Path(name)
        for file, text in program.files.items():
            (work / file).write_text(text, encoding="utf-8")
        instances = [
            instance_object(name, text, board)
            for name, text in sorted(program.files.items())
            if name.startswith("kernel_")
        ]
        sources = [FIRMWARE / program.main, work / "model.c", work / "weights.c"]
        includes = [work, FIRMWARE, FIRMWARE / "kernels", TUNED, *cmsis_nn().includes]
        _compile(sources, work, board, includes, WARNINGS)
        customs = sorted(work.glob("custom_*.c"))
        _compile_customs(customs, work, board)
        objects = [work / f"{source.stem}.o" for source in (*sources, *customs)] + instances
        _link([*objects, *sorted(harness.glob("*.o")), archive], work, board)
        from hil.codegen.elf import read_image  # elftools: the doctor asks for a version only

        image = read_image(work / "model.elf", program, board)
        _check_limits(image)
        for file in (*program.files, "model.elf"):
            (work / file).replace(folder / file)
    return replace(image, elf=folder / "model.elf")


def _harness(board: Board) -> Path:
    """The folder with those objects of the harness that do not depend on the model; cached."""
    names = ("wire", "port/startup", f"port/{board.port}", f"port/counter_{board.counter}")
    sources = [FIRMWARE / f"{name}.c" for name in names]
    for source in sources:
        if not source.is_file():
            raise UserError(f"board {board.name} needs {source}, which does not exist")
    headers = [*FIRMWARE.glob("*.h"), *(FIRMWARE / "port").glob("*.h")]
    flags = [*WARNINGS, *_board_macros(board)]
    key = content_hash(
        [compiler_version(), *FLAGS, *board.compiler_flags, *flags], [*sources, *headers]
    )
    return cached("harness", key, lambda work: _compile(sources, work, board, [FIRMWARE], flags))


def _board_macros(board: Board) -> list[str]:
    """Compiler options that pass the board's clock, wait states and settings to its port."""
    values = {
        "BOARD_CLOCK_HZ": board.clock_hz,
        "BOARD_FLASH_WAIT_STATES": board.flash_wait_states,
        **dict(board.port_settings),
    }
    return [f"-D{name}={value}" for name, value in values.items()]


def kernel_archive(board: Board) -> Path:
    """Path of libkernels.a: CMSIS-NN and our own kernels for the board's core; cached."""
    tuned = sorted(TUNED.glob("*.[cS]"))  # without instances, which are assembled for a program
    ours = [*sorted((FIRMWARE / "kernels").glob("*.c")), *tuned]
    theirs = cmsis_nn()
    includes = [FIRMWARE / "kernels", TUNED, *theirs.includes]
    headers = [path for folder in includes[:2] for path in folder.glob("*.h")]
    files = [*ours, *headers, *theirs.sources, *theirs.headers]
    key = content_hash([compiler_version(), *FLAGS, *board.compiler_flags], files)

    def make(work: Path) -> None:
        _compile(theirs.sources, work, board, includes, ())
        _compile(ours, work, board, includes, WARNINGS)
        objects = sorted(work.glob("*.o"))
        _run([_AR, "rcsD", "libkernels.a", *(path.name for path in objects)], work)

    return cached("kernels", key, make) / "libkernels.a"


def instance_object(name: str, text: str, board: Board) -> Path:
    """The object of a micro-kernel assembled from `text`, the source `name`; cached."""
    parts = [compiler_version(), *FLAGS, *board.compiler_flags, board.core, name, text]
    files = sorted([*INSTANCES.glob("*.S"), *TUNED.glob("*.h")])
    key = content_hash(parts, files)

    def make(work: Path) -> None:
        source = work / name
        source.write_text(text, encoding="utf-8")
        _compile([source], work, board, [TUNED, INSTANCES], WARNINGS)

    return cached("instances", key, make) / f"{Path(name).stem}.o"


def kernel_sources() -> list[Path]:
    """All files that a kernel is compiled from, assembly for single programs included."""
    folders = (FIRMWARE / "kernels", TUNED, INSTANCES)
    ours = [path for folder in folders for path in folder.glob("*.[chS]")]
    return [*sorted(ours), *cmsis_nn().sources, *cmsis_nn().headers]


def _compile(
    sources: Sequence[Path],
    work: Path,
    board: Board,
    includes: Iterable[Path],
    options: Sequence[str],
) -> None:
    """Compile each source to <stem>.o in `work`, in parallel."""
    core = f"-D{board.core.upper().replace('-', '_').replace('+', 'PLUS')}"
    flags = [*FLAGS, *board.compiler_flags, core, *options]
    common = [_GCC, *flags, *(f"-I{path}" for path in includes)]
    commands = [
        [*common, "-c", os.path.relpath(source, work), "-o", f"{source.stem}.o"]
        for source in sources
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda command: _run(command, work), commands))


def _compile_customs(sources: Sequence[Path], work: Path, board: Board) -> None:
    """Compile the user's C. Raises UserError, with the compiler's first line, if it does not."""
    try:
        _compile(sources, work, board, [FIRMWARE], ())
    except BuildFailed as error:
        _, _, said = str(error).partition("\n")
        line = next((line for line in said.splitlines() if "error:" in line), said)
        raise UserError(f"the C source of a custom operator does not compile: {line}") from None


def _link(inputs: Sequence[Path], work: Path, board: Board) -> None:
    files = [os.path.relpath(path, work) for path in inputs]
    command = [_GCC, *board.compiler_flags, *LINK_FLAGS, "-Tlink.ld", *files, "-o", "model.elf"]
    try:
        _run(command, work)
    except BuildFailed as error:
        overflows = re.findall(r"region `(\w+)' overflowed by (\d+) bytes", str(error))
        if not overflows:
            raise
        raise _over_budget(board, dict(overflows)) from None


def _over_budget(board: Board, overflows: dict[str, str]) -> OverBudget:
    sizes = {
        "FLASH": f"{board.flash.length_bytes} bytes",
        "RAM": f"{board.ram.length_bytes} bytes, {board.stack_bytes} of them stack",
    }
    texts = [
        f"{region.lower()} of {board.name} ({sizes[region]}) overflows by {excess} bytes"
        for region, excess in overflows.items()
    ]
    return OverBudget("; ".join(texts))


def _check_limits(image: Image) -> None:
    board = image.board
    excesses = [
        f"{region} of {board.name}: needs {used} bytes, "
        f"{used - limit} more than the {limit} allowed"
        for region, used, limit in (
            ("flash", image.flash.total, board.flash_limit_bytes),
            ("ram", image.ram.total, board.ram_limit_bytes),
        )
        if used > limit
    ]
    if excesses:
        raise OverBudget("; ".join(excesses))


def _run(command: Sequence[str], folder: Path) -> str:
    """Run a tool in `folder` and return its standard output.

    Raises UserError if the tool, newlib or disk space is missing, or if the tool is killed,
    BuildFailed if it fails or hangs.
    """
    # The compiler's own files must go with the folder if all is killed.
    environment = {**os.environ, "TMPDIR": str(folder)}
    try:
        done = subprocess.run(
            list(command),
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
    except FileNotFoundError as error:
        if error.filename != command[0]:
            raise  # the folder is gone
        raise UserError(f"{command[0]} not found: {_DEBIAN}") from None
    except subprocess.TimeoutExpired:
        raise BuildFailed(f"no end after {_TIMEOUT_S} s: {shlex.join(command)}") from None
    if done.returncode:
        if re.search(r"(nano\.specs|stdint\.h|string\.h): No such file", done.stderr):
            raise UserError(f"{_GCC} has no newlib-nano: {_DEBIAN}")
        if "No space left on device" in done.stderr:
            raise UserError(f"no space left to build in {folder}")
        if done.returncode < 0 or "signal terminated program" in done.stderr:
            raise UserError(f"{command[0]} was killed (out of memory?): run again")
        raise BuildFailed(f"{shlex.join(command)}\n{done.stderr.strip()}")
    return str(done.stdout)
