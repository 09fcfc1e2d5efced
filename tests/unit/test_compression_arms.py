"""The comparison in benchmarks/: fair budgets, and questions about arms that exist."""

import importlib.util
from types import ModuleType

import pytest

from compress.pipeline.pipeline import preview
from compress.space.canonical import canonical
from helpers.checkout import ROOT
from helpers.networks import original

SOURCE = ROOT / "benchmarks" / "compression_arms.py"


@pytest.fixture(scope="module")
def compared() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compression_arms", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_trained_arm_has_the_whole_budget(compared: ModuleType) -> None:
    for arm in compared.arms(12, (True, False)):
        assert sum(stage.epochs for stage in arm.genome.stages) in (0, 12), arm.name
    with pytest.raises(ValueError, match="multiple of 6"):
        compared.arms(7, (True,))


def test_no_two_arms_are_the_same_network(compared: ModuleType) -> None:
    arms = compared.arms(6, (True, False))
    assert len({arm.name for arm in arms}) == len(arms)
    assert len({canonical(arm.genome).key for arm in arms}) == len(arms)


def test_questions_compare_arms_that_are_there(compared: ModuleType) -> None:
    names = {arm.name for arm in compared.arms(6, (True,))}
    for question in compared.QUESTIONS:
        assert {question.arm, question.than} <= names
        assert question.arm != question.than


def test_arms_can_be_applied(compared: ModuleType) -> None:
    start = original("mobile")
    pointwise = tuple(name.endswith("pointwise") for name in start.layers)
    refused = []
    for arm in compared.arms(6, pointwise):
        if arm.name == "two blocks dropped":  # this network has one
            continue
        graph = preview(arm.genome, start)
        if graph.output_tensor.elements != 10:
            refused.append(arm.name)
    assert refused == []
