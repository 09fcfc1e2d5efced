"""Kernels in portable C on the host, with sanitizers: bit-equal to the reference, no bad access.

`make test ARGS='--host-graphs 500 tests/property/test_host_kernels.py'` tries more random graphs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from compress.types import Graph, Int8Array
from helpers import hosted
from helpers.graph_builder import GraphBuilder, random_inputs
from helpers.graph_strategies import graphs
from helpers.kernel_calls import watched
from helpers.kernel_graphs import GRAPHS, dense_layers
from hil.board import load_board, without_limits
from hil.codegen.build import TUNED

BOARD = without_limits(load_board("m3"))
# Of AddressSanitizer's shadow memory: 8 bytes; of the arena on the host.
ALIGNMENT = 16


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hosted.host_archive(tmp_path_factory.mktemp("archive"))


def extreme_inputs(graph: Graph) -> Int8Array:
    inputs = random_inputs(graph, 4)
    inputs[0], inputs[1] = -128, 127
    inputs[2] = np.where(inputs[2] > 0, 127, -128)
    return inputs


@pytest.mark.parametrize("make", GRAPHS)
def test_every_candidate_is_clean(archive: Path, tmp_path: Path, make: Callable[[], Graph]) -> None:
    """Tuned kernels in C, CMSIS-NN's and portable ones, apart and over their input."""
    graph = make()
    trials = watched(graph, BOARD, tuned_only=False, alignment=ALIGNMENT)
    assert trials.trials
    wrong = hosted.wrong_on_host(trials, BOARD, extreme_inputs(graph), archive, tmp_path)
    assert not wrong


def dsp_layers() -> Graph:
    """Layers of `hosted.DSP_KERNELS`: filters of any shape, turned or not, and pools."""
    b = GraphBuilder(seed=51)
    x = b.input((11, 9, 13), 0.03, zero_point=-9)
    for kernel, stride in (((5, 4), (1, 1)), ((1, 7), (1, 2)), ((4, 1), (2, 1)), ((2, 2), (2, 2))):
        b.depthwise(x, 1, kernel, stride, gain=0.5)
    b.average_pool(x, (3, 3), (2, 1))
    return b.finish(b.average_pool(x, (11, 9)), "dsp_layers")


def test_dsp_kernels_in_c_are_clean(archive: Path, tmp_path: Path) -> None:
    graph, names = dsp_layers(), frozenset(hosted.DSP_KERNELS)
    trials = watched(graph, BOARD, alignment=ALIGNMENT, trials_of=load_board("m4"), names=names)
    assert {trial.kernel.name for trial in trials.trials} == names
    wrong = hosted.wrong_on_host(trials, BOARD, extreme_inputs(graph), archive, tmp_path)
    assert not wrong


def test_a_byte_read_behind_a_buffer_is_found(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of rows of an odd length dense_scalar reads one more byte: found if it is not allowed."""
    graph = dense_layers()
    monkeypatch.setattr(hosted, "_read_beyond", lambda trials: ())
    trials = watched(graph, BOARD, alignment=ALIGNMENT)
    with pytest.raises(AssertionError, match=r"use-after-poison.*dense|dense.*use-after-poison"):
        hosted.wrong_on_host(trials, BOARD, extreme_inputs(graph), archive, tmp_path)


def test_random_graphs_are_clean(
    archive: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # No shrinking: each attempt is a build.
    phases = (Phase.explicit, Phase.reuse, Phase.generate)

    @settings(
        max_examples=int(request.config.getoption("--host-graphs")),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=phases,
    )
    @given(graph=graphs())
    def run(graph: Graph) -> None:
        trials = watched(graph, BOARD, tuned_only=False, alignment=ALIGNMENT)
        inputs = extreme_inputs(graph)
        assert not hosted.wrong_on_host(trials, BOARD, inputs, archive, tmp_path)

    run()


ROUNDING = """
#define __ARM_ARCH_ISA_THUMB %d
#include <stdio.h>
#include "scalar.h"
int main(void)
{
    int32_t pair[2];
    while (fread(pair, sizeof pair, 1, stdin) == 1) {
        const int32_t result = high_rounded(pair[0], pair[1]);
        fwrite(&result, sizeof result, 1, stdout);
    }
    return 0;
}
"""


@pytest.mark.parametrize("thumb", [1, 2])
def test_products_of_halves_round_as_a_long_product(tmp_path: Path, thumb: int) -> None:
    """scalar.h's rounded upper half, for Cortex-M0 and others: no step leaves int32."""
    rng = np.random.default_rng(thumb)
    pairs = np.stack(
        [rng.integers(-(2**29) + 1, 2**29, 40_000), rng.integers(-(2**31), 2**31, 40_000)], axis=1
    )
    ends = np.array([-(2**29) + 1, -(2**16), -1, 0, 1, 0x7FFF, 0x8000, 2**29 - 1])
    factors = np.array([-(2**31), -(2**31) + 1, -0x8000, -1, 0, 1, 0xFFFF, 0x10000, 2**31 - 1])
    pairs[: ends.size * factors.size] = np.stack(np.meshgrid(ends, factors), axis=-1).reshape(-1, 2)
    (tmp_path / "rounding.c").write_text(ROUNDING % thumb, encoding="utf-8")
    program = tmp_path / "rounding"
    flags = ["-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all", f"-I{TUNED}"]
    subprocess.run(["gcc", *flags, tmp_path / "rounding.c", "-o", program], check=True)
    done = subprocess.run(
        [program], input=pairs.astype("<i4").tobytes(), capture_output=True, check=True
    )
    exact = (pairs[:, 0] * pairs[:, 1] + 2**31) >> 32
    results = np.frombuffer(done.stdout, "<i4").astype(np.int64)
    limit = 1 if thumb == 1 else 0  # the product of both lower halves is cut off
    assert len(results) == len(exact)
    assert np.abs(results - exact).max() <= limit
