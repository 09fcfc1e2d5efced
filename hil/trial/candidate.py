"""One candidate, from proposal to trial: compress, export, plan, render, build, measure.

There are two halves: `prepare` trains and needs no board, `measure_prepared` runs where the board
is.

Failures are handled by culprit here and nowhere else: an Infeasible candidate becomes a trial with
a reason; a BenchError, Mismatch or FirmwareFault stops the run, after everything needed to
reproduce it was saved in the run's folder.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from compress.errors import Infeasible, OverBudget
from compress.ops import inputs_of, outputs_of
from compress.pipeline.network import Original
from compress.pipeline.pipeline import compress, evaluate
from compress.pipeline.prefix_cache import PrefixCache
from compress.scratch import scratch_folder
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.types import Graph, QuantizedModel, Samples
from hil.board import without_limits
from hil.codegen.build import build
from hil.codegen.estimate import estimate, layer_bytes
from hil.codegen.fitting import fitting_plan
from hil.codegen.render import render
from hil.errors import BenchError, FirmwareFault, Mismatch
from hil.figures import HalfFigures, LayerFigures
from hil.measure.measure import BoardRunner, over_limits
from hil.measure.oracle_check import check_oracle
from hil.measure.profile import measure_layers
from hil.search.engine import Proposal
from hil.store.run_folder import save_failure
from hil.store.store import Final
from hil.trial.half_figures import half_figures
from hil.types import Board, Measurement, Plan, Program, Provenance, Trial


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that a process needs to try candidates.

    `original` is the trained float network, `runner` opens the board, `folder` is the run's folder,
    in which failures are saved, `cache` holds networks after the first stages of a genome.
    `provenance` says, too, which memory stored weights save. Networks are planned to stay within
    `ram_bytes` of RAM, by default the board's limit.
    Candidates are built without the board's limits and compared with them after the measurement,
    so that the search learns by how much a candidate is too large.
    """

    original: Original
    board: Board
    runner: BoardRunner
    folder: Path
    provenance: Provenance
    cache: PrefixCache | None = None
    ram_bytes: int | None = None

    @property
    def ram_limit_bytes(self) -> int:
        """The RAM that a network may take, its stack included."""
        return self.board.ram_limit_bytes if self.ram_bytes is None else self.ram_bytes

    @property
    def arena_limit_bytes(self) -> int:
        """The most that an arena may have, the board's stack left free."""
        board = self.board
        return min(self.ram_limit_bytes, board.ram.length_bytes - board.stack_bytes)


@dataclass(slots=True)
class Stopwatch:
    """The time of each step of one trial, in seconds."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what runs in this context as step `name`."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - started, 3)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A proposal after training: the model to measure, and its .tflite.

    Nothing is to be measured if `model` is None: the trial was screened or has a reason. `halves`
    are its figures on the halves of the validation split; with `profile` its layers are counted.
    """

    trial: Trial
    model: QuantizedModel | None
    tflite: bytes = b""
    halves: tuple[HalfFigures, ...] = ()
    profile: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A finished trial and its network as .tflite; empty bytes if no network was measured."""

    trial: Trial
    tflite: bytes = b""


def try_proposal(context: Context, number: int, proposal: Proposal) -> Outcome:
    """Compress, build and measure one proposal.

    A candidate that cannot be built gives a trial with state "infeasible" and a reason. Raises
    BenchError, Mismatch or FirmwareFault, after saving what is needed to reproduce it.
    """
    return measure_prepared(context, prepare(context, number, proposal))


def prepare(context: Context, number: int, proposal: Proposal) -> Prepared:
    """Train, lower to integers and check against the oracles: the half that needs no board.

    Below fidelity 1 the trial ends here, screened by its accuracy on the host.
    """
    clock = Stopwatch()
    genome, fidelity = proposal.genome, proposal.fidelity
    trial = replace(blank_trial(context, number, proposal), seconds=clock.seconds)
    try:
        with clock.step("compress"):
            model = compress(
                genome, context.original, context.cache, fidelity, repeat=proposal.repeat
            )
        estimated = estimate(
            model.graph, context.board, context.provenance.saves, context.arena_limit_bytes
        )
    except Infeasible as error:
        return Prepared(replace(trial, reason=str(error), violation=1.0), None)
    evaluated = replace(
        trial,
        accuracy=model.accuracy,
        epochs=model.epochs,
        costs=model.costs,
        estimate=estimated,
    )
    if fidelity < 1.0:
        return Prepared(replace(evaluated, state="screened"), None)
    try:
        tflite = export_tflite(model.graph)
    except Infeasible as error:
        return Prepared(replace(evaluated, reason=str(error), violation=1.0), None)
    with clock.step("oracle"):
        judged = check_oracle(tflite, model.samples)
    origin = replace(evaluated.provenance, oracles=judged.text)
    with clock.step("reference"):
        halves = half_figures(context.original, model.answers)
    # The answers stay here: a farm sends the rest to the board.
    model = replace(model, answers=None)
    found = replace(evaluated, provenance=origin)
    return Prepared(found, model, tflite, halves, proposal.profile)


def blank_trial(context: Context, number: int, proposal: Proposal) -> Trial:
    """The trial of a proposal of which nothing is known yet, not even that it can be built."""
    return Trial(
        number=number,
        genome=proposal.genome,
        state="infeasible",
        accuracy=None,
        measurement=None,
        reason="",
        violation=0.0,
        epochs=0,
        seconds={},
        program_sha256="",
        provenance=context.provenance,
        fidelity=proposal.fidelity,
        repeat=proposal.repeat,
    )


def measure_prepared(context: Context, prepared: Prepared) -> Outcome:
    """Build, load, run and compare with the board's limits: the half that needs the board."""
    trial, model = prepared.trial, prepared.model
    if model is None:
        return Outcome(trial)
    clock = Stopwatch(dict(trial.seconds))
    plan, program, measurement = run_on_board(
        context, trial.number, model.graph, model.samples, clock
    )
    layers = profiled(context, plan, model, clock) if prepared.profile else ()
    excess, violation = over_limits(measurement, context.board)
    measured = replace(
        trial,
        state="infeasible" if excess else "measured",
        reason=excess,
        violation=violation,
        measurement=replace(
            measurement,
            right=model.right,
            value=model.device_value,
            others=model.others,
            drop_error=model.drop_error,
            halves=prepared.halves,
            layers=layers,
        ),
        seconds=clock.seconds,
        program_sha256=program.sha256,
    )
    return Outcome(measured, prepared.tflite)


def run_on_board(
    context: Context, number: int, graph: Graph, samples: Samples, clock: Stopwatch
) -> tuple[Plan, Program, Measurement]:
    """Plan, render, build and measure an integer graph on the context's board.

    Where the fastest plan needs more RAM than there is, it is the fastest that fits, or else that
    of least RAM. Raises BenchError, Mismatch or FirmwareFault, after saving sources, ELF, samples
    and transcript.
    """
    board, saves = context.board, context.provenance.saves
    plan = fitting_plan(graph, board, saves, context.arena_limit_bytes)
    program, measurement = _run_plan(context, number, plan, samples, clock)
    excess = measurement.ram.total - context.ram_limit_bytes  # by stack and static variables
    if excess > 0:
        smaller = fitting_plan(graph, board, saves, plan.arena_bytes - excess)
        if smaller.arena_bytes < plan.arena_bytes:
            return smaller, *_run_plan(context, number, smaller, samples, clock)
    return plan, program, measurement


def _run_plan(
    context: Context, number: int, plan: Plan, samples: Samples, clock: Stopwatch
) -> tuple[Program, Measurement]:
    with scratch_folder() as build_folder:
        with clock.step("build"):
            program = render(plan, context.board)
            image = build(program, without_limits(context.board), build_folder)
        try:
            with clock.step("measure"):
                measurement = context.runner.measure(image, plan, samples)
        except (BenchError, Mismatch, FirmwareFault) as error:
            save_failure(context.folder, number, build_folder, samples, error)
            raise
    return program, measurement


def profiled(
    context: Context, plan: Plan, model: QuantizedModel, clock: Stopwatch
) -> tuple[LayerFigures, ...]:
    """The layers of a network as the board counts them; none if the build does not fit it."""
    with scratch_folder() as folder, clock.step("profile"):
        try:
            program = render(plan, context.board, profile=True)
            image = build(program, without_limits(context.board), Path(folder))
        except OverBudget:
            return ()
        counted = context.runner.run(
            lambda target: measure_layers(target, image, plan, model.samples)
        )
    tensors, sizes = model.graph.tensors, layer_bytes(plan)
    return tuple(
        LayerFigures(
            name=layer.name,
            inputs=tensors[inputs_of(step.op)[0]].shape[-1],
            outputs=tensors[outputs_of(step.op)[0]].shape[-1],
            macs=layer.macs,
            count=layer.count,
            weight_bytes=weight_bytes,
            live_bytes=live_bytes,
        )
        for layer, step, (weight_bytes, live_bytes) in zip(counted, plan.steps, sizes, strict=True)
    )


def measure_final(context: Context, number: int, tflite: bytes) -> Final:
    """Measure the network of trial `number` on the test split.

    The host computes the accuracy on the whole split, and compares it with the float network's. The
    device runs the task's device samples.
    """
    graph = import_tflite(tflite, context.original.task.name)
    original, test = context.original, context.original.data.test
    known = original.test_answers
    found = evaluate(graph, test, original.judge, original.task.device_samples, known)
    _, _, measurement = run_on_board(context, number, graph, found.samples, Stopwatch())
    return Final(
        number=number,
        split="test",
        correct=measurement.correct,
        total=measurement.total,
        accuracy=found.accuracy,
        samples=len(test),
        drop_error=found.drop_error,
    )
