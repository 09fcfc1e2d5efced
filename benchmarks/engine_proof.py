"""The MLPerf Tiny models with tuned kernels on random and extreme inputs, bit for bit on each core.

    python benchmarks/engine_proof.py FOLDER [--inputs 1000] [--cores m4,m7] [--models KWS,AD]
        [--optimize speed,ram,size] [--listed] [--write docs/engine-proof.md]

FOLDER holds the int8 .tflite files of the MLPerf Tiny benchmark; a model whose file is missing is
left out, with the reason. Every output of every input is compared with the integer reference, and
stack and arena are checked after each inference (firmware/main.c). A row of the page whose image is
still the same, byte for byte, is not run again. The first difference ends the run with the layer
that differs. The emulated Cortex-M0 has 16 KB of RAM, enough for KWS alone: the others' code for it
(of the same compiler options) runs on the emulated Cortex-M3, whose instructions include those of
the M0.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import typer
from engine import MODELS, Model, m0_on_m3

from compress.arithmetic.fixedpoint import INT8_MAX, INT8_MIN
from compress.errors import OverBudget
from compress.files import write_atomically
from compress.types import Graph, Int8Array, Samples
from hil.benchmark.models import load_model, without_dead_channels
from hil.benchmark.samples import random_samples, samples_of
from hil.board import load_board, without_limits, without_waits
from hil.codegen.build import build, compiler_version
from hil.codegen.plan import KernelChoice
from hil.codegen.render import render
from hil.codegen.selection import select
from hil.emulator.plugin import qemu_version
from hil.measure.batch import capacity, infer_batch, subset
from hil.measure.kernel_costs import time_kernels
from hil.measure.measure import BoardRunner
from hil.measure.mismatch import find_mismatch
from hil.target.open import open_target
from hil.target.target import Target
from hil.target.target_qemu import QemuTarget
from hil.tuned_kernels.registry import all_tuned_kernels
from hil.types import Board, Image, Memory, Plan

CORES = ("m3", "m4", "m7", "m33", "m55", "m0 on m3", "m0")
PURPOSES: dict[str, Memory] = {"speed": "nothing", "ram": "ram", "size": "flash"}


@dataclass(frozen=True, slots=True)
class Proof:
    """What was compared: a network with its kernels on a core, `inputs` inputs."""

    model: str
    core: str
    purpose: str
    inputs: int
    output_bytes: int
    kernels: tuple[str, ...]
    tuned_layers: int
    layers: int
    image: str  # the first digits of the SHA-256 of what is flashed


def extremes(graph: Graph) -> Int8Array:
    """Inputs at the ends of int8: constant, alternating along each axis, one value among others."""
    tensor = graph.input_tensor
    shape = tensor.shape[1:]
    made = [np.full(shape, value) for value in (INT8_MIN, INT8_MAX, tensor.zero_point)]
    for along in np.indices(shape):
        made += [np.where(along % 2 == odd, INT8_MIN, INT8_MAX) for odd in (0, 1)]
    elements = int(np.prod(shape))
    for place in (0, 1, elements // 3, elements // 2, elements - 2, elements - 1):
        for one, others in ((INT8_MAX, INT8_MIN), (INT8_MIN, INT8_MAX)):
            hot = np.full(elements, others)
            hot[place] = one
            made.append(hot.reshape(shape))
    return np.stack(made).astype(np.int8)


def proof_samples(graph: Graph, inputs: int) -> Samples:
    """The extremes, then `inputs` random inputs, with the reference's outputs."""
    random = random_samples(graph, inputs, seed=1)
    first = samples_of(graph, extremes(graph), None)
    return Samples(
        np.concatenate([first.inputs, random.inputs]),
        np.concatenate([first.labels, random.labels]),
        np.concatenate([first.outputs, random.outputs]),
    )


def board_of(core: str) -> Board:
    """The board of that name, and for "m0 on m3" the M3's with the code of an M0."""
    if core == "m0 on m3":
        return m0_on_m3()
    return without_waits(without_limits(load_board(core)))


def plan_of(graph: Graph, core: str, board: Board, saves: Memory, listed: bool) -> Plan:
    """The plan that `hil bench` makes, which times the kernels; not where the board is none.

    With `listed` it is the search's, which takes them in the order in which they are listed.
    """
    choice = KernelChoice(saves)
    if listed or core == "m0 on m3":
        return choice.plan(graph, board)
    with BoardRunner(board, open_target) as runner:
        costs = time_kernels(graph, board, runner, random_samples(graph, 2), choice)
    return select(graph, board, replace(choice, costs=costs)).plan(graph, board)


def prove(
    model: str,
    graph: Graph,
    samples: Samples,
    cores: list[str],
    purposes: list[str],
    listed: bool,
    known: frozenset[str],
) -> Iterator[Proof]:
    """Run all samples with each plan; not with one that an earlier purpose had, nor if its image
    is one of `known`."""
    for core in cores:
        board = board_of(core)
        seen: list[tuple[str, ...]] = []
        for purpose in purposes:
            began = time.monotonic()
            try:
                plan = plan_of(graph, core, board, PURPOSES[purpose], listed)
                kernels = tuple(step.kernel for step in plan.steps)
                if kernels in seen:
                    print(f"{model} {core} {purpose}: the same kernels", file=sys.stderr)
                    continue
                seen.append(kernels)
                image = _run(plan, core, board, samples, known)
            except OverBudget as error:
                print(f"{model} {core} {purpose}: does not fit: {error}", file=sys.stderr)
                continue
            if image in known:
                print(f"{model} {core} {purpose}: the image of its row", file=sys.stderr)
                continue
            passed_s = time.monotonic() - began
            print(
                f"{model} {core} {purpose}: {len(samples.inputs)} inputs bit-equal, "
                f"{passed_s:.0f} s",
                file=sys.stderr,
            )
            ours = [k for k in kernels if k in _tuned_names()]
            names = tuple(sorted(set(kernels) - {"none"}))
            yield Proof(
                model=model,
                core=core,
                purpose=purpose,
                inputs=len(samples.inputs),
                output_bytes=samples.outputs.size,
                kernels=names,
                tuned_layers=len(ours),
                layers=sum(kernel != "none" for kernel in kernels),
                image=image,
            )


def _tuned_names() -> set[str]:
    return {kernel.name for kernel in all_tuned_kernels()}


def _run(plan: Plan, core: str, board: Board, samples: Samples, known: frozenset[str]) -> str:
    """The first digits of the image's hash, after all samples unless it is one of `known`."""
    # The M0's code on an M3: the emulator is opened for the core that it has. Nothing is counted,
    # which is several times faster.
    emulated = board_of("m3") if core == "m0 on m3" else board
    with (
        BoardRunner(replace(emulated, counter="none"), QemuTarget) as runner,
        tempfile.TemporaryDirectory(prefix="proof-") as folder,
    ):
        image = build(render(plan, board), board, Path(folder))
        name = image.sha256[:12]
        if name not in known:
            runner.run(lambda target: _compare(target, image, plan, samples))
        return name


def _compare(target: Target, image: Image, plan: Plan, samples: Samples) -> None:
    """Raises Mismatch, which names the layer, for the first output that differs."""
    target.load(image)
    room = capacity(image, plan)
    for start in range(0, len(samples.inputs), room):
        batch = subset(samples, slice(start, start + room))
        _, outputs, _ = infer_batch(target, image, plan, batch)
        differs = np.flatnonzero((outputs != batch.outputs).any(1))
        if len(differs):
            at = int(differs[0])
            raise find_mismatch(target, image, plan, samples, start + at, outputs[at])


def main(
    folder: Path,
    inputs: int = 1000,
    cores: str = ",".join(CORES),
    models: str = ",".join(model.title for model in MODELS),
    optimize: str = "speed,ram,size",
    listed: bool = False,
    write: Path | None = None,
) -> None:
    """Compare every model on every core and print (or write) the table."""
    proofs: list[Proof] = []
    skipped: list[str] = []
    known = {model.title: model for model in MODELS}
    for title in models.split(","):
        model = known[title]
        path = folder / f"{model.file}.tflite"
        if not path.is_file():
            skipped.append(f"{model.title}: there is no {model.file}.tflite")
            continue
        graph = _graph(model, path)
        samples = proof_samples(graph, inputs)
        known_images = frozenset(
            row.split("|")[-2].strip() for row in (_rows_of(write) if write else {}).values()
        )
        for proof in prove(
            model.title, graph, samples, cores.split(","), optimize.split(","), listed, known_images
        ):
            proofs.append(proof)
            if write:  # each time: a run may be ended early
                write_atomically(write, page(proofs, skipped, _rows_of(write)).encode())
    if not write:
        print(page(proofs, skipped, {}))


def _rows_of(file: Path) -> dict[str, str]:
    """The rows of a page, by model, core and purpose."""
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    return {_key(row): row for row in rows}


def _key(row: str) -> str:
    return "|".join(row.split("|")[1:4])


def _graph(model: Model, path: Path) -> Graph:
    loaded = load_model(str(path), Path())
    return (without_dead_channels(loaded) if model.eliminated else loaded).graph


def page(proofs: list[Proof], skipped: list[str], rows: dict[str, str]) -> str:
    """The page as Markdown; `rows` of earlier runs stay where none is made again."""
    made = [
        f"| {p.model} | {p.core} | {p.purpose} | {p.inputs:,} | {p.output_bytes:,} | "
        f"{p.tuned_layers} of {p.layers} | {', '.join(p.kernels)} | {p.image} |"
        for p in proofs
    ]
    all_rows = rows | {_key(row): row for row in made}
    inferences = sum(int(row.split("|")[4].replace(",", "")) for row in all_rows.values())
    lines = [
        "# The engine, input by input",
        "",
        f"Made by `benchmarks/engine_proof.py` with {compiler_version()}, QEMU {qemu_version()}.",
        "Each line: all outputs of all inputs were equal to the integer reference, bit for bit.",
        "Inputs: random ones (noise and waves), and extremes (constant, alternating along each",
        "axis, one value among others). Of rows of a model and core that would have the same",
        "kernels there is the first. `m0 on m3`: the code for Cortex-M0, on an emulated",
        "Cortex-M3, because the emulated M0 has 256 KB of flash and 16 KB of RAM. `image`: the",
        "first digits of the SHA-256 of what was flashed; a row stays until its image changes.",
        "",
        "| model | core | `--optimize` | inputs | output bytes compared | tuned layers | kernels "
        "| image |",
        "|---|---|---|---:|---:|---:|---|---|",
        *all_rows.values(),
        "",
        f"Together {inferences:,} inferences.",
    ]
    lines += ["", *(f"Left out: {reason}." for reason in skipped)] if skipped else []
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(main)
