"""Exported libraries for tests, and their builds alone: with any compiler, for any core."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from compress.features.integer import IntegerFrontEnd
from compress.tflite.exporter import export_tflite
from compress.types import Graph, Samples
from hil.benchmark.samples import random_samples
from hil.board import load_board
from hil.codegen.plan import make_plan
from hil.library.export import library_files
from hil.library.folder import write_library
from hil.library.golden import golden_count
from hil.library.network import Network
from hil.types import Memory

BARE_M4 = Path(__file__).parent / "bare_m4"
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror")
SANITIZED = ("-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
M4 = ("-O2", "-mcpu=cortex-m4", "-mthumb", "-ffunction-sections", "-fdata-sections")
_TIMEOUT_S = 240


def network(
    graph: Graph,
    board: str = "m4",
    saves: Memory = "nothing",
    tflite: bytes = b"",
    samples: Samples | None = None,
    front_end: IntegerFrontEnd | None = None,
) -> Network:
    """The graph as it would be exported for `board`, with random samples."""
    facts = load_board(board)
    return Network(
        title=f"The graph {graph.name}",
        tflite=tflite or export_tflite(graph),
        graph=graph,
        board=facts,
        plan=make_plan(graph, facts, saves),
        samples=samples or random_samples(graph, golden_count(graph)),
        origin="random inputs",
        front_end=front_end,
    )


def exported(made: Network, prefix: str, folder: Path) -> Path:
    """The library in `folder`/`prefix`."""
    write_library(library_files(made, prefix), folder / prefix)
    return folder / prefix


def run(command: Sequence[str | Path], **options: object) -> str:
    """What a program prints; an AssertionError with its messages if it fails."""
    done = subprocess.run(  # type: ignore[call-overload]
        [str(part) for part in command],
        capture_output=True, text=True, timeout=_TIMEOUT_S, **options,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"
    return str(done.stdout)


def compiled(library: Path, compiler: Sequence[str], folder: Path) -> list[Path]:
    """The objects of a library: each source compiled alone, with its own folder as include path."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = sorted([*library.glob("src/**/*.c"), *library.glob("src/**/*.S")])

    def one(source: Path) -> Path:
        target = folder / f"{source.name}.o"
        run([*compiler, f"-I{library / 'src'}", "-c", source, "-o", target])
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, sources))


def symbols(objects: Sequence[Path], nm: str = "nm") -> tuple[Mapping[str, set[str]], set[str]]:
    """Global names that each object defines, and the names that any of them lacks."""
    defined: dict[str, set[str]] = {path.name: set() for path in objects}
    wanted: set[str] = set()
    for path in objects:
        for line in run([nm, "-g", path]).splitlines():
            *_, kind, name = line.split()
            if kind == "U":
                wanted.add(name)
            elif not name.startswith("__odr_asan."):
                defined[path.name].add(name)
    return defined, wanted
