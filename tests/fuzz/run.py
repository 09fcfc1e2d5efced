"""`make fuzz MINUTES=30`: every reader in turn, each in a process of its own with limits.

    python -m fuzz.run --minutes 30 [--target table] [--seed 7] [--found fuzz-found]

An input is a finding if its reader raises what it may not, or an error of more than one line, takes
more than 10 s of processor time, needs more than 4 GiB, or ends the process. It is kept in
`--found`, with its seed in the name. A row of a table has the figures of each reader. Exit code 1
if there is a finding.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from types import FrameType

from fuzz.targets import TARGETS, Target, check

_INPUT_S = 10.0  # of processor time: a loaded machine is no hang
_MEMORY_BYTES = 4 << 30
_LIBRARIES_BYTES = 4 << 30  # of address space that torch and Arrow map and do not use
_GRACE_S = 120.0  # for a process to import its libraries, and to end


class TooLong(BaseException):
    """An input takes too long."""


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--target", choices=[target.name for target in TARGETS])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"))
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    chosen = [target for target in TARGETS if given.target in (None, target.name)]
    if given.child is not None:
        child(chosen[0], given.seed, given.child, given.found)
        return 0
    each_s = 60.0 * given.minutes / len(chosen)
    print(f"seed {given.seed}, {each_s:.0f} s for each of {len(chosen)} readers", flush=True)
    print("| reader | inputs | read | refused | findings |\n|---|---|---|---|---|", flush=True)
    return max([run(target, given.seed, each_s, given.found) for target in chosen])


def run(target: Target, seed: int, seconds: float, found: Path) -> int:
    """Run one reader in processes, a new one where one dies; print its row. 1 for a finding."""
    ends: Counter[str] = Counter()
    findings, until, first = 0, time.monotonic() + seconds, seed
    while (left_s := until - time.monotonic()) > 0:
        command = [sys.executable, "-m", "fuzz.run", "--target", target.name]
        command += ["--seed", str(first), "--child", str(left_s), "--found", str(found)]
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, timeout=left_s + _GRACE_S
            )
            lines, died = done.stdout.splitlines(), done.returncode != 0
        except subprocess.TimeoutExpired as error:
            lines, died = (error.stdout or b"").decode().splitlines(), True
        told = json.loads(lines[-1]) if lines else {"ends": {}, "next": first, "findings": 0}
        ends.update(told["ends"])
        findings += told["findings"]
        first = told["next"] + 1
        if died:
            findings += 1
            keep(target, told["next"], found, "the process ended")
    read = ends.pop("ok", 0)
    refused = sum(ends.values())
    print(
        f"| {target.name} | {read + refused + findings:,} | {read:,} | {refused:,} | {findings} |",
        flush=True,
    )
    return int(findings > 0)


def child(target: Target, seed: int, seconds: float, found: Path) -> None:
    """Read inputs from number `seed` on; before each, say on stdout what was found so far."""
    warnings.simplefilter("ignore")
    limit = _MEMORY_BYTES + _LIBRARIES_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGPROF, too_long)
    ends: Counter[str] = Counter()
    findings, until = 0, time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        while time.monotonic() < until:
            os.write(1, _state(ends, seed, findings))
            signal.setitimer(signal.ITIMER_PROF, _INPUT_S)
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    ends[check(target, seed, Path(folder))] += 1
            except (Exception, TooLong):  # noqa: BLE001 (that is what is looked for)
                findings += 1
                keep(target, seed, found, traceback.format_exc())
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            seed += 1
    os.write(1, _state(ends, seed, findings))


def too_long(number: int, frame: FrameType | None) -> None:
    raise TooLong(f"more than {_INPUT_S:g} s")


def _state(ends: Counter[str], seed: int, findings: int) -> bytes:
    return json.dumps({"ends": ends, "next": seed, "findings": findings}).encode() + b"\n"


def keep(target: Target, seed: int, found: Path, why: str) -> None:
    """Write the input and what was wrong with it."""
    found.mkdir(parents=True, exist_ok=True)
    data = target.draw(random.Random(f"{target.name} {seed}"))
    (found / f"{target.name}-{seed}{target.suffix}").write_bytes(data)
    (found / f"{target.name}-{seed}.txt").write_text(why)


if __name__ == "__main__":
    sys.exit(main())
