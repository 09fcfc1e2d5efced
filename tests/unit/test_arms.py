"""The fixed arms are what their names say."""

from __future__ import annotations

import pytest

from compress.canonical import canonical
from compress.genome import Distill, Prune, Quantize, Sparsify
from hil.arms import arms, settings_of

EPOCHS = (0.5, 1, 2)
FIXED = [arm for arm in arms() if arm.kind != "search"]
ALLOWED = {
    "int8": {Quantize},
    "int4": {Quantize},
    "structured": {Prune, Quantize},
    "unstructured": {Sparsify, Quantize},
    "distilled": {Distill, Quantize},
    "scratch": {Distill, Quantize},
}


@pytest.mark.parametrize("name", [arm.name for arm in FIXED])
def test_settings_are_distinct_and_of_the_arms_methods(name: str) -> None:
    settings = [canonical(genome) for genome in settings_of(name, EPOCHS)]
    assert len({genome.key for genome in settings}) == len(settings) >= 6
    for genome in settings:
        kinds = [type(stage) for stage in genome.stages]
        if name in ALLOWED:
            assert set(kinds) <= ALLOWED[name]
        else:
            assert "".join(kind.__name__[0] for kind in kinds) == name


def test_bits_are_those_of_the_name() -> None:
    for name, bits in (("int8", (8,)), ("int4", (4,))):
        for genome in settings_of(name, EPOCHS):
            (stage,) = genome.stages
            assert isinstance(stage, Quantize)
            assert stage.weight_bits == bits


def test_scratch_has_no_teacher_and_no_weights_to_start_from() -> None:
    for genome in settings_of("scratch", EPOCHS):
        student = genome.stages[0]
        assert isinstance(student, Distill)
        assert student.fresh
        assert student.weight == 0.0


def test_a_distillation_after_quantizing_has_the_compressed_network_as_teacher() -> None:
    for genome in settings_of("PQD", EPOCHS):
        last = genome.stages[-1]
        assert isinstance(last, Distill)
        assert last.teacher == "compressed"
    for genome in settings_of("PDQ", EPOCHS):
        middle = genome.stages[1]
        assert isinstance(middle, Distill)
        assert middle.teacher == "original"


def test_all_six_orders_and_five_searches_are_compared() -> None:
    names = [arm.name for arm in arms()]
    assert len(set(names)) == len(names)
    assert {"PQD", "PDQ", "QPD", "QDP", "DPQ", "DQP"} < set(names)
    assert sum(arm.kind == "search" for arm in arms()) == 5
