"""The common start of all processes of a search, and checks that the search can work at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from compress.errors import OverBudget, UnsupportedLayer, UserError
from compress.files import sync_file
from compress.pipeline.network import Original, check_net, original_of, train_original
from compress.pipeline.pipeline import prefix_cache
from compress.projects.find import TaskRef, find_task
from compress.training.data_check import check_data
from compress.training.learning_check import check_learned
from compress.types import Task
from hil.measure.measure import BoardRunner
from hil.measure.provenance import provenance
from hil.objective.goal import Goal
from hil.store.run_folder import original_path
from hil.store.store import Store
from hil.target.open import open_target, open_waiting_target
from hil.terminal import training_progress
from hil.trial.candidate import Context
from hil.trial.smallest import smallest_image
from hil.types import Board, Memory

# Samples whose answer another processor may turn by rounding floats otherwise.
_ROUNDED_SAMPLES = 2.5


@dataclass(frozen=True, slots=True)
class Start:
    """The start of a search as a value that can be sent to any process or machine.

    `state_dict` is the trained original network, `folder` the run's folder on the machine that
    searches, in which failures are saved. A project is here with the text of its code files, which
    every process runs, whatever lies at their paths by then. `saves` is the memory that stored
    weights save, `ram_bytes` the RAM in which networks should fit, by default the board's limit.
    """

    task: TaskRef
    board: Board
    seed: int
    folder: Path
    state_dict: bytes
    saves: Memory = "flash"
    ram_bytes: int | None = None

    @classmethod
    def prepare(
        cls, task: TaskRef, board: Board, seed: int, folder: Path, saves: Memory = "flash"
    ) -> Self:
        """Load the original network from `folder`, or train it and save it there.

        The file is synced to disk, since no trial can be compared without it. Raises as
        `train_original`.
        """
        wanted, path = find_task(task), original_path(folder)
        with training_progress(f"training {wanted.name}", epochs=wanted.recipe.epochs) as tick:
            train_original(wanted, wanted.load(), seed, path, tick)
        sync_file(path)
        return cls(task, board, seed, folder, path.read_bytes(), saves)

    def original(self) -> Original:
        """The task with its data and its trained network, loaded again on each call."""
        task = self.task_of_this_process()
        return original_of(task, task.load(), self.seed, self.state_dict)

    def task_of_this_process(self) -> Task:
        """The task, made here from the text that the start has, or found by its name."""
        return find_task(self.task)

    def open(self) -> Context:
        """The context of this process. The board is opened when it is first needed."""
        original = self.original()
        return Context(
            original=original,
            board=self.board,
            runner=BoardRunner(self.board, open_target, open_waiting_target),
            folder=self.folder,
            provenance=provenance(self.board, self.seed, self.saves),
            cache=prefix_cache(original),
            ram_bytes=self.ram_bytes,
        )


def check_has_original(store: Store) -> None:
    """Check that a run with trials has its original network. Raises UserError.

    A network trained again may differ, and trials of two original networks are not comparable.
    """
    path = original_path(store.folder)
    if store.next_number() > 1 and not path.is_file():
        raise UserError(
            f"{path} is missing: it is the original network, from which all trials of this run "
            "started; copy it from the run the trials come from, or import their table again with "
            "--original FILE.pt, or choose another run folder"
        )


def check_startable(task: Task) -> None:
    """Check the task's data and weights before a run is made. Raises UserError.

    Weights that the task brings must fit the network, and it must have learned something.
    """
    data = task.load()
    check_data(task, data)
    if task.pretrained is not None:
        module = task.net()
        task.pretrained(module)
        check_learned(task, data, module)


def check_feasible(task: Task, goal: Goal) -> None:
    """Check that at least the smallest candidate works on the board and within the limits.

    Raises UserError for a network that does not fit its task, an unsupported layer, or a board or
    limit that is too small.
    """
    board = goal.board
    check_net(task)
    try:
        image = smallest_image(task, board, goal.ram_bytes)
    except UnsupportedLayer as error:
        raise UserError(f"task {task.name}: layer {error}") from error
    except OverBudget as error:
        raise _too_small(task, board, str(error)) from error
    for memory, needs, asked, limit in (
        ("flash", image.flash.total, goal.flash_bytes, board.flash_limit_bytes),
        ("RAM", image.ram.total, goal.ram_bytes, board.ram_limit_bytes),
    ):
        if needs > limit:
            raise _too_small(task, board, f"{needs} bytes of {memory}, the limit is {limit}")
        if needs > asked:
            raise UserError(
                f"--max-{memory.lower()} {asked}: even the smallest network of task {task.name} "
                f"needs {needs} bytes of {memory} on board {board.name}; raise the limit to at "
                "least that"
            )


def _too_small(task: Task, board: Board, needs: str) -> UserError:
    return UserError(
        f"board {board.name} is too small for task {task.name}: even the "
        f"smallest network needs {needs}; choose a larger board (hil boards lists them)"
    )


def check_same_judged(store: Store, original: Original, share: float) -> None:
    """Check that trials of the run were judged on the samples that new ones will be judged on.

    The float network's accuracy `share` tells: on the same samples it is what the store has, but
    for floats that another processor rounds otherwise. Raises UserError.
    """
    before, count = store.original_accuracies().get("val"), len(original.judged)
    if before is None or math.isclose(before, share, abs_tol=_ROUNDED_SAMPLES / count):
        return
    scale = original.judge.scale
    then, now = (scale.text(scale.value(one), decimals=2) for one in (before, share))
    raise UserError(
        f"the trials of {store.folder} were judged on other validation samples than task "
        f"{original.task.name} has now: its float network had {then} on them and has {now} on the "
        f"{count:,} of today; they do not compare: choose another folder (--run, of a study "
        "--results), or use the version of hil that began it"
    )
