"""The values that a shell completes: names of boards, tasks and runs, found without slow imports.

A shell offers files by itself where no name begins with what was typed.
"""

from __future__ import annotations

from collections.abc import Iterable

from compress.tasks import TASK_NAMES
from hil.board import board_names
from hil.cli.commands import RUNS
from hil.store.store import STORE_FILE


def boards(incomplete: str) -> list[str]:
    """The names of boards that begin so."""
    return _beginning(incomplete, board_names())


def tasks(incomplete: str) -> list[str]:
    """The names of tasks that begin so."""
    return _beginning(incomplete, TASK_NAMES)


def runs(incomplete: str) -> list[str]:
    """The names of runs in runs/ that begin so."""
    return _beginning(incomplete, (path.parent.name for path in RUNS.glob(f"*/{STORE_FILE}")))


def models(incomplete: str) -> list[str]:
    """The names of tasks that begin so, and those of runs, before a trial's number."""
    return tasks(incomplete) + [f"{name}:" for name in runs(incomplete)]


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
