"""docs/reliability.md, made of the counts of `make soak` and `make fuzz`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from helpers.checkout import ROOT
from soak.tally import Tally

SOAK = ROOT / "docs" / "reliability" / "soak.json"
FUZZ = ROOT / "docs" / "reliability" / "fuzz.json"
PAGE = ROOT / "docs" / "reliability.md"
TEMPLATE = Path(__file__).with_name("reliability.template.md")
KILL = "kill -9: "
TOO_LATE = f"{KILL}none"  # the search had ended
_ENDS = {"0": "done", "1": "traceback", "2": "the user's", "3": "the bench's", "4": "ours"}
_ENDS |= {"130": "Ctrl-C", "143": "SIGTERM", "-1": "hung up", "-9": "killed"}


def page(sessions: Sequence[Mapping[str, Any]], fuzz: Mapping[str, Mapping[str, int]]) -> str:
    """The page's text, from the contents of both files."""
    tallies: dict[str, Tally] = {}
    for session in sessions:
        for name, one in session["tallies"].items():
            tallies[name] = tallies.get(name, Tally()).merged(Tally.from_json(one))
    tried = {name: one for name, one in tallies.items() if one.times and name != TOO_LATE}
    late = tallies.get(TOO_LATE, Tally())
    everything = [*tried.values(), late]
    skipped = "; ".join(f"{name} ({one.skipped})" for name, one in tallies.items() if one.skipped)
    return TEMPLATE.read_text(encoding="utf-8").format(
        kills=sum(one.times for name, one in tried.items() if name.startswith(KILL)),
        times=sum(one.times for one in tried.values()),
        lost=sum(one.lost for one in everything),
        changed=sum(one.changed for one in everything),
        doubled=sum(one.doubled for one in everything),
        faults=sum(len(one.faults) for one in everything),
        sessions="; ".join(_session(one) for one in sessions),
        machines="; ".join(dict.fromkeys(one["machine"] for one in sessions)),
        rows="\n".join(_row(name, one) for name, one in sorted(tried.items())),
        told="".join(_told(sessions, name) for name in sorted(tried)),
        skipped=f"\nNot tried: {skipped}.\n" if skipped else "",
        fuzz="\n".join(_fuzz_row(name, one) for name, one in fuzz.items()),
    )


def _session(one: Mapping[str, Any]) -> str:
    commit = f"{one['commit'][:12]}{one['commit'][40:]}"
    return f"commit {commit}, seeds {', '.join(map(str, one['seeds']))}"


def _row(name: str, one: Tally) -> str:
    ends = ", ".join(f"{_ENDS.get(code, code)} {count}" for code, count in one.ends.items())
    return (
        f"| {name} | {one.times} | {one.lost} | {one.changed} | {one.doubled} | {ends} "
        f"| {one.longest_s:.0f} | {one.peak_bytes >> 20} | {len(one.faults)} |"
    )


def _told(sessions: Sequence[Mapping[str, Any]], name: str) -> str:
    """The other faults of a disturbance, a line each: what was said first, and what came later."""
    tallies = [Tally.from_json(one["tallies"].get(name, {})) for one in sessions]
    lines = []
    for number, (session, tally) in enumerate(zip(sessions, tallies, strict=True)):
        later = tallies[number + 1 :]
        times, faults = sum(one.times for one in later), sum(len(one.faults) for one in later)
        since = f"tried {times} more times in later sessions, {faults} with a fault"
        for fault in tally.faults:
            said = " ".join(fault.split())[:160]
            lines.append(f"- {name} (commit {session['commit'][:12]}; {since}): `{said}`\n")
    return "".join(lines)


def _fuzz_row(name: str, one: Mapping[str, int]) -> str:
    counts = (f"{one[kind]:,}" for kind in ("inputs", "read", "refused", "findings"))
    return f"| {name} | {' | '.join(counts)} |"


def main() -> None:
    """Write the page, if there are counts of both."""
    if SOAK.exists() and FUZZ.exists():
        soak, fuzz = (json.loads(path.read_text("utf-8")) for path in (SOAK, FUZZ))
        PAGE.write_text(page(soak, fuzz), encoding="utf-8")


if __name__ == "__main__":
    main()
