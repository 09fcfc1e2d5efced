"""MLPerf Tiny's runner firmware on an emulator: the messages of the public runner, and its results.

The expected messages are those that mlcommons/tiny, benchmark/runner, looks for (2026).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from compress.errors import UserError
from compress.tflite.exporter import export_tflite
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from hil.benchmark.mlperf_runner import RunnerClient, check_runner, try_runner
from hil.benchmark.mlperf_tiny import (
    BENCHMARKS,
    RunnerBenchmark,
    expected_results,
    model_inputs,
    random_input,
    runner_settings,
)
from hil.board import load_board, without_limits
from hil.cli.main import app
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.codegen.runner import with_runner
from hil.errors import NoReply
from hil.measure.measure import BoardRunner
from hil.target.open import open_target
from hil.types import Board

KWS, AD = BENCHMARKS["kws01"], BENCHMARKS["ad01"]


def _dense(inputs: int, outputs: int) -> Graph:
    builder = GraphBuilder(seed=1)
    source = builder.input((1, inputs), scale=0.39, zero_point=89)
    return builder.finish(builder.fully_connected(source, outputs))


@pytest.fixture(scope="module")
def client(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerClient]:
    """The runner's side of a board whose firmware is that of a small keyword-spotting model."""
    graph = _dense(KWS.inputs, KWS.outputs)
    settings = check_runner(KWS, graph, board)
    program = with_runner(render(make_plan(graph, board), board), settings, board)
    image = build(program, board, tmp_path_factory.mktemp("runner"))
    target = open_target(board)
    client = RunnerClient(target.start(image))
    client.wait_until_ready()
    yield client
    target.close()


def test_the_device_is_found_by_its_name_and_model(client: RunnerClient) -> None:
    assert any(re.fullmatch(r"m-name-dut-\[([^]]+)\]", line) for line in client.command("name"))
    assert client.model() == "kws01"
    assert any(line.startswith("m-profile-[") for line in client.command("profile"))
    assert any("infer N" in line for line in client.command("help"))


def test_an_input_arrives_byte_for_byte(client: RunnerClient) -> None:
    data = bytes(range(256)) + bytes(KWS.inputs - 256)
    client.load(data)
    lines = client.command("db print")
    there = "".join(line.removeprefix("m-buffer-").replace("-", "") for line in lines)
    assert bytes.fromhex(there) == data


def test_timestamps_grow(client: RunnerClient) -> None:
    first, second = (client.command("timestamp")[0] for _ in range(2))
    times = [int(line.removeprefix("m-lap-us-")) for line in (first, second)]
    assert times[1] >= times[0]


def test_more_inferences_take_longer_and_answer_the_same(client: RunnerClient) -> None:
    client.load(random_input(KWS, np.random.default_rng(0)))
    once, short_us = client.infer(1, warmups=2)
    often, long_us = client.infer(20, warmups=0)
    assert often == once
    assert long_us == pytest.approx(20 * short_us, rel=0.2)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("dance", r"e-\[Unknown command: dance\]"),
        ("infer 0", r"e-\[Inference iterations must be >0\]"),
        ("infer 1 x", r"e-\[Inference warmup must be >=0\]"),
        ("db", r"e-\[Command 'db' requires a subcommand\]"),
        ("db load 0", r"e-\[db load: 1 to 490 bytes\]"),
        ("db load 491", r"e-\[db load: 1 to 490 bytes\]"),
        ("db 0", r"e-\[Insufficent number of hex digits\]"),
        ("db 0g", r"e-\[Invalid hex digit\]"),
        ("infer 1", r"e-\[Input has 0 bytes, expected 490\]"),
    ],
)
def test_mistakes_are_answered(client: RunnerClient, command: str, answer: str) -> None:
    client.command("db load 490")
    with pytest.raises(NoReply, match=answer):
        client.command(command)
    assert client.model() == "kws01"  # and the firmware goes on


@pytest.mark.parametrize("benchmark", [KWS, AD], ids=lambda one: one.name)
def test_results_are_the_references(
    board: Board, benchmark: RunnerBenchmark, tmp_path: Path
) -> None:
    """`try_runner` raises Mismatch for other results."""
    graph, roomy = _dense(benchmark.inputs, benchmark.outputs), without_limits(board)
    with BoardRunner(roomy, open_target) as runner:
        trial = try_runner(benchmark, graph, roomy, runner, samples=2, keep=tmp_path)
    assert trial.inferences_per_s > 0
    assert (tmp_path / "runner" / "runner.h").is_file()
    assert (tmp_path / "runner" / "model.elf").is_file()


def test_float_inputs_and_errors_are_computed_as_tflite_does() -> None:
    """Quantization rounds half away from zero; the result is the mean squared error."""
    settings = runner_settings(AD, _dense(640, 640))
    scale, zero = settings.input_scale, settings.input_zero
    values = np.array([0, scale, -scale, 2.6 * scale, -2.6 * scale, 1e9, -1e9], np.float32)
    sent = np.resize(values, 640).astype("<f4")
    expected = np.clip(zero + np.array([0, 1, -1, 3, -3, 10**9, -(10**9)]), -128, 127)
    assert np.array_equal(model_inputs(settings, sent.tobytes())[:7], expected)
    outputs = np.zeros(640, np.int8)
    real = -settings.output_zero * settings.output_scale
    (error,) = expected_results(settings, sent.tobytes(), outputs)
    assert error == pytest.approx(np.mean((real - sent.astype(float)) ** 2))


def test_models_of_other_benchmarks_and_boards_without_time_are_refused(board: Board) -> None:
    with pytest.raises(UserError, match=r"ic01 \(image classification\).*3072 values"):
        check_runner(BENCHMARKS["ic01"], _dense(490, 12), board)
    with pytest.raises(UserError, match="m55 counts instructions only"):
        check_runner(KWS, _dense(490, 12), load_board("m55"))


def test_bench_tries_the_firmware_and_tells_it(board: Board, tmp_path: Path) -> None:
    graph = _dense(KWS.inputs, KWS.outputs)
    (tmp_path / "small.tflite").write_bytes(export_tflite(graph))
    options = (f"--board={board.name}", "--json", "--mlperf-runner=kws01", "--samples=1")
    model, kept = str(tmp_path / "small.tflite"), tmp_path / "kept"
    run = CliRunner().invoke(app, ["bench", model, *options, f"--keep={kept}"])
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout.strip().splitlines()[-1])["mlperf_runner"]
    assert (told["benchmark"], told["samples"]) == ("kws01", 1)
    assert (kept / "runner" / "model.elf").is_file()
    assert (kept / "model.tflite").is_file()
