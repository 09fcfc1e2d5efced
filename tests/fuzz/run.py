"""`make fuzz MINUTES=30`: every reader in turn, each in a process of its own with limits.

    python -m fuzz.run --minutes 30 [--inputs 100000] [--target table] [--seed 7]
        [--found fuzz-found] [--write]

A reader gets its share of the minutes, and with `--inputs` no more inputs than that.
An input is a finding if its reader raises what it may not, or an error of more than one line, takes
more than 10 s of processor time, needs more than 4 GiB, or ends the process. It is kept in
`--found`, with its seed in the name. A row of a table has the figures of each reader; `--write`
adds them to those of docs/reliability.md. Exit code 1 if there is a finding.
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
from typing import Any

from fuzz.targets import TARGETS, Target, check
from soak import page

_INPUT_S = 10.0  # of processor time: a loaded machine is no hang
_MEMORY_BYTES = 4 << 30
_LIBRARIES_BYTES = 4 << 30  # of address space that torch and Arrow map and do not use
_GRACE_S = 600.0  # for a process to import its libraries, and to end, on a loaded machine


class TooLong(BaseException):
    """An input takes too long."""


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--inputs", type=int, default=1 << 62)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--target", choices=[target.name for target in TARGETS])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"))
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    chosen = [target for target in TARGETS if given.target in (None, target.name)]
    if given.child is not None:
        child(chosen[0], given.seed, given.child, given.inputs, given.found)
        return 0
    each_s = 60.0 * given.minutes / len(chosen)
    print(f"seed {given.seed}, {each_s:.0f} s for each of {len(chosen)} readers", flush=True)
    print("| reader | inputs | read | refused | findings |\n|---|---|---|---|---|", flush=True)
    findings = 0
    for target in chosen:
        figures = run(target, given.seed, each_s, given.inputs, given.found)
        findings += figures["findings"]
        if given.write:
            add_to_page(target.name, figures)
    return int(findings > 0)


def run(target: Target, seed: int, seconds: float, inputs: int, found: Path) -> dict[str, float]:
    """Run one reader in processes, a new one where one dies; print its row. Returns the figures."""
    ends: Counter[str] = Counter()
    findings, began, first = 0, time.monotonic(), seed
    while (left_s := began + seconds - time.monotonic()) > 0 and first < seed + inputs:
        command = [sys.executable, "-m", "fuzz.run", "--target", target.name]
        command += ["--seed", str(first), "--child", str(left_s), "--found", str(found)]
        command += ["--inputs", str(seed + inputs - first)]
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, timeout=left_s + _GRACE_S
            )
            lines, died = done.stdout.splitlines(), done.returncode != 0
        except subprocess.TimeoutExpired as error:
            lines, died = (error.stdout or b"").decode().splitlines(), True
        told: dict[str, Any] = {"ends": {}, "next": first, "findings": 0}
        if lines:
            told = json.loads(lines[-1])
        ends.update(told["ends"])
        findings += told["findings"]
        first = told["next"]
        if died:
            findings += 1
            keep(target, first, found, "the process ended")
            first += 1
    read = ends.pop("ok", 0)
    refused = sum(ends.values())
    count = read + refused + findings
    print(f"| {target.name} | {count:,} | {read:,} | {refused:,} | {findings} |", flush=True)
    return {
        "inputs": count,
        "read": read,
        "refused": refused,
        "findings": findings,
        "seconds": time.monotonic() - began,
    }


def add_to_page(name: str, figures: dict[str, float]) -> None:
    """Add the figures of a reader to those of former runs, and make the page anew."""
    known = json.loads(page.FUZZ.read_text()) if page.FUZZ.exists() else {}
    before = known.get(name, {})
    known[name] = {key: value + before.get(key, 0) for key, value in figures.items()}
    page.FUZZ.parent.mkdir(exist_ok=True)
    page.FUZZ.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    page.main()


def child(target: Target, seed: int, seconds: float, inputs: int, found: Path) -> None:
    """Read inputs from number `seed` on; before each, say on stdout what was found so far."""
    end = seed + inputs
    warnings.simplefilter("ignore")
    limit = _MEMORY_BYTES + _LIBRARIES_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGPROF, too_long)
    ends: Counter[str] = Counter()
    findings, until = 0, time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        while time.monotonic() < until and seed < end:
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
