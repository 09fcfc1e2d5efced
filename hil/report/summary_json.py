"""The summary of a run as JSON, for other programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hil.report import choosing, confirmation, learned
from hil.report.summary import Summary
from hil.store.trial_json import trial_to_json
from hil.types import Trial


def summary_to_json(summary: Summary) -> dict[str, Any]:
    """The JSON object of `hil report --json`. Keys are only added, never renamed."""

    def optional(trial: Trial | None) -> dict[str, Any] | None:
        return None if trial is None else trial_to_json(trial)

    return {
        "task": summary.task,
        "board": summary.board,
        "seed": summary.seed,
        "accuracy_target": summary.accuracy_target,
        "goal": summary.goal.to_json(),
        "goal_source": summary.goal_source,
        "used_minutes": summary.used_minutes,
        "baseline": optional(summary.baseline),
        "trials": [trial_to_json(trial) for trial in summary.trials],
        "front": [trial_to_json(trial) for trial in summary.front],
        "scores": {str(t.number): summary.score(t) for t in summary.measured},
        "chosen": optional(summary.chosen),
        "screened": len(summary.screened),
        "stopped_by": summary.stopped_by,
        "finals": [asdict(final) for final in summary.finals],
        "float_accuracies": dict(summary.originals),
        "metric": summary.metric.to_json(),
        "values": {str(t.number): _value(summary, t) for t in summary.measured},
        "diagnosis": summary.diagnosis and summary.diagnosis.to_json(),
        "recalls": _recalls(summary),
        "remarks": [asdict(remark) for remark in summary.remarks],
        **confirmation.to_json(summary),
        "features": summary.features or None,
        "learned": [asdict(one) for one in learned.order_figures(summary)],
        "choice": choosing.choice_to_json(summary),
        "floor_odds": {str(number): asdict(one) for number, one in summary.odds.items()},
    }


def _value(summary: Summary, trial: Trial) -> float | None:
    """The trial's metric on the validation split, in its unit."""
    return None if trial.accuracy is None else summary.metric.value(trial.accuracy)


def _recalls(summary: Summary) -> dict[str, dict[str, float | None]] | None:
    """The recall of each class by network, None where it is unknown."""
    diagnosis = summary.diagnosis
    if diagnosis is None:
        return None
    networks = {
        "float": diagnosis.right,
        "baseline": summary.right(summary.baseline),
        "chosen": summary.right(summary.chosen),
    }
    return {
        name: dict(zip(diagnosis.classes, diagnosis.recall(right), strict=True))
        for name, right in networks.items()
        if right
    }
