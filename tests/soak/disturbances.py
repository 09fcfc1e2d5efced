"""What is done to a search, and which exit codes may come of it."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from soak import clocks, disks, farms, limits, signals
from soak.processes import end_all
from soak.scene import (
    OWN_MOUNTS,
    RUN,
    Hang,
    Outcome,
    Place,
    Rows,
    Search,
    check_against,
    check_end,
)

# A disturbance starts a search in a place, for `trials` in all, disturbs it, and waits for its end.
Do = Callable[[Place, int, random.Random], Search]

TEMPLATE_TRIALS = 2
TRIALS = TEMPLATE_TRIALS + 3
FINE = frozenset({0})
BY_USER = frozenset({0, 130, 143})  # with what was found, or before there was something
ENVIRONMENT = frozenset({0, 2})
BENCH = frozenset({0, 3})
LIMITED = frozenset({0, 2, 4})


@dataclass(frozen=True, slots=True)
class Disturbance:
    """`allowed` are exit codes; `gone` says that the run is removed, and begins anew."""

    name: str
    do: Do
    allowed: frozenset[int] = FINE
    needs_root: bool = False
    gone: bool = False

    def missing(self) -> str:
        """Why it cannot be tried here; "" if it can."""
        if self.needs_root and OWN_MOUNTS not in os.environ:
            return "needs root and unshare"
        if self.do.__module__ == farms.__name__ and shutil.which("openssl") is None:
            return "needs openssl"
        if self.name.startswith("two networks") and shutil.which("ip") is None:
            return "needs ip (iproute2)"
        if self.do.__module__ == clocks.__name__ and shutil.which("cc") is None:
            return "needs a C compiler"
        if self.do is limits.few_processes and not limits.others_can_run():
            return "needs a Python that other users may run"
        return ""


DISTURBANCES = (
    Disturbance("SIGSTOP, SIGCONT: the search", signals.stop("main", 5.0)),
    Disturbance("SIGSTOP, SIGCONT: a worker", signals.stop("worker", 5.0)),
    Disturbance("SIGSTOP, SIGCONT: the emulator", signals.stop("emulator", 3.0)),
    Disturbance(
        "SIGSTOP: the emulator, for good", signals.stop("emulator", None), frozenset({0, 3})
    ),
    Disturbance("SIGSTOP: a worker, then SIGTERM", signals.stop_and_end, BY_USER),
    Disturbance("Ctrl-C", signals.interrupt(1), BY_USER),
    Disturbance("Ctrl-C, five times", signals.interrupt(5), BY_USER),
    Disturbance("SIGTERM", signals.terminate, BY_USER),
    Disturbance("SIGHUP: the terminal closes", signals.hang_up, frozenset({0, -1})),
    Disturbance("a second search of the same run", signals.second, FINE),
    Disturbance("the store is locked for 10 s", disks.locked_store, ENVIRONMENT),
    Disturbance("full disk: the run", disks.full("work"), ENVIRONMENT, needs_root=True),
    Disturbance("full disk: the cache", disks.full("cache"), ENVIRONMENT, needs_root=True),
    Disturbance("full disk: $TMPDIR", disks.full("tmp"), ENVIRONMENT, needs_root=True),
    Disturbance("read-only: the run", disks.read_only("work"), ENVIRONMENT, needs_root=True),
    Disturbance("read-only: the cache", disks.read_only("cache"), ENVIRONMENT, needs_root=True),
    Disturbance("read-only: $TMPDIR", disks.read_only("tmp"), ENVIRONMENT, needs_root=True),
    Disturbance("deleted: the run", disks.deleted("work"), ENVIRONMENT, gone=True),
    Disturbance("deleted: the cache", disks.deleted("cache"), ENVIRONMENT),
    Disturbance("deleted: $TMPDIR", disks.deleted("tmp"), ENVIRONMENT),
    Disturbance("the clock: a year ahead", clocks.jump(365 * 86400.0)),
    Disturbance("the clock: a year back", clocks.jump(-365 * 86400.0)),
    Disturbance("the clock: to and fro", clocks.to_and_fro),
    Disturbance("few files open (RLIMIT_NOFILE)", limits.few_files, LIMITED),
    Disturbance("little address space (RLIMIT_AS)", limits.little_memory, LIMITED),
    Disturbance("few processes (RLIMIT_NPROC)", limits.few_processes, LIMITED, needs_root=True),
    Disturbance("small files (RLIMIT_FSIZE)", limits.small_files, LIMITED),
    Disturbance("a farm: nothing", farms.on_a_farm(farms.nothing)),
    Disturbance("a farm: a node dies", farms.on_a_farm(farms.kill_worker)),
    Disturbance("a farm: a node restarts", farms.on_a_farm(farms.restart_worker)),
    Disturbance("a farm: a worker process dies", farms.on_a_farm(farms.kill_process)),
    Disturbance("a farm: the scheduler dies", farms.on_a_farm(farms.kill_scheduler), BENCH),
    Disturbance("a farm: the scheduler stops for 8 s", farms.on_a_farm(farms.stop_scheduler)),
    Disturbance("two networks, TLS: nothing", farms.between_networks(farms.nothing), FINE, True),
    Disturbance("two networks, TLS: cut for 8 s", farms.between_networks(farms.cut), FINE, True),
)


def run_one(
    one: Disturbance, template: Place, root: Path, reference: Rows, rng: random.Random
) -> Outcome:
    """A copy of the template's run, disturbed, and then resumed without disturbance."""
    place = Place.copy(template, root)
    outcome = Outcome()
    try:
        search = one.do(place, TRIALS, rng)
        if one.gone:
            search.before = {}
        disks.repair(place)  # a store on a read-only disk may be unreadable, too
        check_end(outcome, search, one.allowed)
        resume(outcome, place, reference)
    except Hang as hang:
        outcome.faults.append(f"hang: {hang}")
    except AssertionError as error:
        outcome.faults.append(str(error))
    finally:
        end_all(place.root)
        disks.unmount(place)
    return outcome


def resume(outcome: Outcome, place: Place, reference: Rows) -> None:
    """Run to the end, without disturbance; check the trials and what is left behind."""
    search = Search(place, TRIALS)
    search.end()
    check_end(outcome, search, FINE)
    check_against(outcome, place, reference)
    if len(place.rows()) != TRIALS:
        outcome.faults.append(f"{len(place.rows())} trials in {RUN}, not {TRIALS}")
    if left := place.scratch():
        outcome.faults.append(f"left behind: {left}")
