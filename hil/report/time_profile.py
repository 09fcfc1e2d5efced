"""The time profile of a search: seconds by step, rates, and how well cheap estimates rank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hil import formatting
from hil.search.rank import RungCorrelation, correlations, spearman
from hil.store.store import Session
from hil.types import Trial


@dataclass(frozen=True, slots=True)
class GateCorrelation:
    """Spearman's rank correlation (-1..1) of an estimated with a measured cost, over `n` trials."""

    cost: str
    spearman: float
    n: int


@dataclass(frozen=True, slots=True)
class TimeProfile:
    """Seconds by step, summed over all processes, and the number of trials.

    `steps` are the stages' names (applying and training one), `lower` (to integers), `reference`
    (accuracy on the host), `oracle`, `build`, `measure`, and `screening` for all steps of trials at
    a lower fidelity. `cached_seconds` is the training that the prefix cache saved.
    `capacity_seconds` is wall time times processes, None if a session does not tell its processes.
    The part of it in no step is overhead: starting, waiting for the slowest of a batch, training
    the original network, the final figures, the engine and the store.
    """

    wall_seconds: float
    capacity_seconds: float | None
    steps: Mapping[str, float]
    cached_seconds: float
    screened: int
    full: int
    measured: int
    rungs: tuple[RungCorrelation, ...]
    gate: tuple[GateCorrelation, ...]

    @property
    def busy_seconds(self) -> float:
        """The seconds of all steps together."""
        return sum(self.steps.values())

    @property
    def overhead(self) -> float | None:
        """The share of the capacity that is in no step (0..1); None if unknown.

        It is also unknown if trials, with their time, came from another run.
        """
        if not self.capacity_seconds or not self.is_own:
            return None
        return 1.0 - self.busy_seconds / self.capacity_seconds

    @property
    def is_own(self) -> bool:
        """True if the trials' time fits into the run's own sessions, as far as is known.

        It does not if trials were imported or merged; a rate per hour would then be meaningless.
        """
        if self.wall_seconds == 0:
            return False
        return self.capacity_seconds is None or self.busy_seconds <= self.capacity_seconds

    def per_hour(self, trials: int) -> float:
        """The rate in trials per hour of wall time; 0 before any time was used."""
        return 3600 * trials / self.wall_seconds if self.wall_seconds > 0 else 0.0


def profile_of(trials: Sequence[Trial], sessions: Iterable[Session]) -> TimeProfile:
    """The profile of a run's trials of every fidelity, and its sessions."""
    worked = [(one.heartbeat - one.started, one.processes) for one in sessions]
    known = bool(worked) and all(processes for _, processes in worked)
    steps: Counter[str] = Counter()
    for trial in trials:
        steps.update(_steps(trial))
    full = [trial for trial in trials if trial.fidelity == 1.0]
    return TimeProfile(
        wall_seconds=sum(seconds for seconds, _ in worked),
        capacity_seconds=sum(s * processes for s, processes in worked) if known else None,
        steps=dict(steps.most_common()),
        cached_seconds=sum(c.seconds for trial in trials for c in trial.costs if c.cached),
        screened=len(trials) - len(full),
        full=len(full),
        measured=sum(trial.measurement is not None for trial in full),
        rungs=correlations(trials),
        gate=_gate(full),
    )


def profile_to_json(profile: TimeProfile) -> dict[str, Any]:
    """The JSON object that `hil report --profile --json` adds. Keys are only added."""
    names = ("screened", "full", "measured")
    return {
        **asdict(profile),
        "overhead": profile.overhead,
        "per_hour": {
            name: profile.per_hour(getattr(profile, name)) if profile.is_own else None
            for name in names
        },
    }


def rows(profile: TimeProfile) -> list[tuple[str, str, float]]:
    """Rows of (step, time, share 0..1), longest first, then the overhead as "everything else"."""
    whole = profile.busy_seconds if profile.overhead is None else profile.capacity_seconds
    steps = sorted(profile.steps.items(), key=lambda step: -step[1])
    found = [(name, formatting.duration(spent), spent / (whole or 1.0)) for name, spent in steps]
    if profile.overhead is not None and profile.capacity_seconds is not None:
        rest = profile.capacity_seconds - profile.busy_seconds
        found.append(("everything else", formatting.duration(rest), profile.overhead))
    return found


def sentences(profile: TimeProfile) -> list[str]:
    """Sentences on the rates of the search, the cache, and how well rungs and gate rank."""
    rates = ", ".join(
        f"{profile.per_hour(number):.0f} {what}"
        for what, number in (
            ("screened", profile.screened),
            ("tried in full", profile.full),
            ("measured", profile.measured),
        )
    )
    lines = [f"trials per hour: {rates}"] if profile.is_own else []
    if profile.cached_seconds:
        lines.append(
            f"the prefix cache saved {formatting.duration(profile.cached_seconds)} of training"
        )
    lines += [
        f"rank correlation of accuracy after {100 * rung.fidelity:.0f} % and after all of the "
        f"training: {rung.spearman:.2f} "
        f"(Spearman, {formatting.number_of(rung.n, 'candidate')})"
        for rung in profile.rungs
        if rung.n > 1
    ]
    lines += [
        f"rank correlation of estimated and measured {gate.cost}: {gate.spearman:.2f} "
        f"(Spearman, {formatting.number_of(gate.n, 'trial')})"
        for gate in profile.gate
    ]
    return lines


def _steps(trial: Trial) -> dict[str, float]:
    """The seconds of one trial by step. A cached stage took none here: another trial trained it."""
    if trial.fidelity < 1.0:
        return {"screening": sum(trial.seconds.values())}
    steps: dict[str, float] = {n: s for n, s in trial.seconds.items() if n != "compress"}
    compress = trial.seconds.get("compress", 0.0)
    for cost in trial.costs:
        if not cost.cached:
            # Each was rounded on its own, so the sum may exceed the whole.
            spent = min(cost.seconds, compress)
            steps[cost.stage] = steps.get(cost.stage, 0.0) + spent
            compress -= spent
    if compress:
        steps["reference" if trial.costs else "not applicable"] = compress
    return steps


def _gate(full: Sequence[Trial]) -> tuple[GateCorrelation, ...]:
    pairs = [(t.estimate, t.measurement) for t in full]
    known = [(said, was) for said, was in pairs if said is not None and was is not None]
    if len(known) < 2:
        return ()
    costs = {
        "flash": [(said.weight_bytes, was.flash.total) for said, was in known],
        "RAM": [(said.arena_bytes, was.ram.total) for said, was in known],
        "count": [(said.macs, was.count) for said, was in known],
    }
    return tuple(
        GateCorrelation(cost, spearman(*zip(*values, strict=True)), len(known))
        for cost, values in costs.items()
    )
