"""The share of a measurement's inferences that have run, for a listener that shows it."""

from __future__ import annotations

from collections.abc import Callable

Tick = Callable[[float], None]
"""Gets the share of some work that is done, 0..1."""


def no_tick(_: float) -> None:
    """Nobody listens."""


class Effort:
    """Counts what has run of `of` inferences, and tells the share.

    Those that model wait states count as `WAITING` each, since they take so much longer.
    """

    WAITING = 4

    def __init__(self, of: int, tick: Tick) -> None:
        self._of, self._ran, self._tick = of, 0, tick

    def ran(self, inferences: int, waiting: bool = False) -> None:
        """Tell the share after so many more; more than `of` are possible, as jobs are retried."""
        self._ran += inferences * (self.WAITING if waiting else 1)
        self._tick(min(1.0, self._ran / self._of))
