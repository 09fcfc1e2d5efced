"""The emulator's modeled cycles beside published silicon: prints, or writes, docs/cycle-model.md.

    python benchmarks/validate_cycle_model.py [--models FOLDER] [--write docs/cycle-model.md]

FOLDER holds the four int8 .tflite files of the MLPerf Tiny benchmark. What silicon took is in
silicon.csv: latency (1000 / median throughput) and clock from the result repositories of MLPerf
Tiny v0.5 to v1.3. The comparison with the same code is read from same_code_silicon.csv. Ends with
status 1 if hil/cycle_model.py states other errors than are found here.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

import typer
from same_code import Figure, by_core, by_family, farthest, read_figures, summary
from silicon import (
    Compared,
    Cycles,
    Entry,
    against,
    median_error,
    projected,
    read_silicon,
    speed_ratios,
)

from compress.types import Graph, Samples
from hil.benchmark.models import load_model
from hil.benchmark.samples import random_samples
from hil.board import load_board, without_limits
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.cycle_model import SAME_CODE_ERRORS, STATED_ERRORS, FlashTiming
from hil.measure.measure import BoardRunner, measure
from hil.target.target import Target
from hil.target.target_qemu import QemuTarget
from hil.types import Board, Image, Plan

HERE = Path(__file__).resolve().parent
MODELS = {
    "kws": "kws_ref_model",
    "ic": "pretrainedResnet_quant",
    "ad": "ad01_int8",
    "vww": "vww_96_int8",
}
BOARDS = {"cortex-m3": "m3", "cortex-m4": "m4", "cortex-m7": "m7", "cortex-m33": "m33"}
# STM32L4R5 at 120 MHz (ST RM0432, chapter 3): 5 wait states; 64 bits a read with two banks, as the
# chip comes; 1 KB of instructions and 256 bytes of data are cached.
L4R5 = (8, 5, 1024 // 8, 256 // 8)
# STM32F746 at 216 MHz (ST RM0385, chapter 3, and PM0253): 7 wait states, 256 bits a read, caches
# of 4 KB for instructions and for data.
F746 = (32, 7, 4096 // 32, 4096 // 32)
FLASHES = {"cortex-m4": L4R5, "cortex-m7": F746}
GOALS = {"cortex-m4": 0.10, "cortex-m7": 0.20}
COST_RUNS = 40


# ---- running


def prepare(graph: Graph, board: Board, folder: Path) -> tuple[Plan, Image]:
    plan = make_plan(graph, board, kernel_set="cmsis-nn")  # as published systems
    return plan, build(render(plan, board), board, folder)


def model_cycles(board: Board, graph: Graph, samples: Samples, flash: FlashTiming | None) -> int:
    """Modeled cycles of one inference, its outputs bit-equal to the reference."""
    with (
        tempfile.TemporaryDirectory(prefix="hil-") as folder,
        BoardRunner(board, lambda opened: QemuTarget(opened, flash)) as runner,
    ):
        plan, image = prepare(graph, board, Path(folder))
        cycles = runner.measure(image, plan, samples).model_cycles
    if cycles is None:
        raise SystemExit(f"{board.name}: nothing models {board.core}")
    return cycles


def busy_s(
    board: Board, graph: Graph, flash: FlashTiming | None = None, modeled: bool = True
) -> float:
    """The emulator's CPU time for COST_RUNS times the same inferences, the least of three."""
    samples = random_samples(graph, 8)

    def job(target: Target) -> float:
        assert isinstance(target, QemuTarget)
        return min(once(target) for _ in range(3))

    def once(target: QemuTarget) -> float:
        before = _cpu_s(target.emulator.pid)
        for _ in range(COST_RUNS // 8):
            measure(target, image, plan, samples)
        return _cpu_s(target.emulator.pid) - before

    with (
        tempfile.TemporaryDirectory(prefix="hil-") as folder,
        BoardRunner(board, lambda opened: QemuTarget(opened, flash, modeled)) as runner,
    ):
        plan, image = prepare(graph, board, Path(folder))
        return runner.run(job)


def _cpu_s(pid: int) -> float:
    """User and system time of a process (Linux, proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- the document


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def mega(cycles: float) -> str:
    return f"{cycles / 1e6:.3g}"


def percent(share: float) -> str:
    return f"{100 * share:+.0f} %"


def comparison(compared: dict[str, Compared], more: dict[str, dict[str, Compared]]) -> str:
    head = ["model", "modeled, M", "silicon, M", "error"]
    head += [f"{name}: modeled, M | error" for name in more]
    rows = []
    for model, one in compared.items():
        row = [model, mega(one.modeled)]
        row.append(f"{mega(one.silicon)} ({mega(one.low)} to {mega(one.high)})")
        row.append(percent(one.error))
        for other in more.values():
            row += [mega(other[model].modeled), percent(other[model].error)]
        rows.append(row)
    last = ["median error", "", "", f"**{100 * median_error(compared):.0f} %**"]
    for other in more.values():
        last += ["", f"**{100 * median_error(other):.0f} %**"]
    head = [cell for name in head for cell in name.split(" | ")]
    return table(head, [*rows, last])


def per_entry(modeled: Cycles, entries: list[Entry]) -> str:
    rows = []
    for entry in entries:
        errors = [
            f"{mega(entry.cycles[model])} ({percent(cycles / entry.cycles[model] - 1)})"
            for model, cycles in modeled.items()
        ]
        rows.append([entry.name, *errors])
    return table(["entry: silicon, M (model's error)", *modeled], rows)


def same_code_parts(figures: list[Figure]) -> dict[str, str]:
    """What the template says about the same code, by name."""
    head = ["core", "figures", "how many", "seen", "held out", "memory that never waits", "before"]
    parts = {
        "same_summary": table(head, by_core(figures)),
        "same_families": table(["chip", "programs", "figures", "error"], by_family(figures)),
        "same_farthest": table(["core", "program", "error"], farthest(figures, 6)),
    }
    for core, found in summary(figures).items():
        parts[f"same_{core.removeprefix('cortex-')}"] = f"{100 * found.median:.1f}"
    return parts


def document(
    modeled: dict[str, Cycles],
    waiting: dict[str, Cycles],
    entries: list[Entry],
    figures: list[Figure],
    cost: list[float],
) -> tuple[str, dict[str, float]]:
    """The text, and the errors it finds by core."""
    m4, m7, m33 = (modeled[core] for core in ("cortex-m4", "cortex-m7", "cortex-m33"))
    kernels = [entry for entry in entries if entry.kernels == "CMSIS-NN"]
    on_m4 = [entry for entry in kernels if entry.core == "cortex-m4"]
    on_m33 = [entry for entry in kernels if entry.core == "cortex-m33"]
    ratios = {model: speed_ratios(entries, model) for model in MODELS}
    with_flash = waiting["cortex-m4"]
    compared = {
        "cortex-m4": against(m4, on_m4),
        "cortex-m7": projected(m7, against(m4, on_m4), ratios),
        "cortex-m33": against(m33, on_m33),
    }
    flash = {
        "cortex-m4": against(with_flash, on_m4),
        "cortex-m7": projected(waiting["cortex-m7"], against(m4, on_m4), ratios),
    }
    errors = {core: median_error(one) for core, one in compared.items()}
    met = {
        core: "met"
        if errors[core] <= goal
        else "met with wait states only"
        if median_error(flash[core]) <= goal
        else "not met"
        for core, goal in GOALS.items()
    }
    slow = next(e for e in on_m4 if e.engine == "microTVM")
    fast = next(e for e in on_m33 if e.engine == "microTVM")
    same_code = table(
        ["cycles on M4 by cycles on M33", *MODELS],
        [
            ["silicon", *(f"{slow.cycles[m] / fast.cycles[m]:.2f}" for m in MODELS)],
            ["model, M4 with wait states", *(f"{with_flash[m] / m33[m]:.2f}" for m in MODELS)],
        ],
    )
    by_engine = table(
        ["cycles on M4 by cycles on M7", *MODELS],
        [
            [
                "silicon, median of engines",
                *(f"{statistics.median(ratios[m]):.2f}" for m in MODELS),
            ],
            ["lowest to highest", *(f"{ratios[m][0]:.2f} to {ratios[m][-1]:.2f}" for m in MODELS)],
            ["model", *(f"{m4[m] / m7[m]:.2f}" for m in MODELS)],
            [
                "model, both with wait states",
                *(f"{with_flash[m] / waiting['cortex-m7'][m]:.2f}" for m in MODELS),
            ],
        ],
    )
    everywhere = table(
        ["modeled cycles, M", *MODELS],
        [[core, *(mega(cycles[m]) for m in MODELS)] for core, cycles in modeled.items()],
    )
    spread = statistics.median(one.spread for one in compared["cortex-m4"].values())
    text = (HERE / "cycle-model.template.md").read_text(encoding="utf-8")
    return (
        text.format(
            **same_code_parts(figures),
            everywhere=everywhere,
            m4=comparison(compared["cortex-m4"], {"with L4R5 flash": flash["cortex-m4"]}),
            m4_entries=per_entry(with_flash, on_m4),
            m33=comparison(compared["cortex-m33"], {}),
            m33_entries=per_entry(m33, on_m33),
            m7=comparison(compared["cortex-m7"], {"with F746 flash": flash["cortex-m7"]}),
            same_code=same_code,
            by_engine=by_engine,
            spread=f"{100 * spread:.0f}",
            m4_error=f"{100 * errors['cortex-m4']:.0f}",
            m4_flash_error=f"{100 * median_error(flash['cortex-m4']):.0f}",
            m7_flash_error=f"{100 * median_error(flash['cortex-m7']):.0f}",
            m4_goal=met["cortex-m4"],
            m7_goal=met["cortex-m7"],
            m7_error=f"{100 * errors['cortex-m7']:.0f}",
            m33_error=f"{100 * errors['cortex-m33']:.0f}",
            cost=f"{cost[1] / cost[0]:.2f}",
            cost_flash=f"{cost[2] / cost[0]:.1f}",
            runs=COST_RUNS,
            engines=len({entry.engine for entry in entries if entry.kernels == "own"}),
        ),
        errors,
    )


def main(
    models: Path = HERE.parents[1] / "shared" / "data" / "mlperf_tiny", write: Path | None = None
) -> None:
    """Model all networks on all cores with a model and compare them with silicon."""
    missing = [name for name in MODELS.values() if not (models / f"{name}.tflite").is_file()]
    if missing:
        print(f"nothing to compare: {models} lacks {', '.join(missing)} (see --models)")
        raise typer.Exit(2)
    modeled: dict[str, Cycles] = {core: {} for core in BOARDS}
    waiting: dict[str, Cycles] = {core: {} for core in FLASHES}
    for model, file in MODELS.items():
        graph = load_model(str(models / f"{file}.tflite"), Path()).graph
        samples = random_samples(graph, 2)
        for core, name in BOARDS.items():
            print(f"{model} on {name}", file=sys.stderr)
            board = without_limits(load_board(name))
            modeled[core][model] = model_cycles(board, graph, samples, None)
            if core in FLASHES:
                flash = FlashTiming(board.flash.origin, board.flash.length_bytes, *FLASHES[core])
                waiting[core][model] = model_cycles(board, graph, samples, flash)
    board = load_board("m4")
    flash = FlashTiming(board.flash.origin, board.flash.length_bytes, *L4R5)
    graph = load_model(str(models / f"{MODELS['kws']}.tflite"), Path()).graph
    cost = [
        busy_s(board, graph, modeled=False),
        busy_s(board, graph),
        busy_s(board, graph, flash),
    ]
    figures = read_figures(HERE / "same_code_silicon.csv")
    text, errors = document(modeled, waiting, read_silicon(HERE / "silicon.csv"), figures, cost)
    if write:
        write.write_text(text, encoding="utf-8")
    else:
        print(text)
    stated = {core: round(error, 2) for core, error in errors.items()}
    same = summary(figures)
    if (stated, same) != (STATED_ERRORS, SAME_CODE_ERRORS):
        print(f"hil/cycle_model.py states {STATED_ERRORS}, found is {stated}", file=sys.stderr)
        print(f"... and {SAME_CODE_ERRORS}, found is {same}", file=sys.stderr)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
