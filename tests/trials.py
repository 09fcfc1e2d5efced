"""Builders and hypothesis strategies for trials, shared by the store's and the report's tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

from hypothesis import strategies as st

from compress.genome import (
    Calibration,
    Criterion,
    Distill,
    Features,
    Genome,
    Pattern,
    Prune,
    Quantize,
    Scope,
    Sparsify,
    Stage,
    Teacher,
)
from compress.types import StageCost
from hil.types import Estimate, Measurement, Provenance, Sizes, Trial

PROVENANCE = Provenance(
    git_sha="0123456789abcdef",
    dirty=False,
    compiler="arm-none-eabi-gcc 12.2.1",
    flags="-O2",
    kernels="CMSIS-NN 4.0.0",
    board="m4",
    core="cortex-m4",
    probe="qemu",
    emulator="QEMU 7.2",
    python="3.11.2",
    torch="2.13.0",
    seed=1,
)
BASELINE = Genome((Quantize(),))


def pruned(keep: float) -> Genome:
    return Genome((Prune((keep,)), Quantize()))


def measured(
    number: int,
    genome: Genome,
    *,
    accuracy: float = 0.95,
    flash: int = 30_000,
    ram: int = 8_000,
    count: int = 1_000_000,
    **changes: Any,
) -> Trial:
    """A measured trial with these totals, split over the parts that a linker reports."""
    measurement = Measurement(
        counter="insn",
        count=count,
        count_min=count,
        count_max=count,
        flash=Sizes({"weights": flash - 9_000, "kernels": 6_000, "harness": 3_000}),
        ram=Sizes({"arena": ram - 1_000, "stack": 1_000}),
        correct=round(200 * accuracy),
        total=200,
        outputs_sha256="ab" * 32,
    )
    fields: dict[str, Any] = {
        "number": number,
        "genome": genome,
        "state": "measured",
        "accuracy": accuracy,
        "measurement": measurement,
        "reason": "",
        "violation": 0.0,
        "epochs": 2,
        "seconds": {"train": 1.5, "build": 0.25},
        "program_sha256": "cd" * 32,
        "provenance": PROVENANCE,
    }
    return Trial(**{**fields, **changes})


def infeasible(number: int, genome: Genome, reason: str = "too big", **changes: Any) -> Trial:
    trial = measured(number, genome)
    return replace(
        trial,
        **{
            "state": "infeasible",
            "accuracy": None,
            "measurement": None,
            "reason": reason,
            "violation": 0.5,
            **changes,
        },
    )


def screened(
    number: int,
    genome: Genome,
    fidelity: float,
    accuracy: float = 0.9,
    *,
    macs: int = 1_000_000,
    weight_bytes: int = 20_000,
    arena_bytes: int = 7_000,
    **changes: Any,
) -> Trial:
    """A trial that the host judged at a fidelity below 1; nothing ran on a board."""
    return replace(
        measured(number, genome, accuracy=accuracy),
        **{
            "state": "screened",
            "measurement": None,
            "program_sha256": "",
            "fidelity": fidelity,
            "estimate": Estimate(macs, 64 * macs, weight_bytes, arena_bytes, 4),
            **changes,
        },
    )


_shares = st.floats(0.01, 1.0)
_counts = st.integers(0, 2**62)
_sizes = st.dictionaries(
    st.sampled_from(["weights", "kernels", "arena", "ß"]), st.integers(0, 2**60)
).map(Sizes)

stages: st.SearchStrategy[Stage] = st.one_of(
    st.builds(
        Prune,
        st.lists(_shares, min_size=1, max_size=5).map(tuple),
        st.sampled_from(get_args(Criterion)),
        st.sampled_from(get_args(Scope)),
        drop=st.lists(st.integers(0, 9), max_size=3).map(tuple),
        epochs=st.integers(0, 9),
    ),
    st.builds(Sparsify, _shares, st.sampled_from(get_args(Pattern)), rate=_shares),
    st.builds(
        Quantize,
        st.lists(st.sampled_from([8, 4, 2]), min_size=1, max_size=5).map(tuple),
        calibration=st.sampled_from(get_args(Calibration)),
        percentile=_shares,
        learn_ranges=st.booleans(),
    ),
    st.builds(
        Distill,
        st.sampled_from(get_args(Teacher)),
        _shares,
        _shares,
        st.sampled_from(get_args(Features)),
        width=_shares,
        fresh=st.booleans(),
        epochs=st.integers(0, 9),
    ),
)
genomes = st.lists(stages, max_size=4).map(tuple).map(Genome)
measurements = st.builds(
    Measurement,
    counter=st.sampled_from(["insn", "dwt", "systick"]),
    count=_counts,
    count_min=_counts,
    count_max=_counts,
    flash=_sizes,
    ram=_sizes,
    correct=_counts,
    total=st.integers(1, 2**62),
    outputs_sha256=st.text(),
)


def _coherent(trial: Trial) -> Trial:
    """What has no accuracy, or was measured without a measurement, cannot be but infeasible."""
    incomplete = trial.accuracy is None or (trial.state == "measured" and trial.measurement is None)
    return replace(trial, state="infeasible") if incomplete else trial


trials = st.builds(
    Trial,
    number=st.integers(0, 2**62),
    genome=genomes,
    state=st.sampled_from(["measured", "screened", "infeasible"]),
    accuracy=st.none() | _shares,
    measurement=st.none() | measurements,
    reason=st.text(),
    violation=st.floats(0, allow_infinity=False),
    epochs=st.floats(0, allow_infinity=False),
    seconds=st.dictionaries(st.text(), st.floats(0, allow_infinity=False)),
    program_sha256=st.text(),
    provenance=st.builds(
        Provenance,
        **{name: st.text() for name in Provenance.__slots__ if name not in ("dirty", "seed")},
        dirty=st.booleans(),
        seed=_counts,
    ),
    costs=st.lists(
        st.builds(StageCost, st.text(), _counts, st.floats(0, allow_infinity=False)), max_size=3
    ).map(tuple),
    fidelity=_shares,
    estimate=st.none() | st.builds(Estimate, _counts, _counts, _counts, _counts, _counts),
).map(_coherent)
