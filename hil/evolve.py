"""START HERE. One search: a DEAP loop over genomes, every candidate measured on the board.

task -> genome -> quantized model -> plan -> program -> image -> measurement -> trial, again and
again: `evolve` is the loop, `hil.candidate.try_genome` is what happens to one genome.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from compress.errors import OverBudget, UnsupportedLayer, UserError
from compress.network import space_of, train_original
from compress.pipeline import prefix_cache
from compress.recipes import baseline
from compress.tasks import get_task
from compress.types import Task
from hil.board import board_sha256, load_board, without_limits
from hil.candidate import Context, final_figures, smallest, try_genome
from hil.measure import Bench
from hil.pareto import front
from hil.progress import SearchProgress, training_progress
from hil.provenance import provenance
from hil.search import Limits, Nsga2, growth
from hil.store import RunIdentity, Store
from hil.targets import check_reachable, open_target
from hil.types import Board, Trial
from hil.workers import Workers, result_of


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user asks for; `accuracy` is the floor, as a share of 1.

    Without `limits` candidates may fill the board's memories instead of what its file allows.
    The search stops when the floor is met and the front has not improved for `patience`
    generations of `population` trials, or when `trials` or `minutes` are used up.
    """

    task: str
    board: str
    folder: Path
    accuracy: float
    trials: int
    minutes: float
    seed: int = 0
    population: int = 12
    patience: int = 5
    processes: int = 2
    limits: bool = True


def evolve(settings: Settings) -> str:
    """Search until a stop rule holds and return which; what was found is in the run's store.

    Raises UserError before any work is lost, BenchError and Mismatch with everything saved.
    """
    board = load_board(settings.board)
    board = board if settings.limits else without_limits(board)
    check_reachable(board)
    identity = RunIdentity(settings.task, board.name, settings.seed, board_sha256(board))
    with Store.open(settings.folder, identity) as store:
        store.begin_session(settings.accuracy)
        rule = StopRule(settings, Limits.of(board, settings.accuracy))
        reason = rule.reason(store)
        try:
            if not reason or finals_missing(store, rule.limits):
                reason = search(settings, board, store, rule)
        except KeyboardInterrupt:
            reason = "interrupt"
        store.end_session(reason)
    return reason


def search(settings: Settings, board: Board, store: Store, rule: "StopRule") -> str:
    """Generation after generation, each asked of the engine, tried by the workers, told back."""
    check_feasible(get_task(settings.task), board)
    start = partial(open_context, settings, board)
    context = start()
    space = space_of(context.original)
    engine = Nsga2(space, rule.limits, settings.seed, settings.population)
    with Workers(settings.processes, start) as workers, SearchProgress(settings) as progress:
        while not rule.reason(store):
            trials = run_generation(engine, store, workers, rule, progress)
            engine.tell(trials)
            rule.generation_ended(trials)
        measure_finals(store, rule.limits, workers, progress)
    return rule.reason(store)


def run_generation(
    engine: Nsga2,
    store: Store,
    workers: Workers,
    rule: "StopRule",
    progress: SearchProgress,
) -> list[Trial]:
    """Trials of the next generation, in its order: from the store, or run now and stored.

    Stops starting new ones when the budget is used up, so the last generation may be short.
    """
    genomes = engine.ask()
    waiting = deque(genome for genome in genomes if store.find(genome) is None)
    number, running = store.next_number(), set[Future[Trial]]()
    while True:
        while waiting and len(running) < workers.count and rule.may_start(store, len(running)):
            running.add(workers.submit(try_genome, number, waiting.popleft()))
            number += 1
        if not running:
            break
        ended, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in ended:
            store.add(result_of(future))
        progress.update(store, engine.generation)
    return [trial for genome in genomes if (trial := store.find(genome))]


def measure_finals(
    store: Store, limits: Limits, workers: Workers, progress: SearchProgress
) -> None:
    """Run the networks that the report shows on the test split: once, at the end."""
    missing = finals_missing(store, limits)
    running = {workers.submit(final_figures, number) for number in missing}
    while running:
        ended, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in ended:
            store.add_final(result_of(future))
        progress.finals(len(missing) - len(running), len(missing))


def finals_missing(store: Store, limits: Limits) -> list[int]:
    """Numbers of the front's and the baseline's trials without figures on the test split."""
    done = {final.number for final in store.finals()}
    shown = [*feasible_front(store.trials(), limits), store.find(baseline())]
    return sorted({t.number for t in shown if t and t.measurement and t.number not in done})


class StopRule:
    """When the search ends, and why."""

    def __init__(self, settings: Settings, limits: Limits) -> None:
        self.settings = settings
        self.limits = limits
        self.idle_generations = 0
        self.told: list[Trial] = []

    def generation_ended(self, trials: Sequence[Trial]) -> None:
        """Note whether these trials improved the front: its hypervolume by over a thousandth."""
        before = feasible_front(self.told, self.limits)
        self.told += trials
        after = feasible_front(self.told, self.limits)
        idle = bool(before) and growth(before, after) <= 0.001
        self.idle_generations = self.idle_generations + 1 if idle else 0

    def may_start(self, store: Store, running: int) -> bool:
        """Whether the budget allows one more trial beside those running."""
        return (
            store.count() + running < self.settings.trials
            and store.used_minutes() < self.settings.minutes
        )

    def reason(self, store: Store) -> str:
        """'target', 'trials' or 'minutes'; empty while the search goes on."""
        if store.count() >= self.settings.trials:
            return "trials"
        if store.used_minutes() >= self.settings.minutes:
            return "minutes"
        return "target" if self.idle_generations >= self.settings.patience else ""


def feasible_front(trials: Iterable[Trial], limits: Limits) -> tuple[Trial, ...]:
    """Non-dominated trials among those that keep every limit."""
    return front(trial for trial in trials if limits.violation(trial) == 0.0)


def open_context(settings: Settings, board: Board) -> Context:
    """What this process needs to try candidates; trains the original network if none has yet."""
    task = get_task(settings.task)
    origin = provenance(board, settings.seed)
    with training_progress(f"training {task.name}") as tick:
        original = train_original(
            task, task.load(), settings.seed, settings.folder / "original.pt", tick
        )
    bench = Bench(board, open_target)
    return Context(original, board, bench, settings.folder, origin, prefix_cache(original))


def check_feasible(task: Task, board: Board) -> None:
    """Raises UserError where no candidate can work: an unsupported layer, too small a board."""
    try:
        image = smallest(task, board)
        needs = {"flash": image.flash.total, "RAM": image.ram.total}
        limits = {"flash": board.flash_limit_bytes, "RAM": board.ram_limit_bytes}
        for memory, limit in limits.items():
            if needs[memory] > limit:
                raise OverBudget(f"{needs[memory]} bytes of {memory}, the limit is {limit}")
    except UnsupportedLayer as error:
        raise UserError(f"task {task.name}: layer {error}") from error
    except OverBudget as error:
        raise UserError(
            f"board {board.name} is too small for task {task.name}: even the "
            f"narrowest network needs {error}; choose a larger board (hil boards)"
        ) from error
