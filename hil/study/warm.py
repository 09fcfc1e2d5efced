"""What the adaptive search would have found with its warm start alone."""

from __future__ import annotations

from dataclasses import replace

from hil.study.result import StudyResult
from hil.study.verdicts import ADAPTIVE


def warm_start_alone(result: StudyResult) -> StudyResult:
    """The adaptive arm, cut to the genomes that it had before it learned anything.

    The int8 network that ratios are taken to is the first of them. No other arm is in it.
    """
    return replace(
        result,
        traces=tuple(
            replace(one, trials=tuple(t for t in one.trials if t.genome.key in one.warm))
            for one in result.traces
            if one.arm == ADAPTIVE and one.warm
        ),
    )
