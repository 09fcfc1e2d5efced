"""What a run has found: baseline, front and the chosen network, from nothing but its store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from compress.genome import Genome, Quantize
from hil import pareto
from hil.store import Final, Store
from hil.trial_json import trial_to_json
from hil.types import Trial


@dataclass(frozen=True, slots=True)
class Summary:
    """A run at one moment. `stopped_by` is None while it runs, or if it was killed.

    `trials` were trained in full, `screened` judged at a lower fidelity.
    `baseline` is the network that was only quantized to int8; `front` holds the non-dominated
    measured trials; `chosen` is the one of them that meets `accuracy_target` (share of 1 on the
    validation split) with the smallest `pareto.score`.
    """

    task: str
    board: str
    seed: int
    accuracy_target: float
    used_minutes: float
    stopped_by: str | None
    trials: tuple[Trial, ...]
    screened: tuple[Trial, ...]
    baseline: Trial | None
    front: tuple[Trial, ...]
    chosen: Trial | None
    finals: tuple[Final, ...]

    @property
    def measured(self) -> tuple[Trial, ...]:
        """The trials that ran on the board."""
        return tuple(trial for trial in self.trials if trial.measurement is not None)

    def meets_target(self, trial: Trial) -> bool:
        """Whether the accuracy on the validation split is at least the target."""
        return trial.accuracy is not None and trial.accuracy >= self.accuracy_target

    def final(self, trial: Trial | None) -> Final | None:
        """The trial's figures on the test split, if they were taken."""
        for final in self.finals:
            if trial is not None and final.number == trial.number and final.split == "test":
                return final
        return None

    def ranked_front(self) -> tuple[Trial, ...]:
        """The front as it is shown: first what meets the target, each half by score."""
        if not self.front:
            return ()
        reference = pareto.measurement_of(self.front[0])
        return tuple(
            sorted(
                self.front,
                key=lambda trial: (
                    not self.meets_target(trial),
                    pareto.score(pareto.measurement_of(trial), reference),
                ),
            )
        )


def summarize(store: Store) -> Summary:
    """Read the run as it stands. Raises UserError for a damaged store."""
    identity, sessions, everything = store.identity, store.sessions(), store.trials()
    trials = tuple(trial for trial in everything if trial.fidelity == 1.0)
    target = sessions[-1].accuracy_target if sessions else 0.0
    front = pareto.front(trials)
    return Summary(
        task=identity.task,
        board=identity.board,
        seed=identity.seed,
        accuracy_target=target,
        used_minutes=store.used_minutes(),
        stopped_by=sessions[-1].stopped_by if sessions else None,
        trials=trials,
        screened=tuple(trial for trial in everything if trial.fidelity < 1.0),
        baseline=_baseline(trials),
        front=front,
        chosen=pareto.best(front, target),
        finals=store.finals(),
    )


def to_json(summary: Summary) -> dict[str, Any]:
    """What `hil report --json` prints; the trials in `front`, `chosen`, `baseline` are complete."""

    def optional(trial: Trial | None) -> dict[str, Any] | None:
        return None if trial is None else trial_to_json(trial)

    return {
        "task": summary.task,
        "board": summary.board,
        "seed": summary.seed,
        "accuracy_target": summary.accuracy_target,
        "used_minutes": summary.used_minutes,
        "baseline": optional(summary.baseline),
        "trials": [trial_to_json(trial) for trial in summary.trials],
        "front": [trial_to_json(trial) for trial in summary.front],
        "chosen": optional(summary.chosen),
        "screened": len(summary.screened),
        "stopped_by": summary.stopped_by,
        "finals": [asdict(final) for final in summary.finals],
    }


def _baseline(trials: tuple[Trial, ...]) -> Trial | None:
    """The plain `Quantize()` if it was measured, else the first that has no other stage."""
    lone = [
        trial
        for trial in trials
        if trial.measurement is not None
        and len(trial.genome.stages) == 1
        and isinstance(trial.genome.stages[0], Quantize)
    ]
    plain = [trial for trial in lone if trial.genome == Genome((Quantize(),))]
    return next(iter(plain or lone), None)
