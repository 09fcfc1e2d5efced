"""Signals to a search and its processes, and a second search beside it."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

from soak.processes import Process, send
from soak.scene import Place, Search


def _some_time(search: Search, rng: random.Random) -> bool:
    """Wait for a random moment after the first trial; False if the search ends before."""
    if not search.wait_for_trials(1):
        return False
    until = time.monotonic() + rng.uniform(0.0, 4.0)
    return search.wait(lambda: time.monotonic() > until)


def stop(kind: str, seconds: float | None) -> Callable[[Place, int, random.Random], Search]:
    """Stop a process of a kind, and let it go on after some seconds, if they are given."""

    def do(place: Place, trials: int, rng: random.Random) -> Search:
        search = Search(place, trials)
        if _some_time(search, rng):
            found = search.wait_for(kind)[:1]
            send(signal.SIGSTOP, *found)
            if seconds is not None:
                time.sleep(seconds)
                send(signal.SIGCONT, *found)
        search.end()
        return search

    return do


def stop_and_end(place: Place, trials: int, rng: random.Random) -> Search:
    """Stop a worker and end the search: it must not wait for it."""
    search = Search(place, trials)
    if _some_time(search, rng):
        send(signal.SIGSTOP, *search.wait_for("worker"))
        search.process.send_signal(signal.SIGTERM)
    search.end()
    return search


def interrupt(times: int) -> Callable[[Place, int, random.Random], Search]:
    """Ctrl-C at any moment, as a terminal does: to all processes."""

    def do(place: Place, trials: int, rng: random.Random) -> Search:
        search = Search(place, trials)
        until = time.monotonic() + rng.uniform(3.0, 40.0)
        search.wait(lambda: time.monotonic() > until)
        for _ in range(times):
            if not search.ended():
                os.killpg(search.process.pid, signal.SIGINT)
                time.sleep(rng.uniform(0.0, 0.5))
        search.end()
        return search

    return do


def terminate(place: Place, trials: int, rng: random.Random) -> Search:
    """SIGTERM to the search alone, as a service manager does."""
    search = Search(place, trials)
    if _some_time(search, rng):
        search.process.send_signal(signal.SIGTERM)
    search.end()
    return search


def hang_up(place: Place, trials: int, rng: random.Random) -> Search:
    """SIGHUP to all, as a terminal that is closed does."""
    search = Search(place, trials)
    if _some_time(search, rng):
        send(signal.SIGHUP, *(Process(one.pid, one.kind, 0) for one in search.look()))
    search.end()
    return search


def second(place: Place, trials: int, rng: random.Random) -> Search:
    """Another search of the same run must be refused, and the first not notice."""
    search = Search(place, trials)
    if search.wait_for_trials(1):
        other = Search(place, trials, told="stderr-2")
        other.end()
        if search.ended():  # perhaps before the other one looked
            return search
        if other.process.returncode != 2 or "another search is running" not in other.told:
            raise AssertionError(f"a second search was not refused: {other.told}")
    search.end()
    return search
