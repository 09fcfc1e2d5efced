"""The counts of sessions of `soak` in a JSON file, one entry for each commit."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hil.board import load_board
from hil.measure.provenance import provenance
from soak.scene import Outcome
from soak.tally import Tally


@dataclass
class Counts:
    """Tallies by disturbance of one commit, with the machine and the seeds of the sessions.

    `others` are the entries of other commits, as they are in the file.
    """

    path: Path
    others: list[dict[str, Any]]
    commit: str
    machine: str
    seeds: list[int]
    tallies: dict[str, Tally] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, seed: int) -> Counts:
        """This commit's counts in a file, or new ones."""
        source = provenance(load_board("m3"), seed)
        commit = f"{source.git_sha}{' with changes' if source.dirty else ''}"
        cores = len(os.sched_getaffinity(0))
        machine = f"{source.processor}, {cores} cores; {source.emulator}; Python {source.python}"
        entries: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
        others = [one for one in entries if one["commit"] != commit]
        known = next((one for one in entries if one["commit"] == commit), None)
        if known is None:
            return cls(path, others, commit, machine, [seed])
        tallies = {name: Tally.from_json(one) for name, one in known["tallies"].items()}
        return cls(path, others, commit, machine, [*known["seeds"], seed], tallies)

    def add(self, name: str, outcome: Outcome, seconds: float) -> None:
        """Count one time, say it, and write the file: a session may be ended at any moment."""
        tally = self.tallies.setdefault(name, Tally())
        tally.add(outcome, seconds)
        what = "; ".join(outcome.faults) or "fine"
        codes = " ".join(map(str, outcome.exit_codes))
        print(f"{name} [{tally.times}]: {seconds:.0f} s, exit {codes}: {what}", flush=True)
        for kind in ("lost", "changed", "doubled"):
            if number := getattr(outcome, kind):
                print(f"  {number} trials {kind}", flush=True)
        self._write()

    def skip(self, name: str, reason: str) -> None:
        """Note why a disturbance was not tried."""
        tally = self.tallies.setdefault(name, Tally())
        if not tally.times and not tally.skipped:
            tally.skipped = reason
            print(f"{name}: skipped: {reason}", flush=True)
        self._write()

    @property
    def are_clean(self) -> bool:
        return all(tally.is_clean for tally in self.tallies.values())

    def _write(self) -> None:
        values = {
            "commit": self.commit,
            "machine": self.machine,
            "seeds": self.seeds,
            "tallies": {name: one.to_json() for name, one in sorted(self.tallies.items())},
        }
        self.path.parent.mkdir(exist_ok=True)
        text = json.dumps([*self.others, values], indent=1)
        self.path.write_text(f"{text}\n", encoding="utf-8")
