"""Synthetic studies, whose correct results are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from compress.genome import Distill, Genome, Prune, Quantize, Stage
from helpers.trials import BASELINE, measured
from hil.board import load_board
from hil.store.store import Final
from hil.study.arm_names import CONTROLS, FIXED, ArmKind
from hil.study.confirmed import chosen_numbers
from hil.study.result import ArmTrace, StudyResult
from hil.trial.charges import Charge
from hil.types import Sizes, Trial

BOARD = load_board("m4")
INT8 = {"weights": 20_000, "ram": 10_000, "count": 1_000_000}


def network(
    number: int,
    accuracy: float,
    weights: float = 1.0,
    ram: float = 1.0,
    count: float = 1.0,
    genome: Genome | None = None,
    **changes: Any,
) -> Trial:
    """A measured network with the given ratios to the int8 baseline.

    The baseline has 20,000 bytes of weights in an image of 30,000 bytes, 10,000 bytes of RAM and a
    count of a million instructions.
    """
    trial = measured(
        number,
        Genome((Prune((number / 1e6,)), Quantize())) if genome is None else genome,
        accuracy=accuracy,
        ram=round(INT8["ram"] * ram),
        count=round(INT8["count"] * count),
        **changes,
    )
    assert trial.measurement is not None
    flash = Sizes({"weights": round(INT8["weights"] * weights), "kernels": 10_000})
    return replace(trial, measurement=replace(trial.measurement, flash=flash))


def int8(number: int = 1, accuracy: float = 0.90) -> Trial:
    """The int8 baseline, the reference of all ratios."""
    return network(number, accuracy, genome=BASELINE)


def study(
    *traces: ArmTrace, measurements: int = 200, epochs: float = 1e9, **changes: Any
) -> StudyResult:
    """A study of these traces; each original has an accuracy of 90 % on both splits."""
    seeds = tuple(sorted({trace.seed for trace in traces}))
    originals = {seed: {"val": 0.90, "test": 0.90} for seed in seeds}
    result = StudyResult(
        "digits", BOARD, measurements, epochs, seeds, traces, originals, changes.pop("finals", {})
    )
    return replace(result, **changes)


def trace(
    arm: str,
    *trials: Trial,
    seed: int = 0,
    kind: ArmKind = "search",
    **changes: Any,
) -> ArmTrace:
    """A trace whose trials are charged with their epochs and seconds."""
    charges = tuple(Charge(t.epochs, sum(t.seconds.values())) for t in trials)
    return ArmTrace(arm, kind, seed, trials, charges, **changes)


def large_study(seeds: int = 6, steps: int = 60) -> StudyResult:
    """A study of all arms, of which the elastic one is the best."""
    bests = {"elastic": 0.30, "adaptive": 0.35, "nsga2": 0.45, "tpe": 0.42, "bohb": 0.38}
    bests |= {"random": 0.55, **dict.fromkeys(CONTROLS, 0.4)}
    fixed: dict[str, float] = {"recipe": 0.55, "single": 0.7}
    arms: dict[str, tuple[ArmKind, float]] = {
        arm: (kind, fixed[kind]) for arm, (kind, _) in FIXED.items() if arm != "int8"
    }
    arms |= {arm: ("search", best) for arm, best in bests.items()}
    traces: list[ArmTrace] = []
    for seed in range(seeds):
        traces.append(trace("int8", int8(accuracy=0.897), seed=seed, kind="single"))
        number = 2
        for arm, (kind, best) in arms.items():
            chance = np.random.default_rng([seed, number])
            count = steps if kind == "search" else 12
            trials = []
            for step in range(count):
                small = best + (1 - best) * chance.random() ** (1 + 2 * step / count)
                drop = max(-0.5, 3 * (1 - small) * chance.random() + chance.normal(0, 0.3))
                spread = np.clip(small * chance.uniform(0.8, 1.25, 3), 0.1, 1.3)
                trials.append(
                    network(number, 0.90 - drop / 100, *spread, genome=_genome(chance, number))
                )
                number += 1
            traces.append(trace(arm, *trials, seed=seed, kind=kind))
    result = study(*traces, measurements=steps, epochs=2.0 * steps)
    chance = np.random.default_rng(1)
    trials_of = {(one.seed, trial.number): trial for one in result.traces for trial in one.trials}
    finals = {
        seed: {n: _final(trials_of[seed, n], chance.normal(0.003, 0.003)) for n in sorted(numbers)}
        for seed, numbers in chosen_numbers(result).items()
    }
    return replace(result, finals=finals)


def _final(trial: Trial, drop: float) -> Final:
    return Final(trial.number, "test", 190, 200, (trial.accuracy or 0.0) - drop)


def _genome(chance: np.random.Generator, number: int) -> Genome:
    stages: tuple[Stage, ...] = (Prune((number / 1e6,)), Distill(), Quantize())
    picked = chance.permutation(3)[: chance.integers(1, 4)]
    return Genome((*(stages[i] for i in picked), Prune((number / 1e6,))))
