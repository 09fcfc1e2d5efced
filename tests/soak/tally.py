"""What a session of `soak` counts: for each disturbance how often, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from soak.scene import Outcome

_FOLDERS = re.compile(
    r"(?<![\w.])(?:/[\w.+-]+)+/(?=[\w.+-])"
)  # of this machine: of no use elsewhere


@dataclass
class Tally:
    """All times that one disturbance was tried. `skipped` says why it was not."""

    times: int = 0
    lost: int = 0
    changed: int = 0
    doubled: int = 0
    peak_bytes: int = 0
    longest_s: float = 0.0
    ends: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    skipped: str = ""

    def add(self, outcome: Outcome, seconds: float) -> None:
        """Count one time."""
        self.times += 1
        self.lost += outcome.lost
        self.changed += outcome.changed
        self.doubled += outcome.doubled
        self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
        self.longest_s = max(self.longest_s, seconds)
        self.faults += [_FOLDERS.sub("", fault) for fault in outcome.faults]
        for code in outcome.exit_codes:
            self.ends[str(code)] = self.ends.get(str(code), 0) + 1

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.changed or self.doubled or self.faults)

    def merged(self, other: Tally) -> Tally:
        """Both together: a session adds to what former ones counted."""
        ends = {code: self.ends.get(code, 0) + other.ends.get(code, 0) for code in
                sorted({*self.ends, *other.ends}, key=int)}  # fmt: skip
        return Tally(
            times=self.times + other.times,
            lost=self.lost + other.lost,
            changed=self.changed + other.changed,
            doubled=self.doubled + other.doubled,
            peak_bytes=max(self.peak_bytes, other.peak_bytes),
            longest_s=max(self.longest_s, other.longest_s),
            ends=ends,
            faults=[*self.faults, *other.faults],
            skipped="" if self.times or other.times else other.skipped or self.skipped,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Tally:
        return cls(**values)
