"""What every process of a search starts from, and whether the search can work at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from compress.errors import OverBudget, UnsupportedLayer, UserError
from compress.files import sync_file
from compress.pipeline.network import Original, check_net, original_of, train_original
from compress.pipeline.pipeline import prefix_cache
from compress.tasks import get_task
from compress.types import Task
from hil.measure.measure import BoardRunner
from hil.measure.provenance import provenance
from hil.objective.goal import Goal
from hil.store.run_folder import original_path
from hil.store.store import Store
from hil.target.open import open_target
from hil.terminal import training_progress
from hil.trial.candidate import Context, smallest_image
from hil.types import Board


@dataclass(frozen=True, slots=True)
class Start:
    """The trained original, as `weights`, and where candidates are measured: a value to be sent.

    `folder` is the run's on the machine that searches; failures are saved there.
    """

    task: str
    board: Board
    seed: int
    folder: Path
    weights: bytes

    @classmethod
    def prepare(cls, task: str, board: Board, seed: int, folder: Path) -> Self:
        """Train the original network if `folder` has none yet.

        It is on the disk before any trial that needs it. Raises as `train_original`.
        """
        wanted, path = get_task(task), original_path(folder)
        with training_progress(f"training {task}") as tick:
            train_original(wanted, wanted.load(), seed, path, tick)
        sync_file(path)
        return cls(task, board, seed, folder, path.read_bytes())

    def original(self) -> Original:
        """The task with its data and its trained network, made anew."""
        task = get_task(self.task)
        return original_of(task, task.load(), self.seed, self.weights)

    def open(self) -> Context:
        """What this process needs to try candidates. The board is opened when first needed."""
        original = self.original()
        return Context(
            original,
            self.board,
            BoardRunner(self.board, open_target),
            self.folder,
            provenance(self.board, self.seed),
            prefix_cache(original),
        )


def check_has_original(store: Store) -> None:
    """Raises UserError for trials without the network that they all started from.

    One trained anew may be another, and trials of two do not compare.
    """
    path = original_path(store.folder)
    if store.next_number() > 1 and not path.is_file():
        raise UserError(
            f"{path} is missing, the network that this run's trials started from: copy it from "
            "the run they come from, or import their table again with --original FILE.pt, or "
            "search in another run folder"
        )


def check_feasible(task: Task, goal: Goal) -> None:
    """Raises UserError where no candidate can work: a network that does not fit its task, an
    unsupported layer, too small a board or limit."""
    board = goal.board
    check_net(task)
    try:
        image = smallest_image(task, board)
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
                f"--max-{memory.lower()} {asked}: even the narrowest network of task {task.name} "
                f"needs {needs} bytes of {memory} on board {board.name}; allow at least those"
            )


def _too_small(task: Task, board: Board, needs: str) -> UserError:
    return UserError(
        f"board {board.name} is too small for task {task.name}: even the "
        f"narrowest network needs {needs}; choose a larger board (hil boards)"
    )
