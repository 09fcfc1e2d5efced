"""Random kills: the search, all of its processes, or one of them, at random moments."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

from soak.processes import Process, end_all, send
from soak.scene import Hang, Outcome, Place, Rows, Search, check_against, check_end

TRIALS = 24  # of a run, which is killed until it has them
KILLED = -signal.SIGKILL
# What ends the search itself, and how often each is chosen. The others may end it or not.
_ENDS_IT = ("main", "group")
_VICTIMS = {"main": 6, "group": 3, "worker": 4, "emulator": 2, "compiler": 1, "judge": 1}
_VICTIMS |= {"tracker": 1}
# A killed worker, compiler or emulator is told as what it is, or the search goes on without it.
# A search that has all of its trials at that moment ends as it does.
_ALLOWED = {
    "main": frozenset({KILLED, 0}),
    "group": frozenset({KILLED, 0}),
    "worker": frozenset({4, KILLED, 0}),
    "emulator": frozenset({3, KILLED, 0}),
    "compiler": frozenset({2, KILLED, 0}),
    "judge": frozenset({KILLED, 0}),
    "tracker": frozenset({KILLED, 0}),
    "none": frozenset({0}),
}


@dataclass
class Pace:
    """How long a start and a trial take here, as seen last: kills fall anywhere within them."""

    start_s: float = 20.0
    trial_s: float = 5.0


def kills(
    place: Place, reference: Rows, rng: random.Random, until: float
) -> Iterator[tuple[str, Outcome, float]]:
    """Kill a run in `place` again and again until it has `TRIALS` trials, or the time is over.

    Yields after each kill the victim, the outcome and the seconds since the start.
    """
    pace = Pace()
    while time.monotonic() < until:
        search = Search(place, TRIALS)
        try:
            victim, outcome = _one(search, rng, pace)
        except Hang as hang:
            victim, outcome = "hang", Outcome(faults=[str(hang)])
        finally:
            end_all(place.root)
            search.process.wait()
        check_end(outcome, search, _ALLOWED.get(victim, _ALLOWED["main"]))
        seconds = time.monotonic() - search.began
        if search.process.returncode == 0:
            check_against(outcome, place, reference)
            if len(place.rows()) < TRIALS:
                outcome.faults.append(f"ended with {len(place.rows())} trials of {TRIALS}")
            if left := place.scratch():
                outcome.faults.append(f"left behind: {left}")
            yield victim, outcome, seconds
            return
        yield victim, outcome, seconds


def _one(search: Search, rng: random.Random, pace: Pace) -> tuple[str, Outcome]:
    """Wait for a random moment, and kill a random victim; its name, "none" if it was too late."""
    commits = rng.choice((0, 0, 0, 1, 1, 2))
    if commits == 0:
        moment_s = rng.uniform(0.0, 1.2 * pace.start_s)
    else:
        if not search.wait_for_trials(1):
            return "none", Outcome()
        pace.start_s = time.monotonic() - search.began
        search.wait_for_trials(commits)
        if commits > 1:
            pace.trial_s = (time.monotonic() - search.began - pace.start_s) / (commits - 1)
        moment_s = rng.uniform(0.0, 1.2 * pace.trial_s)
    until = time.monotonic() + moment_s
    search.wait(lambda: time.monotonic() > until)
    chosen = rng.choices(list(_VICTIMS), list(_VICTIMS.values()))[0]
    victims = _victims(search, chosen, rng)
    if search.ended():
        return "none", Outcome()
    send(signal.SIGKILL, *victims)
    if chosen not in _ENDS_IT:
        had = len(search.place.rows())
        search.wait(lambda: len(search.place.rows()) > had)
        if not search.ended():
            search.kill()
    search.end()
    return chosen, Outcome()


def _victims(search: Search, chosen: str, rng: random.Random) -> list[Process]:
    """The processes to kill; of a kind that lives for moments, the next one that appears."""
    if chosen == "main":
        return [Process(search.process.pid, "main", 0)]
    if chosen == "group":
        return search.look()
    found = search.wait_for(chosen)
    return [rng.choice(found)] if found else []
