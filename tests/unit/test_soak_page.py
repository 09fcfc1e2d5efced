"""The page of what was tried to break it: counts of sessions add up, and none is left out."""

from __future__ import annotations

from soak.page import page
from soak.scene import Outcome
from soak.tally import Tally


def session(commit: str, **tallies: Tally) -> dict[str, object]:
    """An entry of the file; the name `main` is that of a kill."""
    named = {"kill -9: main" if name == "main" else name: one for name, one in tallies.items()}
    return {
        "commit": commit,
        "machine": "a machine",
        "seeds": [3],
        "tallies": {name: one.to_json() for name, one in named.items()},
    }


def test_sessions_add_up_and_faults_are_counted() -> None:
    killed = Tally()
    for lost in (0, 1):
        killed.add(Outcome(lost=lost, exit_codes=[-9, 0], peak_bytes=5 << 20), 12.0)
    full = Tally()
    full.add(
        Outcome(faults=["not one line: /home/one/.tool/x.py:3: a warning"], exit_codes=[1]), 3.0
    )
    later = Tally()
    later.add(Outcome(exit_codes=[-9], peak_bytes=9 << 20), 20.0)
    good = Tally()
    good.add(Outcome(exit_codes=[0]), 3.0)
    skipped = Tally(skipped="needs root")
    first = session("a" * 40, main=killed, full=full)
    second = session("b" * 40, main=later, full=skipped, cut=skipped)
    third = session("c" * 40, full=good)
    fuzz = {"table": {"inputs": 1234, "read": 1000, "refused": 234, "findings": 0}}
    text = page([first, second, third], fuzz)
    assert "**3 random kills, 5 disturbances in all: 1 trials lost, 0 changed, 0 doubled;" in text
    assert "1 other faults.**" in text
    assert "| kill -9: main | 3 | 1 | 0 | 0 | killed 3, done 2 | 20 | 9 | 0 |" in text
    assert "| full | 2 | 0 | 0 | 0 | done 1, traceback 1 | 3 | 0 | 1 |" in text
    assert (
        "- full (commit aaaaaaaaaaaa; tried 1 more times in later sessions, 0 with a fault): "
        "`not one line: x.py:3: a warning`"
    ) in text
    assert "Not tried: cut (needs root)." in text
    assert "| table | 1,234 | 1,000 | 234 | 0 |" in text
