"""The network that `hil export` makes a library of: that of a run's trial, or of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from compress.errors import UserError
from compress.features.integer import IntegerFrontEnd
from compress.projects.find import TaskRef, find_task
from compress.types import Graph, Samples
from hil.benchmark.models import BenchmarkModel, load_model
from hil.benchmark.samples import random_samples, task_samples
from hil.board import load_board
from hil.codegen.plan import KernelChoice
from hil.codegen.render import render
from hil.codegen.selection import select
from hil.features.of_task import front_end_of
from hil.library.figures import Measured
from hil.library.golden import golden_count
from hil.library.measuring import measure_library
from hil.library.network import Network
from hil.measure.kernel_costs import time_kernels
from hil.measure.measure import BoardRunner
from hil.measure.oracle_check import check_oracle
from hil.measure.provenance import provenance
from hil.report.model_facts import model_facts
from hil.report.summary import summarize
from hil.store.run_folder import board_of
from hil.store.store import RunIdentity, Store
from hil.store.trial_json import trial_to_json
from hil.target.open import check_reachable, open_target, open_waiting_target
from hil.types import Board, Memory, Plan, Trial


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asks for; None each: as the run has it.

    `saves` is the memory that weights and kernels save (for a file by default none: the fastest).
    With `measure` the library is measured on the board; by default on an emulated one.
    """

    board: str | None = None
    saves: Memory | None = None
    measure: bool | None = None


def network_of_file(path: str, wishes: Wishes, runs: Path) -> Network:
    """An int8 .tflite as a library's network. Raises UserError without a board."""
    if wishes.board is None:
        raise UserError(f"--board is missing: the core that {path} is exported for (hil boards)")
    board = load_board(wishes.board)
    model = load_model(path, runs, board=board)
    samples = random_samples(model.graph, golden_count(model.graph))
    plan, measured = _planned(model, board, samples, wishes, None)
    return Network(
        title=f"The network of {Path(path).name}",
        tflite=model.tflite,
        graph=model.graph,
        board=board,
        plan=plan,
        samples=samples,
        origin="random inputs",
        facts={"file": Path(path).name},
        measured=measured,
    )


def network_of_run(
    folder: Path, number: int | None, wishes: Wishes, remark: Callable[[str], None]
) -> Network:
    """Trial `number` of the run in `folder`, or its chosen network.

    `remark` is told what is not as it should be. Raises UserError if there is no such trial or no
    network of it.
    """
    trial, identity, model = _trial(folder, number)
    own = board_of(folder, identity.board)
    board = own if wishes.board is None else load_board(wishes.board)
    its_task = model.task
    assert its_task is not None, "a trial's model has its run's task"
    task = find_task(its_task)
    # As the search named it: the name is in the text of the program.
    model = replace(model, graph=replace(model.graph, name=task.name))
    samples, origin = _samples(model.graph, its_task, remark)
    front_end = _front_end(model.graph, its_task, remark)
    plan, measured = _planned(model, board, samples, wishes, trial if board == own else None)
    return Network(
        title=f"{task.title}, trial {trial.number} of a search on {own.name}",
        tflite=model.tflite,
        graph=model.graph,
        board=board,
        plan=plan,
        samples=samples,
        origin=origin,
        classes=() if task.outputs else task.classes,
        facts={
            "task": task.name,
            "run": {"board": own.name, "seed": identity.seed},
            "trial": trial_to_json(trial),
            "use": model_facts(task, folder, trial, own),
        },
        measured=measured,
        front_end=front_end,
    )


def _trial(folder: Path, number: int | None) -> tuple[Trial, RunIdentity, BenchmarkModel]:
    with Store.read(folder) as store:
        chosen = summarize(store).chosen if number is None else None
        trials = {trial.number: trial for trial in store.trials()}
        identity = store.identity
    if number is None:
        if chosen is None:
            raise UserError(f"{folder} has no chosen network yet: name a trial with --trial")
        number = chosen.number
    model = load_model(f"{folder}:{number}", folder.parent)  # raises for a number that is not there
    return trials[number], identity, model


def _samples(graph: Graph, task: TaskRef, remark: Callable[[str], None]) -> tuple[Samples, str]:
    """Samples of the task's validation split, or random ones where its data are not here."""
    count = golden_count(graph)
    try:
        samples, _ = task_samples(graph, task, count)
    except UserError as error:
        remark(f"the self-test gets random inputs: {error}")
        return random_samples(graph, count), "random inputs"
    return samples, "evenly spaced in the validation split"


def _front_end(
    graph: Graph, task: TaskRef, remark: Callable[[str], None]
) -> IntegerFrontEnd | None:
    """What computes the network's input of a signal; None if there is no such thing, or no data."""
    try:
        return front_end_of(task, graph)
    except UserError as error:
        remark(f"the library gets no features: {error}")
        return None


def _planned(
    model: BenchmarkModel, board: Board, samples: Samples, wishes: Wishes, trial: Trial | None
) -> tuple[Plan, Measured | None]:
    """The plan and what the board measured; `trial` is the one that was measured on this board."""
    again = trial is not None and wishes.saves is None
    saves: Memory = trial.provenance.saves if trial and again else wishes.saves or "nothing"
    choice = KernelChoice(saves)
    if board.backend != "qemu" if wishes.measure is None else not wishes.measure:
        plan = choice.plan(model.graph, board)
        return plan, None if trial is None else _of_trial(trial, plan, board)
    check_reachable(board)
    judged = check_oracle(model.tflite, samples)
    with BoardRunner(board, open_target, open_waiting_target) as runner:
        if not again:
            costs = time_kernels(model.graph, board, runner, samples, choice)
            choice = select(model.graph, board, replace(choice, costs=costs))
        plan = choice.plan(model.graph, board)
        measurement = measure_library(plan, board, runner, samples)
    origin = replace(provenance(board, 0, saves), oracles=judged.text)
    return plan, Measured(measurement, origin, "this library when it was exported")


def _of_trial(trial: Trial, plan: Plan, board: Board) -> Measured | None:
    """The trial's measurement, if what was measured is this plan byte for byte."""
    same = render(plan, board).sha256 == trial.program_sha256
    if not same or trial.measurement is None:
        return None
    what = f"trial {trial.number}'s firmware, whose kernels, memory plan and weights these are"
    return Measured(trial.measurement, trial.provenance, what)
