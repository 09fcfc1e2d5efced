"""`make soak MINUTES=30`: real searches, disturbed; docs/reliability.md is made of the counts.

    python -m soak.run --minutes 30 [--only kills] [--seed 7] [--write]

Half of the time goes to random kills, the rest to one disturbance after the other. Without
`--write` the counts go to soak-counts.json, with it to those of docs/reliability.md, which is made
anew. They are added to former ones of the same commit. As root (Linux), the program runs in
mount and network namespaces of its own, so that disks can be filled and networks be cut; otherwise
these are skipped. Exit code 1 if there is a fault.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from soak import page
from soak.counts import Counts
from soak.disturbances import DISTURBANCES, TEMPLATE_TRIALS, run_one
from soak.kills import TRIALS, kills
from soak.processes import end_all
from soak.scene import ESSENCE, OWN_MOUNTS, Place, Rows, Search


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--only", help="kills, or a regular expression of disturbances")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    into_namespaces()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing stays
    counts = Counts.open(page.SOAK if given.write else Path("soak-counts.json"), given.seed)
    print(f"seed {given.seed}", flush=True)
    until = time.monotonic() + 60.0 * given.minutes
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        root = Path(folder)
        try:
            template = Place.make(root / "template")
            undisturbed(template, TEMPLATE_TRIALS)
            reference = undisturbed(Place.make(root / "reference", template), TRIALS)
            rng = random.Random(given.seed)
            if given.only != "kills":
                run_disturbances(template, reference, rng, until, given.only, counts)
            if given.only in (None, "kills"):
                run_kills(template, reference, rng, until, counts)
        except KeyboardInterrupt:
            print("interrupted; the counts so far are kept", flush=True)
        finally:
            for place in root.iterdir():
                end_all(place)
    if given.write:
        page.main()
    return int(not counts.are_clean)


def into_namespaces() -> None:
    """Start this program again with mounts of its own, if it may: nothing stays mounted."""
    if OWN_MOUNTS not in os.environ:
        apart = ["unshare", "--mount", "--"]
        if shutil.which(apart[0]) is None or subprocess.run([*apart, "true"]).returncode:
            return
        command = [*apart, sys.executable, "-m", "soak.run", *sys.argv[1:]]
        os.execvpe(command[0], command, {**os.environ, OWN_MOUNTS: "1"})
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"], check=True)


def undisturbed(place: Place, trials: int) -> Rows:
    """The trials of a search that nothing disturbs, as `ESSENCE`."""
    search = Search(place, trials)
    if search.end() != 0:
        sys.exit(f"a search that nothing disturbs ends with {search.told}")
    return place.rows(ESSENCE)


def run_disturbances(
    template: Place,
    reference: Rows,
    rng: random.Random,
    until: float,
    only: str | None,
    counts: Counts,
) -> None:
    """Each disturbance in turn, until half of the time is used up."""
    half = time.monotonic() + (until - time.monotonic()) / (1.0 if only else 2.0)
    chosen = [one for one in DISTURBANCES if only is None or re.search(only, one.name)]
    number = 0
    while time.monotonic() < half:
        for one in chosen:
            if time.monotonic() > half:
                break
            if reason := one.missing():
                counts.skip(one.name, reason)
                continue
            number += 1
            root, began = template.root.with_name(f"place-{number}"), time.monotonic()
            outcome = run_one(one, template, root, reference, rng)
            counts.add(one.name, outcome, time.monotonic() - began)
            shutil.rmtree(root, ignore_errors=True)
        if not any(one.missing() == "" for one in chosen):
            break


def run_kills(
    template: Place, reference: Rows, rng: random.Random, until: float, counts: Counts
) -> None:
    """Runs, one after the other, that are killed until they are complete."""
    number = 0
    while time.monotonic() < until:
        number += 1
        place = Place.make(template.root.with_name(f"killed-{number}"), template)
        for victim, outcome, seconds in kills(place, reference, rng, until):
            counts.add(f"kill -9: {victim}", outcome, seconds)
        shutil.rmtree(place.root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
