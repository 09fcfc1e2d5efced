"""Stages are pure functions; one that cannot be applied is adapted or refused with a reason."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from compress.errors import Infeasible
from compress.genome import Distill, Genome, Prune, Quantize, Sparsify, Stage
from compress.pipeline.network import Network, Original
from compress.pipeline.pipeline import lower_network, run_stages
from compress.pipeline.stages import apply_stage
from compress.pruning.prune import group_names
from compress.space.canonical import canonical
from helpers.networks import NETWORKS, original

STAGES: tuple[Stage, ...] = (
    Prune((0.5,), scope="uniform", reestimate=True, rounds=2),
    Sparsify(0.5),
    Quantize((4,), learn_ranges=True, epochs=1, equalize=True),
    Distill("both", width=0.75),
)


def _start(name: str) -> Network:
    return Network(original(name).lean)


def _widths(module: nn.Module, start: Original) -> list[int]:
    names = group_names(module, start.task.input_shape)
    return [len(module.get_submodule(name).weight) for name in names]


def _zero_share(module: nn.Module) -> float:
    weights = [m.weight for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: type(stage).__name__)
def test_a_stage_leaves_its_network_alone(name: str, stage: Stage) -> None:
    network = _start(name)
    before = {key: value.clone() for key, value in network.module.state_dict().items()}
    after = apply_stage(network, stage, original(name), 1)
    assert after.module is not network.module
    for key, value in network.module.state_dict().items():
        assert torch.equal(value, before[key]), key
    trained = after.module.state_dict()
    assert any(
        trained[key].shape != value.shape or not torch.equal(trained[key], value)
        for key, value in before.items()
    )


@pytest.mark.parametrize("scope", ["group", "uniform"])
def test_rounds_end_where_one_shot_does(scope: str) -> None:
    start = original("resnet")
    keep = (0.5, 0.75, 0.25, 0.5, 0.6, 0.4, 0.5)[: len(start.groups)]
    stage = Prune(keep if scope == "group" else (0.5,), scope=scope, epochs=0)
    once = apply_stage(_start("resnet"), stage, start, 0).module
    gradually = apply_stage(_start("resnet"), replace(stage, rounds=3), start, 0).module
    assert _widths(once, start) == _widths(gradually, start)
    assert sum(_widths(once, start)) < sum(_widths(start.module, start))


def test_ratios_find_their_groups_after_a_block_was_dropped() -> None:
    start = original("resnet")
    block = start.blocks.index("unit1")
    keep = tuple(0.5 if name.startswith("unit2") else 1.0 for name in start.groups)
    dropped = apply_stage(_start("resnet"), Prune((1.0,), scope="uniform", drop=(block,)), start, 0)
    narrowed = apply_stage(dropped, Prune(keep, epochs=0), start, 0).module
    assert isinstance(narrowed.unit1, nn.Identity)
    assert narrowed.unit2.branch[0].out_channels == 8  # of 12, a multiple of 4
    assert narrowed.stem[0].out_channels == start.module.stem[0].out_channels


def test_a_block_that_is_gone_already_is_no_error() -> None:
    start = original("resnet")
    stage = Prune((1.0,), scope="uniform", drop=(0,), epochs=0)
    twice = apply_stage(apply_stage(_start("resnet"), stage, start, 0), stage, start, 0)
    assert isinstance(twice.module.get_submodule(start.blocks[0]), nn.Identity)


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (Prune((0.5, 0.5)), "2 keep ratios for"),
        (Prune((1.0,), scope="uniform", drop=(9,)), r"blocks \[9\]: the network has"),
        (Quantize((8, 4)), "2 bit widths"),
        (Distill(depth=0.0), "depth 0.0"),
    ],
)
def test_what_cannot_be_applied_says_why(stage: Stage, words: str) -> None:
    start = original("resnet")
    with pytest.raises(Infeasible, match=words):
        lower_network(apply_stage(_start("resnet"), stage, start, 0), start)


def test_a_network_that_cannot_get_narrower_stays_and_trains() -> None:
    start = original("mobile")
    least = apply_stage(_start("mobile"), Prune((0.01,), scope="uniform", epochs=0), start, 0)
    for scope in ("global", "uniform"):
        again = apply_stage(least, Prune((0.5,), scope=scope, rounds=2), start, 0)
        assert _widths(again.module, start) == _widths(least.module, start)
        before = least.module.state_dict()["classify.weight"]
        assert not torch.equal(again.module.state_dict()["classify.weight"], before)


def test_zeros_last_through_later_stages_but_not_in_a_fresh_student() -> None:
    start = original("mobile")
    zeros = (Sparsify(0.6), Prune((0.75,), scope="uniform"), Quantize((4,), epochs=1))
    kept = run_stages((*zeros, Distill()), start).network
    assert kept.sparse
    assert _zero_share(kept.module) > 0.5
    fresh = run_stages((*zeros, Distill(fresh=True)), start).network
    assert not fresh.sparse
    assert _zero_share(fresh.module) < 0.05


def test_learned_ranges_belong_to_the_network_that_learned_them() -> None:
    start = original("mobile")
    learning = Quantize((4,), learn_ranges=True, epochs=1)
    network = run_stages((learning,), start).network
    assert network.learned is not None
    pruned = apply_stage(network, Prune((0.5,), scope="uniform", epochs=0), start, 0)
    assert pruned.learned is None
    trained = apply_stage(network, Prune((0.5,), scope="uniform"), start, 0)
    assert trained.learned is not None
    assert apply_stage(network, Quantize(), start, 0).learned is None


def test_the_rate_is_a_factor_on_the_tasks_learning_rate() -> None:
    start = original("mobile")

    def moved(rate: float) -> float:
        module = apply_stage(_start("mobile"), Distill(weight=0.0, rate=rate), start, 3).module
        before = start.lean.state_dict()["classify.weight"]
        return float((module.state_dict()["classify.weight"] - before).abs().mean())

    assert moved(1.0) > 3 * moved(0.1) > 0


def test_a_student_without_teachers_say_is_training_from_scratch() -> None:
    start = original("mobile")
    scratch = Distill("compressed", weight=0.0, fresh=True)
    spelled = canonical(Genome((scratch,))).stages[0]
    first = apply_stage(_start("mobile"), scratch, start, 5).module.state_dict()
    second = apply_stage(_start("mobile"), spelled, start, 5).module.state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
