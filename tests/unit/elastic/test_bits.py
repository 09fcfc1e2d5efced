"""Elastic networks at several bit widths: rounded slices, learned step sizes, picks with bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from random import Random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compress.elastic.bit_weights import BitWeights, Steps
from compress.elastic.inherited import inherited_accuracies
from compress.elastic.pick import shape_of_ratios
from compress.elastic.sandwich import random_bits
from compress.elastic.slices import SharedNetwork
from compress.errors import Infeasible
from compress.genome import Distill, Elastic, Genome, Pick, Quantize
from compress.pipeline.network import Network, Original, train_original
from compress.pipeline.pipeline import compress, evaluate, lower_network, preview, run_stages
from compress.pipeline.prefix_cache import PrefixCache
from compress.pipeline.stages import apply_stage
from compress.pruning.groups import Group
from compress.splits import halves
from compress.tasks.digits import TASK
from compress.tflite.exporter import export_tflite
from compress.types import Recipe
from helpers.networks import original
from helpers.oracles import assert_oracles_compute

WIDTHS = (8, 4, 2)
LARGEST = {8: 127, 4: 7, 2: 1}
ELASTIC = Elastic(bits=WIDTHS, epochs=2)
# A residual and a depthwise network, in which all weights have a step per output channel but for
# the last layer's, which no batch-norm follows.
NETS = ("resnet", "mobile")


def _keep(start: Original) -> tuple[float, ...]:
    return (0.5, 0.75, 0.25, 0.6, 0.5, 0.75, 1.0)[: len(start.groups)]


def _mixed_bits(start: Original) -> tuple[int, ...]:
    return tuple(WIDTHS[number % 3] for number in range(len(start.layers)))


def _x(start: Original) -> Tensor:
    return torch.from_numpy(start.data.val.x)


@cache
def _elastic(name: str) -> Network:
    start = original(name)
    return apply_stage(Network(start.lean), ELASTIC, start, 1)


def _on_grid(weight: Tensor, step: np.ndarray, bits: int) -> Tensor:
    """Weights rounded in float64, whose first axis is that of the steps."""
    steps = step.astype(np.float64).reshape(-1, *[1] * (weight.dim() - 1))
    integers = np.clip(np.round(weight.detach().numpy() / steps), -LARGEST[bits], LARGEST[bits])
    return torch.from_numpy((integers * steps).astype(np.float32))


def _masked(
    module: nn.Module, groups: tuple[Group, ...], widths: tuple[int, ...]
) -> list[torch.utils.hooks.RemovableHandle]:
    """Let every layer of a group give zero for the channels beyond its width."""
    handles = []
    for group, width in zip(groups, widths, strict=True):
        for member in group.members:
            if member.side == "out":
                gone = torch.from_numpy(member.slices[width:].ravel())

                def zero(_: nn.Module, __: object, out: Tensor, gone: Tensor = gone) -> Tensor:
                    return out.index_fill(1, gone, 0.0)

                handles.append(module.get_submodule(member.layer).register_forward_hook(zero))
    return handles


@pytest.mark.parametrize("name", NETS)
def test_a_sub_network_with_bits_is_the_masked_dense_one_with_layers_rounded_alone(
    name: str,
) -> None:
    start, network = original(name), _elastic(name)
    shape = start.task.input_shape
    weights = BitWeights(network.module, shape, WIDTHS, network.steps)
    shared = SharedNetwork(network.module, shape, weights=weights)
    wanted = shape_of_ratios(shared.groups, _keep(start))
    bits = dict(zip(start.layers, _mixed_bits(start), strict=True))
    with torch.no_grad():
        found = shared.sub_network(wanted, bits)(_x(start))
        dense = apply_stage(network, Pick((1.0,) * len(start.groups)), start, 1).module
        dense.load_state_dict(network.module.state_dict())
        for layer, width in bits.items():
            value = dense.get_submodule(layer).weight
            value.copy_(_on_grid(value, network.steps[width][layer], width))
        _masked(dense, shared.groups, wanted.widths)
        torch.testing.assert_close(found, dense(_x(start)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_step_sizes_are_trained_for_the_bits_that_ran(name: str) -> None:
    start = original(name)
    shape = start.task.input_shape
    weights = BitWeights(start.lean, shape, WIDTHS)
    shared = SharedNetwork(start.lean, shape, weights=weights)
    bits = dict(zip(start.layers, _mixed_bits(start), strict=True))
    wanted = shape_of_ratios(shared.groups, _keep(start))
    shared.sub_network(wanted, bits)(_x(start)).square().sum().backward()  # type: ignore[union-attr]
    sizes = iter(weights.parameters_to_learn)
    for width in WIDTHS:
        for layer in weights.names:
            grad = next(sizes).grad
            assert (grad is not None and bool(grad.any())) == (bits[layer] == width)
    before = BitWeights(_elastic(name).module, shape, WIDTHS).steps()
    assert _differ(before, _elastic(name).steps)


def _differ(one: Steps, other: Steps) -> bool:
    return all(
        not np.allclose(one[width][layer], other[width][layer])
        for width in WIDTHS
        for layer in one[width]
    )


def test_bits_are_drawn_alike_and_mixed() -> None:
    start = original("resnet")
    weights = BitWeights(start.lean, start.task.input_shape, WIDTHS)
    drawn = [random_bits(Random(seed), weights) for seed in range(60)]
    alike = [set(bits.values()) for bits in drawn if bits and len(set(bits.values())) == 1]
    assert len(alike) in range(15, 46)
    assert {min(bits) for bits in alike} == set(WIDTHS)
    state = Random(1)
    assert random_bits(state, None) is None
    assert state.random() == Random(1).random()


@pytest.mark.parametrize("name", NETS)
def test_an_inherited_accuracy_is_that_of_the_pick_at_its_bits(name: str) -> None:
    start, network = original(name), _elastic(name)
    pick = Pick(_keep(start), bits=_mixed_bits(start))
    picks = [pick, replace(pick, bits=(2,)), replace(pick, bits=()), pick]
    found = inherited_accuracies(network, picks, start, 1000)
    assert found[0] == found[3]
    screening, _ = halves(start.data.val)
    made = apply_stage(network, pick, start, 1)
    module = made.module
    with torch.no_grad():
        for layer, steps in _steps_of_pick(made, start).items():
            width = pick.bits[start.layers.index(layer)]
            value = module.get_submodule(layer).weight
            value.copy_(_on_grid(value, steps, width))
        outputs = module(torch.from_numpy(screening.x))
    right = outputs.argmax(1).numpy() == screening.y
    assert found[0] == pytest.approx(right.mean())


def test_one_step_of_a_layer_is_that_of_weights_with_the_batch_norm_folded_in() -> None:
    start, network = original("perceptron"), _elastic("perceptron")
    weights = BitWeights(network.module, start.task.input_shape, WIDTHS, network.steps)
    for width in WIDTHS:
        rounded = weights.rounded(dict.fromkeys(weights.names, width))
        for layer, norm in (("1", "2"), ("4", "5")):
            scale = network.module.get_submodule(norm)
            assert isinstance(scale, nn.BatchNorm1d)
            assert scale.running_var is not None
            factor = scale.weight / torch.sqrt(scale.running_var + scale.eps)
            (step,) = network.steps[width][layer]
            integers = rounded[f"{layer}.weight"] * factor[:, None] / step
            torch.testing.assert_close(integers, integers.round(), rtol=0, atol=1e-3)
            assert float(integers.detach().abs().max()) == pytest.approx(LARGEST[width], rel=0.5)


def _steps_of_pick(network: Network, start: Original) -> Mapping[str, np.ndarray]:
    """Its step sizes, sliced like the channels of its layers: those of the bits that it has."""
    bits = dict(zip(start.layers, network.picked_bits, strict=True))
    return {layer: network.steps[width][layer] for layer, width in bits.items()}


@pytest.mark.parametrize("name", NETS)
def test_a_scheme_with_the_same_bits_lowers_to_the_grids_of_the_pick(name: str) -> None:
    start = original(name)
    bits = _mixed_bits(start)
    pick = apply_stage(_elastic(name), Pick(_keep(start), bits=bits), start, 1)
    graph = lower_network(apply_stage(pick, Quantize(bits), start, 1), start)
    constants = [t.data for t in graph.tensors if t.data is not None and t.data.dtype == np.int8]
    steps = _steps_of_pick(pick, start)
    for layer, width in zip(start.layers, bits, strict=True):
        weight = pick.module.get_submodule(layer).weight.detach()
        limit, step = LARGEST[width], steps[layer].reshape(-1, *[1] * (weight.dim() - 1))
        norm = np.sign(_factor(pick.module, layer)).reshape(-1, *[1] * (weight.dim() - 1))
        wanted = np.clip(np.round(weight.numpy() * norm / step), -limit, limit)
        assert any(
            data.size == wanted.size
            and np.array_equal(np.sort(data.ravel()), np.sort(wanted.ravel()))
            for data in constants
        )
    other = apply_stage(pick, Quantize((8,)), start, 1)
    assert other.learned is None
    assert apply_stage(pick, Quantize(bits, equalize=True), start, 1).learned is None


def _factor(module: nn.Module, layer: str) -> np.ndarray:
    """The scale of the batch-norm right after a layer of these networks, or 1."""
    names = [name for name, _ in module.named_modules()]
    after = module.get_submodule(names[min(names.index(layer) + 1, len(names) - 1)])
    if isinstance(after, nn.BatchNorm2d):
        found: np.ndarray = after.weight.detach().numpy()
        return found
    return np.ones(1, np.float32)


@pytest.mark.parametrize("between", ["", "Q", "QD"])
def test_training_starts_from_the_steps_of_the_pick(between: str) -> None:
    start = original("mobile")
    pick = apply_stage(_elastic("mobile"), Pick(_keep(start), bits=(2,)), start, 1)
    scheme = Quantize((2,), learn_ranges=True)
    stages = {
        "": (replace(scheme, epochs=1),),
        "Q": (scheme, Distill(epochs=1)),
        "QD": (scheme, Distill(epochs=0), Distill(epochs=1)),
    }
    network = pick
    for stage in stages[between]:
        network = apply_stage(network, replace(stage, rate=1e-9), start, 1)
    assert pick.learned is not None
    assert network.learned is not None
    assert network.learned.grids
    for call, peaks in network.learned.peaks.items():
        if call == "classify":  # batch-norm statistics move in training
            np.testing.assert_allclose(peaks, pick.learned.peaks[call], rtol=1e-5)
    narrower = apply_stage(
        apply_stage(pick, scheme, start, 1), Distill(width=0.5, epochs=0), start, 1
    )
    assert narrower.learned is None
    assert apply_stage(pick, Distill(epochs=1), start, 1).learned is None


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Original, PrefixCache, Network]:
    folder = tmp_path_factory.mktemp("bits")
    quick = replace(TASK, recipe=Recipe(epochs=2, batch=64, learning_rate=0.01))
    start = train_original(quick, quick.load(), 0, folder / "original.pt")
    cache = PrefixCache(folder / "cache", "here")
    return start, cache, run_stages((ELASTIC,), start, cache).network


def test_quantized_without_training_it_keeps_what_the_pick_inherits(
    digits: tuple[Original, PrefixCache, Network],
) -> None:
    """And is better than the same float sub-network with step sizes found afterwards."""
    start, _, network = digits
    screening, _ = halves(start.judged)
    for ratio, bits in ((1.0, 4), (1.0, 2), (0.75, 2)):
        pick = Pick((ratio,) * len(start.groups), bits=(bits,))
        (inherited,) = inherited_accuracies(network, [pick], start, 10_000)
        shares = []
        for source in (pick, replace(pick, bits=())):
            made = apply_stage(network, source, start, 1)
            quantized = apply_stage(made, Quantize((bits,), weight_range="mse"), start, 1)
            shares.append(
                evaluate(lower_network(quantized, start), screening, start.judge, 4).accuracy
            )
        assert shares[0] == pytest.approx(inherited, abs=0.03)
        assert shares[0] >= shares[1]
        assert bits == 4 or shares[0] > shares[1] + 0.02


def test_a_genome_with_bits_is_cached_and_previewed_as_others(
    digits: tuple[Original, PrefixCache, Network],
) -> None:
    start, cache, network = digits
    keep, bits = (0.5, 0.75, 1.0), (8, 4, 2, 4)
    genome = Genome((ELASTIC, Pick(keep, bits=bits), Quantize(bits)))
    again = run_stages(Genome.from_json(genome.to_json()).stages[:1], start, cache)
    assert again.costs[0].cached
    assert not _differ(again.network.steps, network.steps)
    models = [compress(genome, start, cache, fidelity) for fidelity in (1.0, 0.0)]
    weights = [
        [t.data.tobytes() for t in model.graph.tensors if t.data is not None] for model in models
    ]
    assert weights[0] == weights[1]  # nothing trains after the pick
    model = models[0]
    assert_oracles_compute(export_tflite(model.graph), model.graph, model.samples.inputs)
    shapes = [[t.shape for t in graph.tensors] for graph in (model.graph, preview(genome, start))]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ((Elastic(bits=(8, 3)),), "allowed are 8, 4, 2, each once"),
        ((Quantize(), Elastic(bits=(8, 4))), "bits cannot train under a Quantize"),
        ((Elastic(epochs=0), Pick((0.5, 0.5), bits=(4,))), "needs an Elastic with these bits"),
        ((Elastic(epochs=0, bits=(8, 4)), Pick((0.5, 0.5), bits=(2,))), "2 bits of an Elastic"),
        ((Elastic(epochs=0, bits=(8,)), Pick((0.5, 0.5), bits=(8, 8))), "2 bit widths of weights"),
        (
            (
                Elastic(epochs=0, bits=(8, 4)),
                Distill(width=0.5, epochs=0),
                Pick((0.5, 0.5), bits=(4,)),
            ),
            "other channels than the step sizes",
        ),
    ],
)
def test_bits_that_cannot_be_applied_say_why(stages: tuple[object, ...], words: str) -> None:
    with pytest.raises(Infeasible, match=words):
        run_stages(stages, original("mobile"))  # type: ignore[arg-type]
