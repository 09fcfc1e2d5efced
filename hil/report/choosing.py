"""The chosen network beside its neighbors, and the choice of another one by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import UserError
from hil import formatting
from hil.objective.choice import Eligible
from hil.objective.costs import costs_of
from hil.objective.pareto import measurement_of
from hil.store.run_folder import network_path, save_pick

if TYPE_CHECKING:
    from hil.report.summary import Summary

BY_RULE = "auto"  # instead of a number: the goal chooses


@dataclass(frozen=True, slots=True)
class Place:
    """A network and its place beside the chosen one.

    `role` is "cheaper", "chosen", "more accurate", or "by the rule" for what the goal would choose
    where the user chose another one.
    """

    role: str
    candidate: Eligible


def places(summary: Summary) -> tuple[Place, ...]:
    """The chosen network and its neighbors, the cheapest first; empty if none is chosen."""
    return tuple(sorted(_places(summary), key=lambda place: place.candidate.cost))


def _places(summary: Summary) -> Iterator[Place]:
    chosen, ruled, beside = summary.choice, summary.by_rule, summary.neighbors
    if chosen is None:
        return
    yield Place("chosen", chosen)
    if beside.cheaper is not None:
        yield Place("cheaper", beside.cheaper)
    if beside.more_accurate is not None:
        yield Place("more accurate", beside.more_accurate)
    if ruled is not None and ruled not in (chosen, beside.cheaper, beside.more_accurate):
        yield Place("by the rule", ruled)


def words(summary: Summary) -> str:
    """Why this network is the chosen one, in a sentence; "" if none is."""
    chosen, ruled = summary.choice, summary.by_rule
    if chosen is None:
        return ""
    if summary.picked == chosen.trial.number:
        if ruled is None or ruled.trial == chosen.trial:
            return "Chosen by hand, and by the rule."
        return f"Chosen by hand; the rule takes trial {ruled.trial.number}."
    former = ""
    if summary.picked is not None:
        former = f" Trial {summary.picked}, chosen by hand, does not meet the goal of today."
    return f"{_rule(summary, chosen)}{former}"


def command(summary: Summary) -> str:
    """The command that takes another network; "" if none is chosen."""
    if summary.choice is None:
        return ""
    back = f", {BY_RULE} for that of the rule" if summary.picked is not None else ""
    return f"to take another: hil report RUN --choose NUMBER{back}"


def _rule(summary: Summary, chosen: Eligible) -> str:
    near = summary.goal.nearness
    sure = [one for one in summary.candidates if one.is_sure]
    least = min(one.cost for one in sure)
    equal = [one for one in sure if one.cost <= least * (1.0 + near)]
    share = formatting.percent(near, 1)
    if len(equal) == 1 and near:
        return f"Chosen as the cheapest by score; no other is within {share} of it (--near)."
    if not near:
        return "Chosen as the cheapest by score."
    return (
        f"Chosen as the most accurate of {len(equal)} networks whose score is within {share} of "
        f"the least (--near); its own is {formatting.percent(chosen.cost / least - 1.0, 1)} above."
    )


def choice_to_json(summary: Summary) -> dict[str, Any]:
    """How the network was chosen, and the figures of it and its neighbors; keys are only added.

    `networks` has them by role, the cheapest first. `cost` is the score, `cost_over_chosen` its
    ratio to the chosen one's less 1, `accuracy_bound` the lower bound that the choice compares.
    """
    chosen, ruled = summary.choice, summary.by_rule
    return {
        "near": summary.goal.nearness,
        "by_hand": chosen is not None and summary.picked == chosen.trial.number,
        "picked": summary.picked,
        "rule": None if ruled is None else ruled.trial.number,
        "words": words(summary),
        "networks": [
            _figures(summary, place, chosen) for place in places(summary) if chosen is not None
        ],
    }


def _figures(summary: Summary, place: Place, chosen: Eligible) -> dict[str, Any]:
    trial, cost = place.candidate.trial, place.candidate.cost
    return {
        "role": place.role,
        "number": trial.number,
        "accuracy": trial.accuracy,
        "value": summary.metric.value(trial.accuracy or 0.0),
        "accuracy_bound": place.candidate.bound,
        "accuracy_over_chosen": (trial.accuracy or 0.0) - (chosen.trial.accuracy or 0.0),
        "cost": cost,
        "cost_over_chosen": cost / chosen.cost - 1.0 if chosen.cost > 0 else None,
        **asdict(costs_of(measurement_of(trial), summary.goal.board)),
    }


def choose_by_hand(summary: Summary, folder: Path, wanted: str) -> None:
    """Keep the trial that the user names by number in the run's folder; "auto" forgets it.

    Raises UserError for what is no trial of the run that meets its goal, and for one without a
    network file.
    """
    if wanted == BY_RULE:
        save_pick(folder, None)
        return
    allowed = [str(one.trial.number) for one in summary.candidates]
    if wanted not in allowed:
        near = sorted(place.candidate.trial.number for place in places(summary))
        known = ", ".join(map(str, near)) or "none yet"
        raise UserError(
            f"--choose {wanted}: must be {BY_RULE} or the number of a measured trial that meets "
            f"the goal of the run; the chosen one and its neighbors are {known}, hil report "
            "lists the front"
        )
    if not network_path(folder, int(wanted)).is_file():
        raise UserError(
            f"--choose {wanted}: {network_path(folder, int(wanted))} is missing; continue the run "
            "with hil evolve, which trains the networks of an imported table again"
        )
    save_pick(folder, int(wanted))
