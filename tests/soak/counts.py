"""The counts of a commit in a JSON file, which sessions add to."""

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
    """Tallies by disturbance, with the commit, the machine and the seeds of the sessions."""

    path: Path
    commit: str
    machine: str
    seeds: list[int]
    tallies: dict[str, Tally] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, seed: int) -> Counts:
        """The counts in a file, or new ones; those of another commit are replaced."""
        source = provenance(load_board("m3"), seed)
        commit = f"{source.git_sha}{' with changes' if source.dirty else ''}"
        cores = len(os.sched_getaffinity(0))
        machine = f"{source.processor}, {cores} cores; {source.emulator}; Python {source.python}"
        known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        if known.get("commit") != commit:
            return cls(path, commit, machine, [seed])
        tallies = {name: Tally.from_json(one) for name, one in known["tallies"].items()}
        return cls(path, commit, machine, [*known["seeds"], seed], tallies)

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
        self.path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
