"""The gaps of an incomplete study: arms left out, unfinished or untested."""

from __future__ import annotations

from hil import formatting
from hil.study.arm_names import NAMES
from hil.study.choices import arm_names, references
from hil.study.confirmed import chosen_numbers
from hil.study.result import StudyResult


def left_out(result: StudyResult) -> list[str]:
    """The names of the arms that the study does not have."""
    known = arm_names(result)
    return [arm for arm in NAMES if arm not in known]


def gaps(result: StudyResult) -> list[str]:
    """The gaps in words; empty if the study is complete."""
    int8, begun = references(result), {(t.arm, t.seed) for t in result.traces if t.trials}
    missing = left_out(result)
    found = [f"without the arms {', '.join(missing)}"] if missing else []
    found += [f"seed {seed} has no int8 network" for seed in result.seeds if seed not in int8]
    for arm in arm_names(result):
        without = [str(seed) for seed in result.seeds if (arm, seed) not in begun]
        if without:
            found.append(f"{arm} has no trials in seed {', '.join(without)}")
    found += partial_arms(result)
    untested = sum(
        len(numbers - result.finals.get(seed, {}).keys() - result.lost.get(seed, frozenset()))
        for seed, numbers in chosen_numbers(result).items()
    )
    if untested:
        found.append(
            f"{formatting.number_of(untested, 'chosen network')} not run on the test split"
        )
    return found


def partial_arms(result: StudyResult) -> list[str]:
    """The unfinished arms and the seeds not begun, in words."""
    found = [
        f"{trace.arm}, seed {trace.seed}, is not finished ({trace.measured} measured)"
        for trace in result.traces
        if not trace.finished
    ]
    if result.not_begun:
        found.append(f"not begun: seed {', '.join(map(str, result.not_begun))}")
    return found
