"""The fixed arms are what their names say."""

from __future__ import annotations

import pytest

from compress.genome import Distill, Genome, Prune, Quantize, Sparsify
from compress.space.canonical import canonical
from compress.space.space import STUDENT_LENGTH_FACTOR, Space
from hil.elastic.controls import CONTROL_ENGINES
from hil.search.genome_codec import parameters
from hil.search.warm_start import QuickSensitivity, warm_start
from hil.study.arm_names import CONTROLS
from hil.study.arms import arms, settings_of

EPOCHS = (0.5, 1, 2)
FIXED = [arm for arm in arms() if arm.kind != "search"]
SPACE = Space(groups=5, layers=10, epochs=EPOCHS)
ALLOWED = {
    "int8": {Quantize},
    "int4": {Quantize},
    "structured": {Prune, Quantize},
    "unstructured": {Sparsify, Quantize},
    "distilled": {Distill, Quantize},
    "scratch": {Distill, Quantize},
}


def test_every_control_is_an_arm() -> None:
    assert set(CONTROL_ENGINES) == set(CONTROLS)


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


def test_all_six_orders_and_ten_searches_are_compared() -> None:
    names = [arm.name for arm in arms()]
    assert len(set(names)) == len(names)
    assert {"PQD", "PDQ", "QPD", "QDP", "DPQ", "DQP"} < set(names)
    assert sum(arm.kind == "search" for arm in arms()) == 10


SWEPT = ["int4", "structured", "distilled", "PQ", "QD", "PQD", "PDQ", "QPD"]


@pytest.mark.parametrize("name", SWEPT)
def test_every_search_could_find_what_an_arm_sweeps(name: str) -> None:
    for genome in settings_of(name, EPOCHS):
        assert parameters(canonical(genome), SPACE)


def test_every_search_could_find_what_the_adaptive_one_begins_with() -> None:
    warm = warm_start(QuickSensitivity((0.1, 0.2, 0.0, 0.3, 0.1), (0.01,) * 10), EPOCHS[-1])
    assert len(warm) > 20
    for genome in warm:
        assert parameters(genome, SPACE)


def test_a_narrower_student_trains_as_long_in_every_arm() -> None:
    def students(genomes: tuple[Genome, ...]) -> set[float]:
        stages = [stage for genome in genomes for stage in genome.stages]
        return {s.epochs for s in stages if isinstance(s, Distill) and s.width < 1.0}

    usual = STUDENT_LENGTH_FACTOR * EPOCHS[-1]
    for name in ("distilled", "QD", "QDP", "DPQ", "DQP"):
        assert students(settings_of(name, EPOCHS)) == {usual, 16, 32}
    assert students(settings_of("scratch", EPOCHS)) == {usual}
    assert students(warm_start(QuickSensitivity((0.1,) * 5, (0.1,) * 10), EPOCHS[-1])) == {usual}
    # Where an epoch is short, as on digits, the usual length is the longest.
    assert students(settings_of("distilled", (3, 6, 12))) == {4 * 12}
