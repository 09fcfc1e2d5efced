"""A farm of processes beside a search, in one network or in two, and what is done to it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from helpers.certificates import make_certificates
from soak.processes import Process, end_all, processes_of, send
from soak.scene import Place, Search

_READY_S = 400.0  # for a worker on a loaded machine
_AWAY_S = 8.0
_LEAVE_S = 120.0
_STRANGER = """
import sys
from hil.cli.main import errors_as_lines
from hil.farm.pool import check_farm
with errors_as_lines():
    check_farm(sys.argv[1], "m3")
"""


@dataclass
class Farm:
    """A scheduler, and a worker that trains and has board m3.

    `here` and `there` are what commands begin with: in which network the scheduler and the search
    are, and in which one the worker is. `settings` are of all, certificates for example.
    """

    place: Place
    host: str = "127.0.0.1"
    here: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    address: str = ""

    def begin(self) -> None:
        told = self._start(self.here, "scheduler", "--port", "0", "--host", self.host)
        self.address = json.loads(told)["address"]
        self.work()

    def work(self) -> None:
        """Start a worker; returns when it has joined."""
        self._start(self.there, "worker", self.address, "--trainers", "1", "--board", "m3")

    def search(self, trials: int) -> Search:
        search = Search(
            self.place, trials, "--farm", self.address, settings=self.settings, under=self.here
        )
        search.others.append(self.place.root / "farm-stderr")
        return search

    def end(self) -> None:
        """Let the worker and then the scheduler leave, as by Ctrl-C. Raises AssertionError."""
        for kind in ("bench", "scheduler"):
            send(signal.SIGINT, *self.of_kind(kind))
            until = time.monotonic() + _LEAVE_S
            while (left := self.of_kind(kind)) and time.monotonic() < until:
                time.sleep(0.2)
            if left:
                raise AssertionError(f"the farm's {kind} does not leave")

    def of_kind(self, kind: str) -> list[Process]:
        return [one for one in processes_of(self.place.root) if one.kind == kind]

    def refuses_strangers(self) -> str:
        """ "" if who has no certificate is refused; otherwise what was said to it."""
        done = subprocess.run(
            [*self.there, sys.executable, "-c", _STRANGER, self.address],
            env=self.place.environment,
            capture_output=True,
            text=True,
            timeout=_READY_S,
        )
        refused = (
            done.returncode == 2 and "no farm at" in done.stderr and "\n" not in done.stderr[:-1]
        )
        return "" if refused else f"exit code {done.returncode}: {done.stderr}"

    def _start(self, network: tuple[str, ...], *arguments: str) -> str:
        """Start `hil farm`; returns its first line, once it is ready."""
        with (self.place.root / "farm-stderr").open("ab") as errors:
            process = subprocess.Popen(
                [*network, sys.executable, "-m", "hil", "farm", *arguments, "--json"],
                cwd=self.place.root,
                env={**self.place.environment, **self.settings},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"hil farm {arguments[0]} ended with {process.wait()}")
        return line


Deed = Callable[[Farm], None]


def on_a_farm(deed: Deed) -> Callable[[Place, int, random.Random], Search]:
    """A search on a farm of one machine; after its first trial the deed is done."""

    def do(place: Place, trials: int, rng: random.Random) -> Search:
        return _disturbed(Farm(place), trials, rng, deed)

    return do


def between_networks(deed: Deed) -> Callable[[Place, int, random.Random], Search]:
    """The same with TLS, the worker in another network than scheduler and search."""

    def do(place: Place, trials: int, rng: random.Random) -> Search:
        settings = make_certificates(place.root)
        with networks() as (here, there):
            farm = Farm(place, f"tls://{_HERE}", here, there, settings)
            return _disturbed(farm, trials, rng, deed)

    return do


def _disturbed(farm: Farm, trials: int, rng: random.Random, deed: Deed) -> Search:
    try:
        farm.begin()
        search = farm.search(trials)
        if search.wait_for_trials(1):
            time.sleep(rng.uniform(0.0, 4.0))
            deed(farm)
        search.end()
        farm.end()
    finally:
        end_all(farm.place.root)
        farm.place.forget_semaphores()  # Dask's, of processes that were killed
    return search


def nothing(farm: Farm) -> None:
    """A search that is not disturbed; a stranger is refused meanwhile."""
    if farm.settings and (told := farm.refuses_strangers()):
        raise AssertionError(f"who has no certificate is not refused: {told}")


def kill_worker(farm: Farm) -> None:
    """Kill a worker's processes, as a node that loses power; another one joins."""
    for one in farm.of_kind("bench"):
        os.killpg(one.pid, signal.SIGKILL)
    farm.work()


def restart_worker(farm: Farm) -> None:
    """A worker leaves, as by Ctrl-C, and joins again."""
    for one in farm.of_kind("bench"):
        os.killpg(one.pid, signal.SIGINT)
    farm.work()


def kill_process(farm: Farm) -> None:
    """Kill the process in which a worker trains: it is replaced."""
    send(signal.SIGKILL, *farm.of_kind("worker")[:1])


def kill_scheduler(farm: Farm) -> None:
    send(signal.SIGKILL, *farm.of_kind("scheduler"))


def stop_scheduler(farm: Farm) -> None:
    """Stop the scheduler for some seconds."""
    found = farm.of_kind("scheduler")
    send(signal.SIGSTOP, *found)
    time.sleep(_AWAY_S)
    send(signal.SIGCONT, *found)


def cut(farm: Farm) -> None:
    """Cut the cable between both networks for some seconds."""
    _ip(*_LINK, "down")
    time.sleep(_AWAY_S)
    _ip(*_LINK, "up")


_HERE, _THERE = "10.231.77.1", "10.231.77.2"
_NAMES = (f"soak-{os.getpid()}-a", f"soak-{os.getpid()}-b")
_LINK = ("-n", _NAMES[0], "link", "set", "cable")


@contextmanager
def networks() -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Two network namespaces with a cable; what commands in each begin with."""
    try:
        for name in _NAMES:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        ends = ("name", "cable", "netns", _NAMES[1])
        _ip("-n", _NAMES[0], "link", "add", "cable", "type", "veth", "peer", *ends)
        for name, address in zip(_NAMES, (_HERE, _THERE), strict=True):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            _ip("-n", name, "link", "set", "cable", "up")
        here, there = (("ip", "netns", "exec", name) for name in _NAMES)
        yield here, there
    finally:
        for name in _NAMES:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
