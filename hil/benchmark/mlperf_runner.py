"""MLPerf Tiny's runner firmware: its build, and a conversation with it as the runner has it."""

from __future__ import annotations

import re
import shutil
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compress.errors import OverBudget, UserError
from compress.integer import reference
from compress.scratch import scratch_folder
from compress.types import Graph
from hil.benchmark.mlperf_tiny import (
    RunnerBenchmark,
    agree,
    expected_results,
    model_inputs,
    random_input,
    runner_settings,
)
from hil.codegen.build import build
from hil.codegen.plan import KernelChoice
from hil.codegen.render import render
from hil.codegen.runner import RunnerSettings, with_runner
from hil.cycle_model import MODELED_CORES
from hil.errors import Mismatch, NoReply
from hil.files import file_errors
from hil.measure.measure import BoardRunner
from hil.target.link import Port
from hil.target.target import Target
from hil.types import Board, Image

_LISTED = KernelChoice()

_BYTES_PER_COMMAND = 31  # as the runner sends them in its performance mode
_TIMEOUT_S = 30.0  # the runner waits so long
_READY = "m-ready"
_RESULTS = re.compile(r"m-results-\[([^]]+)\]")
_LAP = re.compile(r"m-lap-us-([0-9]+)")


@dataclass(frozen=True, slots=True)
class RunnerTrial:
    """The trial of the runner's firmware on a board.

    All `samples` inputs gave the results of the integer reference. `inferences_per_s` is the median
    over the samples of what the firmware's timestamps say. `image` is what ran.
    """

    benchmark: RunnerBenchmark
    samples: int
    inferences_per_s: float
    image: Image


def check_runner(benchmark: RunnerBenchmark, graph: Graph, board: Board) -> RunnerSettings:
    """The settings of the firmware for this model.

    Raises UserError for a model of another benchmark, and for a board without a clock.
    """
    if board.counter == "insn" and board.core not in MODELED_CORES:
        raise UserError(
            f"--mlperf-runner: the emulated board {board.name} counts instructions only, and the "
            "runner needs time; its cycles are modeled on " + ", ".join(sorted(MODELED_CORES))
        )
    return runner_settings(benchmark, graph)


def try_runner(
    benchmark: RunnerBenchmark,
    graph: Graph,
    board: Board,
    runner: BoardRunner,
    samples: int,
    keep: Path | None = None,
    choice: KernelChoice = _LISTED,
) -> RunnerTrial:
    """Build the runner's firmware and hold the runner's conversation with it.

    `samples` random inputs are loaded and inferred; their results must be those of the integer
    reference. The firmware stays on a real board; its sources and ELF go to the folder `runner` in
    `keep`. Raises Mismatch for another result, OverBudget if the firmware or an input do not fit,
    UserError as `check_runner`.
    """
    settings = check_runner(benchmark, graph, board)
    program = with_runner(render(choice.plan(graph, board), board), settings, board)
    with scratch_folder() as temporary:
        folder = temporary / "runner"
        image = build(program, board, folder)
        needed = settings.sent_bytes + benchmark.inputs
        if image.staging.length_bytes < needed:
            raise OverBudget(
                f"board {board.name}: an input of the runner needs {needed} bytes of RAM "
                f"beside the model, {image.staging.length_bytes} are free"
            )
        rates = runner.run(
            lambda target: _converse(target, image, settings, benchmark, graph, samples)
        )
        if keep is not None:
            with file_errors(keep):
                shutil.copytree(folder, keep / "runner")
    return RunnerTrial(benchmark, samples, statistics.median(rates), image)


def _converse(
    target: Target,
    image: Image,
    settings: RunnerSettings,
    benchmark: RunnerBenchmark,
    graph: Graph,
    samples: int,
) -> list[float]:
    """Inferences per second by the firmware's timestamps, for each of the samples."""
    client = RunnerClient(target.start(image))
    client.wait_until_ready()
    if client.model() != benchmark.name:
        raise NoReply(f"the runner's firmware says it is {client.model()!r}, not {benchmark.name}")
    rng, rates = np.random.default_rng(0), []
    for sample in range(samples):
        sent = random_input(benchmark, rng)
        values = model_inputs(settings, sent).reshape(graph.input_tensor.shape)
        expected = expected_results(settings, sent, reference.run(graph, values))
        client.load(sent)
        results, elapsed_us = client.infer(1, warmups=0)
        _compare(benchmark, sample, results, expected)
        rates.append(1e6 / elapsed_us)
    return rates


def _compare(
    benchmark: RunnerBenchmark, sample: int, results: list[float], expected: list[float]
) -> None:
    """Raises Mismatch, with thousandths for values, if the firmware's results are others."""
    if len(results) != len(expected):
        raise Mismatch(
            f"m-results of {benchmark.name}, number", sample, 0, len(expected), len(results)
        )
    for index, (found, wanted) in enumerate(zip(results, expected, strict=True)):
        if not agree(found, wanted):
            values = round(1000 * wanted), round(1000 * found)
            raise Mismatch(f"m-results of {benchmark.name}, in thousandths", sample, index, *values)


class RunnerClient:
    """The runner's side of the conversation, over a serial port.

    Commands end with "%", each answer with the line "m-ready". Raises NoReply where the firmware
    answers nothing within 30 s, or with an error.
    """

    def __init__(self, port: Port) -> None:
        self._port = port
        self._received = b""

    def wait_until_ready(self) -> None:
        """Wait for the firmware to say that it listens."""
        self._answer("the start")

    def command(self, text: str) -> list[str]:
        """The lines of the answer to a command, without the last."""
        self._port.write(f"{text}%".encode())
        lines = self._answer(text)
        wrong = [line for line in lines if line.startswith("e-")]
        if wrong:
            raise NoReply(f"the runner's firmware answers {text[:40]!r} with {wrong[0]}")
        return lines

    def model(self) -> str:
        """The name of the benchmark that the firmware was built for."""
        return _match(re.compile(r"m-model-\[([^]]+)\]"), self.command("profile"))[0]

    def load(self, data: bytes) -> None:
        """Send one input."""
        self.command(f"db load {len(data)}")
        lines: list[str] = []
        for start in range(0, len(data), _BYTES_PER_COMMAND):
            lines = self.command(f"db {data[start : start + _BYTES_PER_COMMAND].hex()}")
        _match(re.compile(r"(m-load-done)"), lines)

    def infer(self, count: int, warmups: int) -> tuple[list[float], int]:
        """The results of `count` inferences, and the time in microseconds that they took."""
        lines = self.command(f"infer {count} {warmups}")
        results = [float(value) for value in _match(_RESULTS, lines)[0].split(",")]
        start, end = (int(value) for value in _match(_LAP, lines))
        return results, end - start

    def _answer(self, question: str) -> list[str]:
        lines: list[str] = []
        deadline = time.monotonic() + _TIMEOUT_S
        while (remaining_s := deadline - time.monotonic()) > 0:
            self._port.timeout = remaining_s
            self._received += self._port.read(1)
            self._port.timeout = 0
            self._received += self._port.read(65536)
            *whole, self._received = self._received.split(b"\n")
            lines += [line.decode("ascii", "replace").strip() for line in whole]
            if _READY in lines:
                return lines[: lines.index(_READY)]
        raise NoReply(f"the runner's firmware does not answer {question[:40]!r}: {lines[-3:]}")


def _match(pattern: re.Pattern[str], lines: list[str]) -> list[str]:
    """What the pattern's group is in the lines that match it. Raises NoReply if none does."""
    found = [match[1] for line in lines if (match := pattern.fullmatch(line))]
    if not found:
        raise NoReply(f"the runner's firmware answers without {pattern.pattern}: {lines[-3:]}")
    return found
