"""Exported libraries compiled alone for this computer: bit-exact, clean, and side by side."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from compress.types import Graph
from helpers.front_ends import in_integers
from helpers.graph_examples import residual, tiny_conv
from helpers.libraries import SANITIZED, WARNINGS, compiled, exported, network, run, symbols
from helpers.row_graphs import random_chain
from helpers.state_graphs import lstm_network
from hil.types import Memory

GCC = ("gcc", *SANITIZED, *WARNINGS)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network exported for Cortex-M4, whose assembly this computer does not have."""
    return exported(network(residual()), "one", tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def objects(one: Path) -> list[Path]:
    return compiled(one, GCC, one.parent / "objects")


def selftest(library: Path, objects: list[Path], compiler: tuple[str, ...] = GCC) -> str:
    program = library.parent / f"{library.name}_selftest"
    main = library / "selftest" / "main.c"
    run([*compiler, f"-I{library / 'src'}", main, *objects, "-o", program])
    return run([program])


def test_it_gives_the_reference_s_outputs_under_sanitizers(one: Path, objects: list[Path]) -> None:
    assert selftest(one, objects).startswith("PASS one: 4 samples")


@pytest.mark.parametrize(
    ("make", "saves"), [(lstm_network, "nothing"), (lambda: random_chain(3), "ram")]
)
def test_states_and_layers_row_by_row(
    make: Callable[[], Graph], saves: Memory, tmp_path: Path
) -> None:
    library = exported(network(make(), "m3", saves), "net", tmp_path)
    assert selftest(library, compiled(library, GCC, tmp_path / "o")).startswith("PASS net: ")


def test_clang_compiles_it_without_a_warning(one: Path, tmp_path: Path) -> None:
    if shutil.which("clang") is None:
        pytest.skip("clang is not installed")
    assert selftest(one, compiled(one, ("clang", *WARNINGS), tmp_path), ("clang",))[:4] == "PASS"


def test_the_self_test_names_the_first_difference(one: Path, objects: list[Path]) -> None:
    golden = one / "src" / "one" / "one_golden.c"
    text = golden.read_text("utf-8")
    start = text.index("{\n", text.index("{\n", text.index("golden_outputs[")) + 1)
    wrong = re.sub(r"-?\d+", lambda number: str(int(number[0]) ^ 1), text[start:], count=1)
    changed = one.parent / "changed.c"
    changed.write_text(text[:start] + wrong, "utf-8")
    made = one.parent / "changed.o"
    run([*GCC, f"-I{golden.parent}", "-c", changed, "-o", made])
    others = [made if path.name == "one_golden.c.o" else path for path in objects]
    with pytest.raises(AssertionError, match=r"FAIL one: sample 0, output 0, element 0: .*must be"):
        selftest(one, others)


def test_every_global_name_has_the_prefix_and_every_kernel_is_used(
    one: Path, tmp_path: Path
) -> None:
    defined, wanted = symbols(compiled(one, ("gcc", "-O1"), tmp_path))
    names = set.union(*defined.values())
    assert "one_run" in names
    assert {name for name in names if not name.startswith("one_")} == set()
    unused = [file for file, found in defined.items() if found and not found & wanted]
    assert unused == ["one_selftest.c.o"]


TWO = """
#include <stdio.h>
#include <string.h>
#include "one.h"
#include "two.h"
#include "two_features.h"
static int8_t first[ONE_ARENA_BYTES] __attribute__((aligned(ONE_ARENA_ALIGNMENT)));
static int8_t again[ONE_ARENA_BYTES + 1] __attribute__((aligned(ONE_ARENA_ALIGNMENT)));
static int8_t second[TWO_ARENA_BYTES] __attribute__((aligned(TWO_ARENA_ALIGNMENT)));
int main(void)
{
    int8_t input[ONE_INPUT_BYTES], output[ONE_OUTPUT_BYTES];
    one_network *a = one_init(first, sizeof first), *b = one_init(again, sizeof again);
    for (int i = 0; i < ONE_INPUT_BYTES; i++)
        input[i] = (int8_t)(29 * i % 97);
    memcpy(one_input(a, 0), input, sizeof input); /* begun before another runs */
    if (one_selftest(again, sizeof again, printf) || two_selftest(second, sizeof second, printf))
        return 1;
    one_invoke(a);
    one_run(b, input, output);
    if (memcmp(output, one_output(a, 0), sizeof output))
        return 2;
    if (one_init(again + 1, ONE_ARENA_BYTES) || one_init(again, ONE_ARENA_BYTES - 1))
        return 3;
    return one_init(0, 1 << 20) || one_arena_bytes() != ONE_ARENA_BYTES ? 4 : 0;
}
"""


def test_two_networks_and_two_arenas_in_one_program(
    one: Path, objects: list[Path], tmp_path: Path
) -> None:
    """The second has a front end, whose test is part of its self-test."""
    two = exported(network(tiny_conv(), front_end=in_integers("mfcc")), "two", tmp_path)
    more = compiled(two, GCC, tmp_path / "objects")
    defined, wanted = symbols(more)
    assert "two_features_test" in defined["two_features_test.c.o"] & wanted
    assert all(name.startswith("two_") for names in defined.values() for name in names)
    (tmp_path / "main.c").write_text(TWO, "utf-8")
    folders = [f"-I{library / 'src'}" for library in (one, two)]
    run([*GCC, *folders, tmp_path / "main.c", *objects, *more, "-o", tmp_path / "both"])
    assert re.findall(r"PASS (\w+)", run([tmp_path / "both"])) == ["one", "two"]


QUANTIZE = """
#include <stdio.h>
#include <stdlib.h>
#include "one.h"
int main(int count, char **words)
{
    for (int i = 1; i < count; i++) {
        const float real = strtof(words[i], 0);
        int8_t integer;
        float back;
        one_quantize(0, &real, &integer, 1);
        one_dequantize(0, &integer, &back, 1);
        printf("%d %.9g\\n", integer, (double)back);
    }
    return one_outputs[0].elements != ONE_OUTPUT_BYTES;
}
"""


def test_quantize_and_dequantize_are_numpy_s(
    one: Path, objects: list[Path], tmp_path: Path
) -> None:
    graph = residual()
    scale, zero = np.float32(graph.input_tensors[0].scale), graph.input_tensors[0].zero_point
    ties = (np.arange(-9, 9) + np.float32(0.5)) * scale
    reals = np.concatenate([ties, np.float32([0, 1e30, -1e30, 3.3, -7.77])]).astype(np.float32)
    (tmp_path / "main.c").write_text(QUANTIZE, "utf-8")
    program = tmp_path / "quantize"
    run([*GCC, f"-I{one / 'src'}", tmp_path / "main.c", *objects, "-o", program])
    printed = run([program, *(repr(float(real)) for real in reals), "nan"]).splitlines()
    rows = [line.split() for line in printed]
    expected = np.clip(np.round(reals / scale) + zero, -128, 127)
    assert [int(row[0]) for row in rows[:-1]] == expected.astype(int).tolist()
    out = graph.output_tensors[0]
    back = (expected.astype(np.float32) - out.zero_point) * np.float32(out.scale)
    assert [np.float32(row[1]) for row in rows[:-1]] == back.tolist()
    assert rows[-1][0] in ("127", "-128")  # not a number: something of the type


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_cpp_programs_use_it(one: Path, objects: list[Path], tmp_path: Path) -> None:
    main = tmp_path / "main.cpp"
    main.write_text(
        "#include <cstdio>\n#include <one.h>\n"
        "alignas(ONE_ARENA_ALIGNMENT) static signed char arena[ONE_ARENA_BYTES];\n"
        "int main() { return one_selftest(arena, sizeof arena, std::printf); }\n",
        "utf-8",
    )
    flags = ("-std=c++17", "-Wall", "-Wextra", "-Werror", *SANITIZED)
    run(["g++", *flags, f"-I{one / 'src'}", main, *objects, "-o", tmp_path / "cpp"])
    assert run([tmp_path / "cpp"]).startswith("PASS one")


def test_cmake_builds_it_alone(one: Path, tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    run(["cmake", "-S", one, "-B", tmp_path, "-DCMAKE_C_FLAGS=-Werror"])
    run(["cmake", "--build", tmp_path, "--parallel", "2"])
    assert run([tmp_path / "one_selftest"]).startswith("PASS one")


def test_make_builds_it(one: Path, tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    (tmp_path / "Makefile").write_text(
        f"include {one}/one.mk\n\nselftest: {one}/selftest/main.c\n"
        "\t$(CC) $(ONE_OPTIONS) $(ONE_CFLAGS) $< $(ONE_SOURCES) -o $@\n",
        "utf-8",
    )
    run(["make", "-C", tmp_path, "selftest"])
    assert run([tmp_path / "selftest"]).startswith("PASS one")
