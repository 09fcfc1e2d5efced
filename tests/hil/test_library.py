"""Exported libraries on Cortex-M: in a project that has nothing of ours, and measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from compress.tflite.importer import import_tflite
from helpers.checkout import MLPERF_TINY
from helpers.graph_examples import ds_cnn
from helpers.libraries import BARE_M4, M4, WARNINGS, compiled, exported, network, run, symbols
from helpers.row_graphs import random_chain
from hil.benchmark.samples import random_samples
from hil.board import load_board
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.library.measuring import measure_library
from hil.measure.measure import BoardRunner
from hil.target.open import open_target

GCC = "arm-none-eabi-gcc"
MAIN = """
#include "{name}.h"
int print(const char *format, ...);
static int8_t arena[{NAME}_ARENA_BYTES] __attribute__((aligned({NAME}_ARENA_ALIGNMENT)));
int main(void)
{{
    return {name}_selftest(arena, sizeof arena, print);
}}
"""


def linked(library: Path, objects: list[Path], folder: Path, flags: tuple[str, ...] = M4) -> Path:
    """A program of its own start-up code, linker script and main function."""
    name = library.name
    (folder / "main.c").write_text(MAIN.format(name=name, NAME=name.upper()), "utf-8")
    program = folder / "program.elf"
    own = (folder / "main.c", BARE_M4 / "startup.c")
    link = ("-nostartfiles", "--specs=nano.specs", "-Wl,--gc-sections", f"-T{BARE_M4 / 'link.ld'}")
    warned = (*WARNINGS, "-Wl,--fatal-warnings")
    run([GCC, *flags, *warned, *link, f"-I{library / 'src'}", *own, *objects, "-o", program])
    return program


def emulated(program: Path) -> str:
    """What the program prints on QEMU's Cortex-M4; an AssertionError if it does not end with 0."""
    quiet = ("-display", "none", "-monitor", "none", "-serial", "none")
    output = ("-chardev", "stdio,id=out")
    semihosting = (*output, "-semihosting-config", "enable=on,target=native,chardev=out")
    return run(["qemu-system-arm", "-M", "mps2-an386", *quiet, *semihosting, "-kernel", program])


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(network(ds_cnn(16, 2)), "net", tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def objects(library: Path) -> list[Path]:
    return compiled(library, (GCC, *M4, *WARNINGS), library.parent / "objects")


def test_it_passes_on_bare_metal(library: Path, objects: list[Path], tmp_path: Path) -> None:
    program = linked(library, objects, tmp_path)
    assert emulated(program).startswith("PASS net: 4 samples")
    assert "net_portable" not in run(["arm-none-eabi-nm", program])


def test_plain_c_gives_the_same_outputs_there(library: Path, tmp_path: Path) -> None:
    flags = (*M4, "-DNET_PORTABLE=1")
    plain = compiled(library, (GCC, *flags, *WARNINGS), tmp_path / "objects")
    assert emulated(linked(library, plain, tmp_path, flags)).startswith("PASS net: 4 samples")


def test_only_kernels_that_are_used_are_there(objects: list[Path]) -> None:
    defined, wanted = symbols(objects, "arm-none-eabi-nm")
    names = set.union(*defined.values())
    assert {name for name in names if not name.startswith("net_")} == set()
    assert {"net_fc_panel", "net_run_panels"} < names
    unused = [file for file, found in defined.items() if found and not found & wanted]
    assert unused == ["net_selftest.c.o"]


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m33", "cortex-m55"])
def test_it_compiles_for_other_cores(library: Path, tmp_path: Path, core: str) -> None:
    made = compiled(library, (GCC, "-O2", f"-mcpu={core}", "-mthumb", *WARNINGS), tmp_path)
    assert made


@pytest.mark.parametrize("board", ["m0", "m3", "m55"])
def test_libraries_for_other_boards(board: str, tmp_path: Path) -> None:
    """Their tuned form is compiled for their own core, and has all that it calls."""
    made = exported(network(ds_cnn(8, 1), board), "net", tmp_path)
    own = load_board(board).compiler_flags
    defined, wanted = symbols(
        compiled(made, (GCC, "-O2", *own, *WARNINGS), tmp_path), "arm-none-eabi-nm"
    )
    missing = {name for name in wanted - set.union(*defined.values()) if name[:2] != "__"}
    assert missing <= {"memcpy", "memset", "memmove"}
    assert not defined["net_portable.c.o"]


def test_a_model_of_mlperf_tiny(tmp_path: Path) -> None:
    path = MLPERF_TINY / "kws_ref_model.tflite"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    graph = import_tflite(path.read_bytes(), "kws")
    made = exported(network(graph, tflite=path.read_bytes()), "kws", tmp_path)
    built = compiled(made, (GCC, *M4, *WARNINGS), tmp_path / "objects")
    assert emulated(linked(made, built, tmp_path)).startswith("PASS kws: 4 samples")


def test_it_is_measured_as_a_library(tmp_path: Path) -> None:
    """Nearly the counts of the firmware, whose arena the linker knows."""
    graph, board = random_chain(3), load_board("m4")
    plan = make_plan(graph, board, "ram")
    assert plan.segments
    samples = random_samples(graph, 3)
    with BoardRunner(board, open_target) as runner:
        found = measure_library(plan, board, runner, samples)
        firmware = runner.measure(build(render(plan, board), board, tmp_path), plan, samples)
    assert found.outputs_sha256 == firmware.outputs_sha256
    assert 0.98 < found.count / firmware.count < 1.02
    assert found.ram.parts["arena"] == firmware.ram.parts["arena"]
    assert abs(found.ram.parts["stack"] - firmware.ram.parts["stack"]) < 512
