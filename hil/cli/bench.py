"""`hil bench`: measure one network on a board, or compare two such measurements."""

from __future__ import annotations

import json
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from compress.errors import UserError
from compress.projects.project import Project
from hil.benchmark.named_model import named_model
from hil.benchmark.result_text import print_result, warn_unjudged
from hil.board import load_board, without_limits
from hil.cli.compare import show_comparison
from hil.cli.completions import models
from hil.cli.energy import (
    Supply,
    Threshold,
    Trigger,
    check_is_new,
    check_trace_options,
    energy_in,
    power_trace_of,
    state_of,
)
from hil.cli.options import BoardOption, JsonFlag, finite
from hil.cli.task_options import TaskChoice, tell, what_to_measure, with_task_options
from hil.options.bench_options import (
    OF_PART,
    DelayedRamOption,
    FlashTimingOption,
    FrontOption,
    Kernels,
    KernelsOption,
    Optimize,
    OptimizeOption,
    check_front,
    kernel_choice,
    with_memory,
)
from hil.options.goal_options import Limits, LimitsOption
from hil.terminal import progressing, warn, working

_RUNNER_SAMPLES = 4  # an input is sent as text, which takes seconds on a serial line


class RunnerName(StrEnum):
    """The benchmarks of MLPerf Tiny."""

    KWS = "kws01"
    IC = "ic01"
    VWW = "vww01"
    AD = "ad01"


def register(app: typer.Typer, runs: Path) -> None:
    """Add the command to `app`; runs are folders in `runs`."""

    @app.command()
    @with_task_options
    def bench(
        chosen: TaskChoice,
        what: Annotated[
            str | None,
            typer.Argument(
                metavar="[MODEL]",
                autocompletion=models,
                help="A FILE.tflite or FILE.onnx (if float, quantized with --data), a task or "
                "project (its int8 baseline), or RUN:NUMBER for a trial of a run; without it, the "
                "project of --model, --task or this folder.",
            ),
        ] = None,
        board: BoardOption = "m3",
        samples: Annotated[
            int | None,
            typer.Option(
                min=1,
                help="Number of inputs that run on the board; accuracy is counted over these. "
                "[default: 4; 32, one sequence, for a network with states]",
            ),
        ] = None,
        repeat: Annotated[
            int,
            typer.Option(
                min=1, help="Repeat the measurement so often; median and spread are shown."
            ),
        ] = 1,
        data: Annotated[
            str | None,
            typer.Option(
                help="Inputs: an .npz file with x, int8 (for a uint8 model uint8) or float32 "
                "(several inputs: x0, x1, ...), and labels y for the accuracy. A float model is "
                "calibrated on all of them. Without MODEL: the project's data.",
                show_default="the task's, else random inputs",
            ),
        ] = None,
        limits: LimitsOption = Limits.BOARD,
        operators: Annotated[
            Path | None,
            typer.Option(
                help="A Python file with the custom operators of the model: each a NumPy "
                "reference and a C function (docs/custom-operators.md)."
            ),
        ] = None,
        optimize: OptimizeOption = Optimize.SPEED,
        kernels: KernelsOption = Kernels.FASTEST,
        front: FrontOption = False,
        keep: Annotated[
            Path | None,
            typer.Option(
                help="Folder, new or empty, for what was measured: C sources, ELF and .tflite; "
                "and those that compute a task's features on the device."
            ),
        ] = None,
        eliminate: Annotated[
            bool,
            typer.Option(
                "--eliminate",
                help="Remove channels that cannot change the output; outputs stay the same. "
                "MLPerf Tiny's closed division allows only weights of 0 to be dropped.",
            ),
        ] = False,
        mlperf_runner: Annotated[
            RunnerName | None,
            typer.Option(
                help="Build the firmware that answers MLPerf Tiny's benchmark runner, too, and try "
                "it; it stays on a real board, and goes to KEEP/runner.",
            ),
        ] = None,
        trace: Annotated[
            Path | None,
            typer.Option(
                help="Take the energy from a power analyzer's CSV file, not from the power model.",
            ),
        ] = None,
        supply_v: Supply = None,
        threshold_mw: Threshold = None,
        trigger: Trigger = None,
        inferences: Annotated[
            int, typer.Option(min=1, help="Number of inferences in each window of the trace.")
        ] = 1,
        compare: Annotated[
            tuple[Path, Path] | None,
            typer.Option(
                metavar="OLD NEW",
                help="Compare two result files of --json instead of measuring; exit code 1 if a "
                "cost grew.",
            ),
        ] = None,
        tolerance: Annotated[
            float,
            typer.Option(
                min=0.0, callback=finite, help="Growth that --compare accepts, in percent."
            ),
        ] = 0.0,
        flash_timing: FlashTimingOption = OF_PART,
        delayed_ram: DelayedRamOption = OF_PART,
        as_json: JsonFlag = False,
    ) -> None:
        """Measure MODEL on BOARD: time in total and per layer, flash, RAM, bit-exactness."""
        if compare is not None:
            show_comparison(*compare, tolerance, as_json)
            return
        if front:
            check_front(optimize, kernels)
        ref, inputs = what_to_measure(what, chosen, data)
        facts = with_memory(load_board(board), flash_timing, delayed_ram)
        if isinstance(ref, str):
            named_model(ref, runs)
        check_trace_options(supply_v, threshold_mw, trigger)
        if inputs is not None and not inputs.is_file():
            raise UserError(f"--data {inputs}: no such file")
        if keep is not None:
            check_is_free(keep)
        facts = facts if limits is Limits.BOARD else without_limits(facts)
        from hil.target.open import check_reachable  # imports NumPy: wrong options end before

        check_reachable(facts)
        with working("loading PyTorch"):
            # These imports take a second: options and board are checked before.
            from compress.tflite.custom_file import load_custom_operators
            from hil.benchmark.benchmark import benchmark
            from hil.benchmark.benchmark_json import benchmark_to_json
            from hil.benchmark.front import measure_front
            from hil.benchmark.mlperf_runner import check_runner, try_runner
            from hil.benchmark.mlperf_tiny import BENCHMARKS
            from hil.benchmark.models import load_model, task_model, without_dead_channels
            from hil.benchmark.samples import (
                file_samples,
                random_samples,
                sample_count,
                task_samples,
            )
            from hil.features.files import write_front_end
            from hil.features.measure import measure_front_end
            from hil.features.of_task import front_end_of
            from hil.measure.measure import BoardRunner
            from hil.target.open import open_target, open_waiting_target

        seen = None
        if trace is not None:
            seen = energy_in(trace, supply_v, threshold_mw, trigger, inferences)
        customs = None if operators is None else load_custom_operators(operators)
        with working("loading the network"):
            if isinstance(ref, Project):
                tell(ref)
                network = task_model(ref, facts)  # trained if the cache has none
            else:
                network = load_model(ref, runs, customs, facts, inputs)
        if mlperf_runner is not None:
            check_runner(BENCHMARKS[mlperf_runner.value], network.graph, facts)
        labeled, count = network.has_classes, sample_count(network.graph, samples)
        value = None
        if network.quantized is not None:
            picked, labeled = network.quantized.first(count)
        elif inputs is not None:
            picked, labeled = file_samples(network.graph, inputs, count)
        elif network.task is not None:
            picked, value = task_samples(network.graph, network.task, count)
        else:
            picked = random_samples(network.graph, count)
        if eliminate:  # after the whole network gave the expected outputs of the samples
            network = without_dead_channels(network)
        written = power_trace_of(facts)
        before = state_of(written)
        with BoardRunner(facts, open_target, open_waiting_target) as opened:
            with progressing(f"building for {facts.name} and choosing kernels") as tick:
                choice = kernel_choice(
                    network.graph, facts, opened, picked, optimize, kernels, tick
                )
            total = repeat * len(picked.labels)
            title = f"measuring {total:,} inference{'s' * (total != 1)}"
            with progressing(title, total, "inferences") as tick:
                result = benchmark(
                    network,
                    facts,
                    opened,
                    picked,
                    repeats=repeat,
                    labeled=labeled,
                    keep=keep,
                    choice=choice,
                    value=value,
                    tick=tick,
                )
            computed = front_end_of(network.task, network.graph)
            if computed is not None:
                with working("measuring the features of the signal"):
                    result = replace(result, features=measure_front_end(computed, opened))
                if keep is not None:
                    write_front_end(computed, keep)
            if front:
                title = "measuring the plans between the fastest and the smallest arena"
                with progressing(title) as tick:
                    points = measure_front(network.graph, facts, opened, picked, choice, tick)
                result = replace(result, front=points)
            if mlperf_runner is not None:
                trial = try_runner(
                    BENCHMARKS[mlperf_runner.value],
                    network.graph,
                    facts,
                    opened,
                    min(count, _RUNNER_SAMPLES),
                    keep,
                    choice,
                )
                result = replace(result, runner=trial)
        if seen is None and written is not None:
            check_is_new(written, before)
            seen = energy_in(written, supply_v, threshold_mw, trigger, inferences)
        if seen is not None:
            result = replace(result, energy=seen)
        if not result.oracle.oracles:
            warn_unjudged(result, Console(stderr=True, highlight=False))
        for remark in result.remarks:
            warn(remark)
        if as_json:
            print(json.dumps(benchmark_to_json(result)))
        else:
            print_result(result, Console())


def check_is_free(folder: Path) -> None:
    """Raise UserError if the folder is a file or holds anything."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists():
        raise UserError(f"--keep {folder}: exists and is not empty; name a new folder")
