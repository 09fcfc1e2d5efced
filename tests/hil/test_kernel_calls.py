"""Calls of the tuned kernels: buffers, registers and stack, on every core and with every candidate.

`helpers/kernel_calls.py` says what is looked at, `helpers/kernel_graphs.py` at which shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compress.types import Graph
from helpers.graph_builder import RELU6, GraphBuilder, random_inputs
from helpers.kernel_calls import Function, build_watched, run_watched, tuned_functions, watched
from helpers.kernel_graphs import GRAPHS
from hil.board import load_board, without_limits
from hil.measure.measure import BoardRunner
from hil.target.target_qemu import QemuTarget
from hil.tuned.cores import reads_weights_from_ram
from hil.types import Board

# "m0" is the code for Cortex-M0 on an emulated Cortex-M3, which has more memory.
BOARDS = ("m3", "m0", "m4", "m7", "m33", "m55")
# What tuned.h says: of any of its functions, with those that it calls.
MOST_STACK_BYTES = 384


def boards(name: str) -> tuple[Board, Board]:
    """The board that is emulated, without counting, and the one that programs are built for."""
    emulated = without_limits(load_board("m3" if name == "m0" else name))
    of = load_board(name)
    board = replace(emulated, core=of.core, features=of.features, compiler_flags=of.compiler_flags)
    return replace(emulated, counter="none"), board


@pytest.fixture(scope="module", params=BOARDS)
def bench(request: pytest.FixtureRequest) -> Iterator[tuple[BoardRunner, Board]]:
    emulated, board = boards(request.param)
    with BoardRunner(emulated, QemuTarget) as runner:
        yield runner, board


@pytest.fixture(scope="module")
def called() -> dict[str, dict[str, Function]]:
    """The functions that were called, by core."""
    return {}


@pytest.mark.parametrize("make", GRAPHS)
def test_calls_keep_to_their_buffers_registers_and_stack(
    bench: tuple[BoardRunner, Board],
    called: dict[str, dict[str, Function]],
    tmp_path: Path,
    make: Callable[[], Graph],
) -> None:
    runner, board = bench
    graph = make()
    inputs = random_inputs(graph, 2)
    inputs[1] = np.where(inputs[1] > 0, 127, -128)
    trials = watched(graph, board)
    assert trials.trials
    image, names = build_watched(trials, board, tmp_path)
    run = runner.run(lambda target: run_watched(target, trials, image, names, inputs))
    assert not run.wrong
    assert not [function for function in run.functions if function.faults]
    for function in run.functions:
        assert function.stack_bytes <= MOST_STACK_BYTES, function
        called.setdefault(board.core, {})[function.name] = function


def belongs_to(name: str, board: Board) -> bool:
    """True if layers on the board may call a function that its archive of kernels has.

    Those for other cores are compiled, too, where the compiler knows their instructions.
    """
    core = board.core
    if name.startswith("row_stream_") or name == "average_pool_rows":
        return False  # in segments only, which test_row_streams.py runs
    if name == "copy_words" and not reads_weights_from_ram(board):
        return False
    scalar = "scalar" in name or name in ("conv_channels", "dense_panels", "dense_sums")
    if core in ("cortex-m0", "cortex-m3"):
        return True
    if core == "cortex-m55":
        return "mve" in name or name in ("add_affine_s8", "clamp_s8")
    return not scalar


def test_every_function_was_called(
    bench: tuple[BoardRunner, Board], called: dict[str, dict[str, Function]]
) -> None:
    """Of those of `firmware/tuned` that other files can call; instances are in other tests."""
    _, board = bench
    expected = {name for name in tuned_functions(board) if belongs_to(name, board)}
    assert expected <= set(called[board.core])


BROKEN = """
    .global other_clamp_s8
    .thumb_func
other_clamp_s8:
    push {r4, lr}
    push {r0-r7}
    bl __real_clamp_s8
    add sp, sp, #32
    movs r5, #0
    pop {r4, pc}
"""
BROKEN_FLOAT = BROKEN.replace("movs r5, #0", "vmov s20, r0")
BROKEN_STORE = BROKEN.replace("movs r5, #0", "strb r4, [r4]").replace(
    "push {r0", "subs r4, r0, #1\n    push {r0"
)


@pytest.mark.parametrize(
    ("body", "faults", "wrong"),
    [(BROKEN, ("r4 to r11",), 0), (BROKEN_FLOAT, ("s16 to s31",), 0), (BROKEN_STORE, (), 1)],
)
def test_a_broken_function_is_found(
    tmp_path: Path, body: str, faults: tuple[str, ...], wrong: int
) -> None:
    """What is looked at would be seen: a register that is not kept, a byte before the output."""
    b = GraphBuilder(seed=1)
    graph = b.finish(b.conv(b.input((5, 5, 8)), 4, (1, 1), activation=RELU6, zero_point=-100))
    emulated, board = boards("m4")
    trials = watched(graph, board)
    image, names = build_watched(trials, board, tmp_path, {"clamp_s8": body})
    inputs = random_inputs(graph, 1)
    with BoardRunner(emulated, QemuTarget) as runner:
        run = runner.run(lambda target: run_watched(target, trials, image, names, inputs))
    (clamp,) = [function for function in run.functions if function.name == "clamp_s8"]
    assert clamp.faults == faults
    assert clamp.stack_bytes == 8 + 32
    assert bool(run.wrong) == bool(wrong)
    assert all("canary" in text for text in run.wrong)
