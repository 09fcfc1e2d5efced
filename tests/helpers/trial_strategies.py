"""Hypothesis strategies that draw genomes, measurements and trials."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

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
from hil.figures import HalfFigures, LayerFigures
from hil.types import Estimate, Measurement, Memory, Provenance, Sizes, Trial

_NOT_TEXTS = ("dirty", "seed", "saves")
_shares = st.floats(0.01, 1.0)
_counts = st.integers(0, 2**62)
_signed = st.floats(-2.0, 1.0)
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
    halves=st.lists(
        st.builds(HalfFigures, _signed, _shares, _signed, _shares), min_size=2, max_size=2
    ).map(tuple)
    | st.just(()),
    layers=st.lists(st.builds(LayerFigures, st.text(), *[_counts] * 6), max_size=2).map(tuple),
).map(lambda drawn: replace(drawn, correct=min(drawn.correct, drawn.total)))


def _coherent(trial: Trial) -> Trial:
    """The trial, made infeasible if it lacks an accuracy or its measurement."""
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
        saves=st.sampled_from(get_args(Memory)),
        **{name: st.text() for name in Provenance.__slots__ if name not in _NOT_TEXTS},
        dirty=st.booleans(),
        seed=_counts,
    ),
    costs=st.lists(
        st.builds(StageCost, st.text(), _counts, st.floats(0, allow_infinity=False)), max_size=3
    ).map(tuple),
    fidelity=_shares,
    estimate=st.none() | st.builds(Estimate, _counts, _counts, _counts, _counts, _counts),
    repeat=st.integers(0, 9),
).map(_coherent)
