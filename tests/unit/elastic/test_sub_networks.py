"""Elastic networks: sorted channels, shared slices, training of all widths, picks."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from random import Random

import pytest
import torch
from torch import Tensor, nn

from compress.elastic.depth import optional_blocks
from compress.elastic.inherited import inherited_accuracies
from compress.elastic.pick import learned_of_pick, picked, shape_of_ratios
from compress.elastic.sandwich import random_shape
from compress.elastic.slices import SharedNetwork, SubNetworkShape
from compress.elastic.sort import sort_channels
from compress.errors import Infeasible
from compress.genome import Distill, Elastic, Genome, Pick, Prune, Quantize
from compress.pipeline.network import Network, Original
from compress.pipeline.pipeline import compress, lower_network, run_stages
from compress.pipeline.stages import apply_stage
from compress.pruning.batch_norm import reestimate
from compress.pruning.blocks import drop_blocks
from compress.pruning.groups import find_groups
from compress.pruning.importance import scores
from compress.quantization.fake_quantize import FakeQuantized
from compress.splits import halves
from compress.tasks.digits import net as digits_net
from compress.tflite.exporter import export_tflite
from helpers.networks import NETWORKS, original
from helpers.oracles import assert_oracles_compute
from helpers.typed_tasks import TYPES, original_for

KEEP = (0.5, 0.75, 0.25, 0.6, 0.5, 0.75, 1.0)


def _keep(start: Original) -> tuple[float, ...]:
    return KEEP[: len(start.groups)]


def _x(start: Original) -> Tensor:
    return torch.from_numpy(start.data.val.x)


@cache
def _elastic(name: str) -> Network:
    start = original(name)
    return apply_stage(Network(start.lean), Elastic(epochs=2), start, 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_sorting_keeps_the_function_and_puts_the_most_important_first(name: str) -> None:
    start = original(name)
    made = sort_channels(start.lean, start.task.input_shape)
    with torch.no_grad():
        torch.testing.assert_close(made(_x(start)), start.lean(_x(start)), rtol=1e-5, atol=1e-5)
    groups = find_groups(made, start.task.input_shape)
    assert [group.name for group in groups] == list(start.groups)
    for score in scores(made, groups, "l2"):
        assert torch.all(score[:-1] >= score[1:] * (1 - 1e-6))


@pytest.mark.parametrize("name", NETWORKS)
def test_an_untrained_pick_is_what_pruning_leaves(name: str) -> None:
    start = original(name)
    keep = _keep(start)
    picked_one = run_stages((Elastic(epochs=0), Pick(keep)), start).network.module
    pruned = run_stages((Prune(keep, epochs=0),), start).network.module
    pruned = reestimate(pruned, start.statistics)
    with torch.no_grad():
        torch.testing.assert_close(picked_one(_x(start)), pruned(_x(start)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_a_sub_network_are_those_of_a_network_of_its_own(name: str) -> None:
    start = original(name)
    module = sort_channels(start.lean, start.task.input_shape)
    shared = SharedNetwork(module, start.task.input_shape)
    shape = shape_of_ratios(shared.groups, _keep(start))
    sub, alone = shared.sub_network(shape), picked(module, shared.groups, shape)
    torch.manual_seed(0)
    sub(*[_x(start)]).square().sum().backward()  # type: ignore[union-attr]
    alone(_x(start)).square().sum().backward()
    cuts = {cut.name: cut for cut in sub.cuts}
    for key, value in module.named_parameters():
        wanted = alone.get_parameter(key).grad
        assert value.grad is not None
        assert wanted is not None
        torch.testing.assert_close(cuts[key].of(value.grad), wanted)
        assert int((value.grad != 0).sum()) == int((wanted != 0).sum())  # none beside the slice


@pytest.mark.parametrize("name", ["resnet", "mobile", "gated"])
def test_fake_quantization_of_a_sub_network_is_that_of_the_pick(name: str) -> None:
    """Against a network of its own with the learned ranges that the pick gets."""
    start = original(name)
    spec, keep = Quantize((4,), learn_ranges=True), _keep(start)
    module = sort_channels(start.lean, start.task.input_shape)
    whole = FakeQuantized(module, spec, start.calibration)
    with torch.no_grad():
        for number, ranges in enumerate(whole.parameters_to_learn):
            ranges.add_(0.05 * (number % 3))
    shared = SharedNetwork(module, start.task.input_shape, whole)
    shape = shape_of_ratios(shared.groups, keep)
    pick = picked(module, shared.groups, shape)
    learned = learned_of_pick(module, start.task.input_shape, whole, shape, pick)
    alone = FakeQuantized(pick, spec, start.calibration, learned=learned)
    with torch.no_grad():
        torch.testing.assert_close(
            shared.sub_network(shape)(_x(start)), alone(_x(start)), rtol=1e-4, atol=1e-5
        )


def test_the_widest_sub_network_is_the_network() -> None:
    start = original("gated")
    module = sort_channels(start.lean, start.task.input_shape)
    shared = SharedNetwork(module, start.task.input_shape)
    assert torch.equal(shared.sub_network(shared.widest)(_x(start)), module(_x(start)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["resnet", "mobile"])
def test_a_sub_network_leaves_the_networks_statistics_alone(name: str) -> None:
    start = original(name)
    module = sort_channels(start.lean, start.task.input_shape).train()
    shared = SharedNetwork(module, start.task.input_shape)
    before = {key: value.clone() for key, value in module.named_buffers()}
    sub = shared.sub_network(shape_of_ratios(shared.groups, _keep(start)))
    first = {key: value.clone() for key, value in sub.layers.named_buffers()}
    sub(_x(start))
    after = dict(sub.layers.named_buffers())
    assert any(not torch.equal(value, after[key]) for key, value in first.items())
    assert all(torch.equal(value, before[key]) for key, value in module.named_buffers())
    sub.renew()
    assert all(torch.equal(value, after[key]) for key, value in first.items())


def test_random_shapes_lie_between_and_reach_both_ends() -> None:
    least, widest = SubNetworkShape((4, 8, 7)), SubNetworkShape((18, 8, 7))
    drawn = [random_shape(Random(seed), widest, least, ("a", "b")) for seed in range(400)]
    firsts = {shape.widths[0] for shape in drawn}
    assert firsts == {4, 8, 12, 16, 18}
    assert {shape.widths[1:] for shape in drawn} == {(8, 7)}
    assert {shape.dropped for shape in drawn} == {(), ("a",), ("b",), ("a", "b")}


@pytest.mark.parametrize("name", ["resnet", "mobile"])
def test_training_lowers_the_loss_of_every_width(name: str) -> None:
    start = original(name)
    longer = replace(start.task, fine_tune=replace(start.task.fine_tune, batch=12))
    start = Original(longer, start.data, start.module, 0)
    target = torch.from_numpy(start.data.train.y)

    def losses(epochs: float) -> list[float]:  # on labels of noise, which are hard to learn
        network = apply_stage(Network(start.lean), Elastic(epochs=epochs, weight=0.0), start, 1)
        found = []
        for ratio in (0.25, 0.6, 1.0):
            pick = apply_stage(network, Pick((ratio,) * len(start.groups)), start, 1).module
            with torch.no_grad():
                found.append(float(nn.functional.cross_entropy(pick(_x(start)), target)))
        return found

    for before, after in zip(losses(0), losses(20), strict=True):
        assert after < 0.97 * before


def test_residual_units_are_optional_and_blocks_between_groups_are_not() -> None:
    start = original("resnet")
    assert optional_blocks(start.lean, start.task.input_shape)[:2] == ("unit1", "unit2")
    assert original("mobile").blocks == ()
    assert optional_blocks(digits_net().eval(), (1, 8, 8)) == ()


def test_a_sub_network_without_a_block_is_the_narrowed_network_without_it() -> None:
    start = original("resnet")
    shape = start.task.input_shape
    module = sort_channels(start.lean, shape)
    shared = SharedNetwork(module, shape)
    widths = shape_of_ratios(shared.groups, _keep(start)).widths
    without = drop_blocks(module, shape, ("unit1",))
    groups = find_groups(without, shape)
    left = tuple(w for g, w in zip(shared.groups, widths, strict=True) if g.name in _names(groups))
    wanted = picked(without, groups, SubNetworkShape(left))
    sub = shared.sub_network(SubNetworkShape(widths, ("unit1",)))
    with torch.no_grad():
        torch.testing.assert_close(sub(_x(start)), wanted(_x(start)))


def _names(groups: tuple[object, ...]) -> set[str]:
    return {group.name for group in groups}  # type: ignore[attr-defined]


def test_depth_is_trained_and_picked() -> None:
    start = original("resnet")
    unit = start.blocks.index("unit2")
    network = apply_stage(Network(start.lean), Elastic(depth=True, epochs=1), start, 1)
    pick = apply_stage(network, Pick(_keep(start), (unit,)), start, 1)
    assert isinstance(pick.module.get_submodule("unit2"), nn.Identity)
    (accuracy,) = inherited_accuracies(network, [Pick(_keep(start), (unit,))], start, 100)
    screening, _ = halves(start.data.val)
    with torch.no_grad():
        right = pick.module(torch.from_numpy(screening.x)).argmax(1).numpy() == screening.y
    assert accuracy == pytest.approx(right.mean())


@pytest.mark.parametrize("name", NETWORKS)
def test_an_inherited_accuracy_is_that_of_the_pick(name: str) -> None:
    start, network = original(name), _elastic(name)
    picks = [Pick(_keep(start)), Pick((1.0,) * len(start.groups)), Pick(_keep(start))]
    found = inherited_accuracies(network, picks, start, 1000)
    screening, _ = halves(start.data.val)
    for pick, accuracy in zip(picks, found, strict=True):
        module = apply_stage(network, pick, start, 1).module
        with torch.no_grad():
            right = module(torch.from_numpy(screening.x)).argmax(1).numpy() == screening.y
        assert accuracy == pytest.approx(right.mean())
    assert found[0] == found[2]
    assert inherited_accuracies(network, picks[1:], start, 1000) == found[1:]


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_of_task_trains_and_picks(kind: str) -> None:
    start = original_for(kind)
    network = apply_stage(Network(start.lean), Elastic(epochs=0.2), start, 1)
    keep = (0.5,) * len(start.groups)
    narrow_groups, whole = inherited_accuracies(
        network, [Pick(keep), Pick((1.0,) * len(keep))], start, 50
    )
    assert narrow_groups != whole
    model = compress(Genome((Elastic(epochs=0.2), Pick(keep), Quantize())), start)
    assert model.graph.output_tensor.elements > 0


@pytest.mark.parametrize("order", ["QED", "PEQD", "EQD", "EDQ", "EQID"])
@pytest.mark.parametrize("name", ["resnet", "mobile"])
def test_any_order_of_stages_lowers_to_a_graph_that_the_oracles_compute(
    order: str, name: str
) -> None:
    start = original(name)
    made = {
        "P": (Prune((0.75,), scope="uniform", epochs=1),),
        "Q": (Quantize((4,), learn_ranges=True, epochs=1),),
        "D": (Distill(),),
        "E": (Elastic(epochs=1),) if "I" in order else (Elastic(epochs=1), Pick(_keep(start))),
        "I": (Pick(_keep(start)),),
    }
    genome = Genome(tuple(stage for letter in order for stage in made[letter]))
    assert genome.order == order
    model = compress(genome, start)
    assert_oracles_compute(export_tflite(model.graph), model.graph, model.samples.inputs)
    uncompressed = lower_network(Network(start.lean), start)
    assert sum(t.size_bytes for t in model.graph.tensors) < sum(
        t.size_bytes for t in uncompressed.tensors
    )


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ((Pick((0.5, 0.5)),), "put an Elastic before"),
        ((Elastic(epochs=0), Pick((0.5,))), "1 keep ratios for 2 groups"),
        ((Elastic(epochs=0), Pick((0.5, 0.0))), "0 < ratio <= 1"),
        ((Elastic(epochs=0), Pick((0.5, 0.5), (9,))), r"blocks \[9\]"),
        ((Elastic(narrowest=0.0),), "0 < narrowest <= 1"),
        ((Quantize(), Elastic(depth=True)), "depth cannot train under a Quantize"),
    ],
)
def test_what_cannot_be_applied_says_why(stages: tuple[object, ...], words: str) -> None:
    with pytest.raises(Infeasible, match=words):
        run_stages(stages, original("mobile"))  # type: ignore[arg-type]
