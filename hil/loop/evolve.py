"""START HERE. One search: propose genomes, measure each on the board, learn from the results.

The loop is `search`. Engines (`hil.search`) propose genomes, the default ones with DEAP. One
candidate's way to a trial is `hil.trial.candidate.try_proposal`:

    genome -> pruned, quantized, distilled network -> integer graph -> plan -> C program
           -> image -> measurement on the board -> trial in the run's store
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from compress.errors import Infeasible, UserError
from compress.pipeline.diagnose import diagnose
from compress.pipeline.diagnosis import Diagnosis, early_remarks
from compress.pipeline.network import Original
from compress.projects.find import TaskRef, find_task, identity_of_task
from compress.projects.project import Project
from compress.space.recipes import baseline
from hil.benchmark.first_look import show_first_look
from hil.board import board_sha256
from hil.energy.machine_energy import EnergyBudget
from hil.interruption import Terminated
from hil.loop.batch import run_batch
from hil.loop.engine_choice import engine_for, nothing_measured
from hil.loop.finals import measure_finals
from hil.loop.progress import SearchProgress
from hil.loop.stop import StopRule, feasible_front
from hil.measure.provenance import provenance
from hil.objective.costs import as_measured
from hil.objective.goal import Goal
from hil.report.summary import chosen_trial
from hil.search.engine import Engine, Narrated
from hil.search.registry import AUTO, open_engine
from hil.store.project_files import check_same_project, kept_project, save_project
from hil.store.run_folder import (
    copy_board_file,
    network_path,
    original_path,
    read_diagnosis,
    read_pick,
    save_diagnosis,
)
from hil.store.store import STORE_FILE, RunIdentity, Store
from hil.target.open import check_reachable
from hil.terminal import note, working
from hil.trial.pool import LocalPool, Pool
from hil.trial.start import (
    Start,
    check_feasible,
    check_has_original,
    check_same_judged,
    check_startable,
)
from hil.types import Trial


@dataclass(frozen=True, slots=True)
class Settings:
    """The task, the goal and the budget of one search.

    The search ends when `trials`, `minutes` or `energy` (drawn by this machine) are used up, or
    when the goal is met and the front has not improved for `patience_trials`. `engine` is a name
    of `hil.search.registry`, or `AUTO` (`hil.loop.engine_choice`). Trials run in `processes` of
    this machine, or, if `farm` is the address of a scheduler ("tcp://host:8786"), on the workers of
    that farm. `board_file` is the file of a user's own board, None for a board that ships with hil.
    """

    task: TaskRef
    goal: Goal
    folder: Path
    trials: int
    minutes: float
    seed: int = 0
    engine: str = AUTO
    energy: EnergyBudget | None = None
    patience_trials: int = 60
    processes: int = 2
    farm: str | None = None
    board_file: Path | None = None


def evolve(settings: Settings) -> str:
    """Create or continue the run in `settings.folder`; return why it stopped.

    The reason is one of `StopRule.reason`, or "interrupt". Every trial is committed when it ends.
    Raises KeyboardInterrupt if that came before anything was measured, and Terminated.
    Raises UserError for settings that cannot work, BenchError if the board stops answering, and
    Mismatch if the device computes something else than the reference; trials so far stay stored.
    """
    goal, board = settings.goal, settings.goal.board
    check_prerequisites(settings)
    processes = settings.processes if settings.farm is None else 0
    task = identity_of_task(settings.task)
    identity = RunIdentity(task, board.name, settings.seed, board_sha256(board))
    is_new = not (settings.folder / STORE_FILE).exists()
    if is_new:  # before there is a folder
        take_first_look(settings)
        check_startable(find_task(settings.task))
    if isinstance(settings.task, Project):
        check_same_project(settings.folder, settings.task)
    with open_store(settings.folder, identity) as store:
        keep_project(settings.task, settings.folder)
        if settings.board_file is not None:
            copy_board_file(settings.board_file, settings.folder)
        check_has_original(store)
        goal = replace(goal, board=as_measured(board, store.trials()))
        if (known := read_diagnosis(settings.folder)) is not None:
            goal = goal.settled(known.metric, known.float_value)
        settings = replace(settings, goal=goal)
        if not is_new and not feasible_front(store.trials(fidelity=1.0), goal):
            check_feasible(find_task(settings.task), goal)
        store.begin_session(goal.accuracy, settings.engine, goal.to_json(), processes)
        rule = StopRule(settings, goal, settings.energy)
        reason = rule.reason(store)
        interrupt = None
        try:
            if not reason or trials_missing_finals(store, goal):
                reason = search(settings, store, rule)
        except KeyboardInterrupt as error:
            reason, interrupt = "interrupt", error
        rule.note_energy(store)
        store.end_session(reason)
        if interrupt is not None and (isinstance(interrupt, Terminated) or not has_measured(store)):
            raise interrupt
    return reason


def has_measured(store: Store) -> bool:
    """True if the run has a network that was measured, so that there is something to report."""
    return any(trial.measurement is not None for trial in store.trials(fidelity=1.0))


@contextmanager
def open_store(folder: Path, identity: RunIdentity) -> Iterator[Store]:
    """The run's store, as a context manager.

    A folder that did not exist before is removed if the search is refused before it has an original
    network: one that has not learned, say. Raises as `Store.open`.
    """
    is_new = not folder.exists()
    with ExitStack() as closed, Store.open(folder, identity) as store:
        try:
            yield store
        except (UserError, Infeasible):
            if is_new and not original_path(folder).is_file():
                closed.callback(shutil.rmtree, folder)
            raise


def take_first_look(settings: Settings) -> None:
    """Show what is known of the task and the board before training, and check that they can work.

    A new run's folder does not exist yet: nothing is left of a search that is refused.
    """
    task, goal = find_task(settings.task), settings.goal
    with working(f"building the smallest network of {task.name}"):
        check_feasible(task, goal)
    here = goal.board if settings.farm is None else None
    with working(f"reading the data of {task.name}"):
        data = task.load()
    with working(f"building the untrained network of {task.name}"):
        show_first_look(task, data, here, goal.accuracy or None)  # 0: not known yet


def search(settings: Settings, store: Store, rule: StopRule) -> str:
    """Run the search loop until `rule` gives a reason to stop; return that reason.

    The engine proposes a batch, the pool trains and measures it, the engine is told the trials.
    """
    goal, began = settings.goal, time.monotonic()
    start = Start.prepare(settings.task, goal.board, settings.seed, settings.folder, goal.saves)
    start = replace(start, ram_bytes=goal.ram_bytes)
    with open_pool(settings, start) as pool, SearchProgress(settings, goal) as progress:
        progress.show(None, "starting the workers, judging the float network")
        original = start.original()
        diagnosis = keep_diagnosis(original, store)
        goal = settled_goal(goal, diagnosis, store)
        rule.goal = goal
        progress.follow(goal, diagnosis.metric)
        progress.note(original_line(original, diagnosis))
        for remark in early_remarks(diagnosis, goal.accuracy):
            progress.note(f"warning: {remark.text}")
        if told := other_kernels(store, provenance(goal.board, settings.seed).kernels):
            progress.note(f"warning: {told}")
        progress.show(None, "timing an epoch, choosing the engine")
        name, why = engine_for(settings, original, store)
        store.name_engine(name)
        progress.note(why)
        engine = open_engine(name, original, goal, settings.seed)
        ready_s = time.monotonic() - began
        while not (reason := rule.reason(store)):
            proposals = engine.ask()
            say(engine, progress)
            trials = run_batch(proposals, store, pool, rule, progress)
            engine.tell(trials)
            rule.batch_ended(trials)
        if reason == "minutes" and not has_measured(store):
            progress.note(nothing_measured(settings, original, ready_s))
        # After the loop, so that figures for the report do not use up the search's budget.
        measure_finals(trials_missing_finals(store, goal), store, pool, progress.show)
        if "test" not in store.original_accuracies():
            store.set_original_accuracy("test", original.test_share)
    return reason


def say(engine: Engine, progress: SearchProgress) -> None:
    """Print what an engine has found out, and show what it does, if it says so."""
    if isinstance(engine, Narrated):
        progress.activity = engine.activity
        for line in engine.news():
            progress.note(line)


def other_kernels(store: Store, kernels: str) -> str:
    """What to say if trials of the store were measured with other kernels; "" if none was."""
    measured = (trial for trial in store.trials(fidelity=1.0) if trial.measurement is not None)
    others = sorted({trial.provenance.kernels for trial in measured} - {kernels})
    if not others:
        return ""
    return (
        f"trials of this run were measured with {' and '.join(others)}, new ones are with "
        f"{kernels}: their flash, RAM and cycles do not compare; another run folder (--run) has "
        "one kind only"
    )


def keep_project(ref: TaskRef, folder: Path) -> None:
    """Keep the project that a new run is of in its folder (`hil.store.project_files`)."""
    if not isinstance(ref, Project) or kept_project(folder) is not None:
        return
    from compress.projects.opened import open_project

    opened = open_project(ref)
    save_project(folder, ref, opened.task, opened.facts)


def keep_diagnosis(original: Original, store: Store) -> Diagnosis:
    """The diagnosis of the original network, kept with the run.

    Raises UserError if the trials of the run were judged by another metric.
    """
    diagnosis, before = diagnose(original), read_diagnosis(store.folder)
    if before is not None and store.next_number() > 1 and before.metric != diagnosis.metric:
        raise UserError(
            f"the trials of {store.folder} are judged by {before.metric.title}, task "
            f"{original.task.name} asks for {diagnosis.metric.title} now (or its data gave another "
            "best constant answer): they do not compare; choose another run folder, or restore the "
            "former metric"
        )
    check_same_judged(store, original, diagnosis.accuracy)
    save_diagnosis(store.folder, diagnosis)
    store.set_original_accuracy("val", diagnosis.accuracy)
    return diagnosis


def original_line(original: Original, diagnosis: Diagnosis) -> str:
    """The float network's metric before the search, where its weights are from, how exact it is."""
    given = original.task.pretrained is not None
    return (
        f"float network, {'weights as given' if given else 'trained for this run'}: "
        f"{diagnosis.named(diagnosis.accuracy)} on {len(original.judged):,} validation samples; "
        "a difference of two such networks has a standard error of at most "
        f"{diagnosis.difference_words}"
    )


def settled_goal(goal: Goal, diagnosis: Diagnosis, store: Store) -> Goal:
    """The goal whose floor follows from the float network, as the session has it from now on."""
    settled = goal.settled(diagnosis.metric, diagnosis.float_value)
    if settled != goal:
        store.settle_goal(settled.accuracy, settled.to_json())
    return settled


def open_pool(settings: Settings, start: Start) -> Pool:
    """Open this machine's worker processes, or connect to the farm.

    Raises UserError if no worker of the farm has the board.
    """
    if settings.farm is None:
        return LocalPool(settings.processes, start.open)
    from hil.farm.pool import FarmPool  # importing Dask takes a second

    pool = FarmPool(settings.farm, start)
    note(pool.words)
    return pool


def check_prerequisites(settings: Settings) -> None:
    """Check that tools, board and farm are there. Raises UserError or ProbeLost."""
    board = settings.goal.board
    if settings.farm is None:
        check_reachable(board)
        return
    provenance(board, settings.seed)  # raises if this machine lacks compiler or emulator
    from hil.farm.pool import check_farm  # importing Dask takes a second

    check_farm(settings.farm, board.name)


def trials_missing_finals(store: Store, goal: Goal) -> list[Trial]:
    """The trials that the report shows and that have no accuracy on the test split yet.

    The report shows the feasible front, the baseline and the chosen trial. The chosen trial is
    also listed if its network file is missing, since that file is exported.
    """
    trials, base = store.trials(fidelity=1.0), store.find(baseline())
    best = chosen_trial(goal.candidates(trials, base), goal, read_pick(store.folder))
    shown = {t.number: t for t in (*feasible_front(trials, goal), base, best) if t}
    finished = {final.number for final in store.finals()}
    if best is not None and not network_path(store.folder, best.number).is_file():
        finished.discard(best.number)
    return [t for n, t in sorted(shown.items()) if t.measurement and n not in finished]
