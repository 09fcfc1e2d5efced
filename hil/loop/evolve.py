"""START HERE. One search: a DEAP loop over genomes, every candidate measured on the board.

task -> genome -> quantized model -> plan -> program -> image -> measurement -> trial, again and
again: `search` is the loop, `hil.trial.candidate.try_proposal` is what happens to one genome.
"""

from dataclasses import dataclass
from pathlib import Path

from compress.space.recipes import baseline
from compress.tasks import get_task
from hil.board import board_sha256
from hil.energy.machine_energy import EnergyBudget
from hil.loop.batch import run_batch
from hil.loop.finals import measure_finals
from hil.loop.progress import SearchProgress
from hil.loop.stop import StopRule, feasible_front
from hil.measure.provenance import provenance
from hil.objective.goal import Goal
from hil.search.registry import open_engine
from hil.store.run_folder import network_path
from hil.store.store import RunIdentity, Store
from hil.target.open import check_reachable
from hil.trial.pool import LocalPool, Pool
from hil.trial.start import Start, check_feasible, check_has_original
from hil.types import Trial


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user asks for.

    The search stops when the goal is met and the front has not improved for `patience_trials`,
    or when `trials`, `minutes` or `energy` (what this machine draws) are used up. `farm` is the
    address of a farm's scheduler, whose machines then do the work instead of `processes` of this
    one.
    """

    task: str
    goal: Goal
    folder: Path
    trials: int
    minutes: float
    seed: int = 0
    engine: str = "adaptive"
    energy: EnergyBudget | None = None
    patience_trials: int = 60
    processes: int = 2
    farm: str | None = None


def evolve(settings: Settings) -> str:
    """Search until a stop rule holds and return which; what was found is in the run's store.

    Raises UserError before any work is lost, BenchError and Mismatch with everything saved.
    """
    goal, board = settings.goal, settings.goal.board
    check_prerequisites(settings)
    processes = settings.processes if settings.farm is None else 0
    identity = RunIdentity(settings.task, board.name, settings.seed, board_sha256(board))
    with Store.open(settings.folder, identity) as store:
        check_has_original(store)
        if not feasible_front(store.trials(fidelity=1.0), goal):
            check_feasible(get_task(settings.task), goal)
        store.begin_session(goal.accuracy, settings.engine, goal.to_json(), processes)
        rule = StopRule(settings, goal, settings.energy)
        reason = rule.reason(store)
        try:
            if not reason or trials_missing_finals(store, goal):
                reason = search(settings, store, rule)
        except KeyboardInterrupt:
            reason = "interrupt"
        rule.note_energy(store)
        store.end_session(reason)
    return reason


def check_prerequisites(settings: Settings) -> None:
    """Raises UserError or ProbeLost if a tool, the board or the farm is missing."""
    board = settings.goal.board
    if settings.farm is None:
        check_reachable(board)
        return
    provenance(board, settings.seed)  # of the searching machine: it tells compiler and emulator
    from hil.farm.pool import check_farm  # Dask takes a second to import

    check_farm(settings.farm, board.name)


def search(settings: Settings, store: Store, rule: StopRule) -> str:
    """Batch after batch: asked of the engine, tried by the pool, told back."""
    goal = settings.goal
    start = Start.prepare(settings.task, goal.board, settings.seed, settings.folder)
    with open_pool(settings, start) as pool, SearchProgress(settings, goal) as progress:
        engine = open_engine(settings.engine, start.original(), goal, settings.seed)
        while not (reason := rule.reason(store)):
            trials = run_batch(engine.ask(), store, pool, rule, progress)
            engine.tell(trials)
            rule.batch_ended(trials)
        # Once it has ended: this takes time, but none of the budget.
        measure_finals(trials_missing_finals(store, goal), store, pool, progress.show)
    return reason


def open_pool(settings: Settings, start: Start) -> Pool:
    """This machine's processes, or a farm. Raises UserError for a farm without the board."""
    if settings.farm is None:
        return LocalPool(settings.processes, start.open)
    from hil.farm.pool import FarmPool

    return FarmPool(settings.farm, start)


def trials_missing_finals(store: Store, goal: Goal) -> list[Trial]:
    """Trials that the report shows without figures on the test split; the chosen one also where
    its network, which is to be exported, is missing."""
    trials, base = store.trials(fidelity=1.0), store.find(baseline())
    best = goal.best(trials, base)
    shown = {t.number: t for t in (*feasible_front(trials, goal), base, best) if t}
    finished = {final.number for final in store.finals()}
    if best is not None and not network_path(store.folder, best.number).is_file():
        finished.discard(best.number)
    return [t for n, t in sorted(shown.items()) if t.measurement and n not in finished]
