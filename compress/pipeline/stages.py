"""Application of one stage to a network: a pure function of (network, stage, original, seed).

The network passed in is never changed. A network with a quantization scheme trains with fake
quantization: distillation after `Quantize` is combined with quantization-aware training.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from torch import nn

from compress.distillation.distill import Distillation, TeacherModel, distillation_loss
from compress.distillation.student import student
from compress.elastic.bit_weights import (
    BitWeights,
    bits_of_pick,
    check_widths,
    weights_at_bits,
)
from compress.elastic.depth import optional_blocks
from compress.elastic.pick import learned_of_pick, picked, shape_of_ratios, steps_of_pick
from compress.elastic.sandwich import train_elastic
from compress.elastic.slices import SharedNetwork, SubNetworkShape
from compress.elastic.sort import sort_channels
from compress.errors import Infeasible
from compress.genome import Distill, Elastic, Pick, Prune, Quantize, Scope, Sparsify, Stage
from compress.pipeline.network import Network, Original
from compress.pruning.batch_norm import reestimate, with_statistics
from compress.pruning.blocks import drop_blocks, present_blocks
from compress.pruning.groups import Group, find_groups
from compress.pruning.prune import CHANNEL_MULTIPLE, keep_ratios_by_round, prune, ratios_of
from compress.pruning.sparsify import sparsify
from compress.quantization.equalize import equalize
from compress.quantization.fake_quantize import FakeQuantized
from compress.quantization.scheme import Learned
from compress.tracing.normalize import copied
from compress.training.checkpoint import Checkpoint
from compress.training.train import Forward, Schedule, fit, loss_of, seed_torch
from compress.types import Recipe


def apply_stage(
    network: Network,
    stage: Stage,
    original: Original,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> Network:
    """Apply `stage` and return the new network; continue its training from `checkpoint` if any.

    Raises Infeasible for a stage that cannot be applied to the network.
    """
    match stage:
        case Prune():
            return _prune(network, stage, original, seed, checkpoint)
        case Sparsify():
            return _sparsify(network, stage, original, seed, checkpoint)
        case Quantize():
            return _quantize(network, stage, original, seed, checkpoint)
        case Distill():
            return _distill(network, stage, original, seed, checkpoint)
        case Elastic():
            return _elastic(network, stage, original, seed, checkpoint)
        case Pick():
            return _pick(network, stage, original)
        case _:
            assert_never(stage)


def _prune(
    network: Network, stage: Prune, original: Original, seed: int, checkpoint: Checkpoint | None
) -> Network:
    """Remove blocks, then channels in rounds of equal keep ratio, each followed by training."""
    shape = original.task.input_shape
    dropped = present_blocks(network.module, shape, stage.drop, original.blocks)
    module = drop_blocks(network.module, shape, dropped)
    for step, ratios in enumerate(_rounds(module, stage, original)):
        scope: Scope = "global" if stage.scope == "global" else "group"
        module = prune(
            module, shape, ratios, stage.criterion, scope, original.probe, original.rules.loss
        )
        if stage.reestimate:
            module = reestimate(module, original.calibration)
        network = replace(network, module=module, learned=None)
        network = _trained(network, stage, original, seed + step, checkpoint, rounds=stage.rounds)
        module = network.module
    return network


def _rounds(module: nn.Module, stage: Prune, original: Original) -> tuple[tuple[float, ...], ...]:
    """Keep ratios of each round, relative to the channels that the round before has kept."""
    groups = find_groups(module, original.task.input_shape)
    widths = [group.channels for group in groups]
    if stage.scope == "global":
        # Groups of minimal width are not ranked. If all groups are minimal, a placeholder of one
        # channel, which is always kept, makes the rounds only train.
        ranked = sum(width for width in widths if width > CHANNEL_MULTIPLE)
        return keep_ratios_by_round([max(1, ranked)], stage.keep, stage.rounds)
    return keep_ratios_by_round(widths, _ratios(groups, stage, original), stage.rounds)


def _ratios(groups: tuple[Group, ...], stage: Prune, original: Original) -> tuple[float, ...]:
    """Keep ratios of the network's present groups, by the names of the original's groups."""
    if stage.scope == "uniform":
        return stage.keep * len(groups)
    return ratios_of([group.name for group in groups], original.groups, stage.keep)


def _sparsify(
    network: Network, stage: Sparsify, original: Original, seed: int, checkpoint: Checkpoint | None
) -> Network:
    """Zero weights in rounds; the share follows the cubic schedule of arXiv:1710.01878, eq. 1."""
    for step in range(1, stage.rounds + 1):
        share = stage.share * (1 - (1 - step / stage.rounds) ** 3)
        module = sparsify(network.module, share, stage.pattern, stage.scope)
        network = replace(network, module=module, sparse=True)
        network = _trained(network, stage, original, seed + step, checkpoint, rounds=stage.rounds)
    return network


def _quantize(
    network: Network, stage: Quantize, original: Original, seed: int, checkpoint: Checkpoint | None
) -> Network:
    """Set the scheme and train. Step sizes start from those of a pick with the same bits."""
    module, learned = copied(network.module), None
    if stage.equalize:
        module = equalize(module, original.task.input_shape)
    elif network.picked_bits and _each(stage.weight_bits) == _each(network.picked_bits):
        learned = network.picked_steps
    scheme = replace(network, module=module, spec=stage, learned=learned, steps={}, picked_bits=())
    return _trained(scheme, stage, original, seed, checkpoint)


def _each(bits: tuple[int, ...]) -> tuple[int, ...]:
    """Bits in the form that equal ones share: a single one if all are the same."""
    return bits[:1] if len(set(bits)) == 1 else bits


def _distill(
    network: Network, stage: Distill, original: Original, seed: int, checkpoint: Checkpoint | None
) -> Network:
    """Train a student. One with new weights is dense: the zeros chosen by `Sparsify` are gone.

    One of the same shape starts from the step sizes of a pick with bits.
    """
    seed_torch(seed)
    same_shape = stage.narrowest == stage.depth == 1.0 and not stage.reshapes
    learner = replace(
        network,
        module=student(network.module, original.task.input_shape, stage, original.groups),
        learned=network.picked_steps if same_shape else None,
        sparse=network.sparse and not stage.reshapes,
    )
    if stage.epochs == 0:
        return learner
    first = TeacherModel(original.module, original.module, original.outputs)
    second = TeacherModel(network.module, _forward(network, original))
    teachers = {"original": (first,), "compressed": (second,), "both": (first, second)}
    return _trained(learner, stage, original, seed, checkpoint, teachers[stage.teacher])


def _elastic(
    network: Network, stage: Elastic, original: Original, seed: int, checkpoint: Checkpoint | None
) -> Network:
    """Sort the channels, then train all widths together, at all widths of bits if there are some.

    Learned step sizes of weights start again, as their channels have moved.
    """
    if not 0 < stage.narrowest <= 1:
        raise Infeasible(f"narrowest {stage.narrowest}: allowed is 0 < narrowest <= 1")
    if stage.depth and network.spec is not None:
        raise Infeasible("an Elastic with depth cannot train under a Quantize before it")
    if stage.bits and network.spec is not None:
        raise Infeasible("an Elastic with bits cannot train under a Quantize before it")
    check_widths(stage.bits)
    shape, rules = original.task.input_shape, original.rules
    module = sort_channels(network.module, shape)
    learned = None if network.learned is None else Learned(network.learned.grids)
    weights = BitWeights(module, shape, stage.bits) if stage.bits else None
    network = replace(
        network,
        module=module,
        learned=learned,
        elastic=True,
        steps=weights.steps() if weights else {},
        picked_bits=(),
    )
    if stage.epochs == 0:
        return network
    forward = _forward(network, original)
    quantized = forward if isinstance(forward, FakeQuantized) else None
    loss = loss_of(rules)
    if stage.weight > 0.0:
        teachers = original.outputs.unsqueeze(0)
        loss = distillation_loss(rules, teachers, stage.temperature, stage.weight)
    sizes = [one.parameters_to_learn for one in (quantized, weights) if one is not None]
    train_elastic(
        SharedNetwork(module, shape, quantized, weights),
        forward,
        original.train,
        Schedule(_recipe(stage, original), stage.epochs, seed),
        loss,
        stage.narrowest,
        blocks=optional_blocks(module, shape) if stage.depth else (),
        extra=sizes[0] if sizes else (),
        keep_zeros=network.sparse,
        checkpoint=None if checkpoint is None else checkpoint.for_round(seed),
    )
    if weights is not None:
        return replace(network, steps=weights.steps())
    return network if quantized is None else replace(network, learned=quantized.learned())


def _pick(network: Network, stage: Pick, original: Original) -> Network:
    """The first channels of each group, with batch-norm statistics of their own.

    With bits the statistics are those of weights rounded to them. Weights themselves stay float.
    """
    if not network.elastic:
        raise Infeasible("a Pick needs a network that Elastic has trained: put an Elastic before")
    shape = original.task.input_shape
    dropped = present_blocks(network.module, shape, stage.drop, original.blocks)
    whole = replace(network, module=drop_blocks(network.module, shape, dropped))
    groups = find_groups(whole.module, shape)
    names = [group.name for group in groups]
    wanted = shape_of_ratios(groups, ratios_of(names, original.groups, stage.keep))
    if stage.bits:
        return _pick_at_bits(whole, groups, wanted, stage.bits, original)
    pick = reestimate(picked(whole.module, groups, wanted), original.statistics)
    learned = None
    if network.learned is not None and not dropped:
        forward = _forward(whole, original)
        if isinstance(forward, FakeQuantized):
            learned = learned_of_pick(whole.module, shape, forward, wanted, pick)
    return replace(network, module=pick, learned=learned, steps={}, picked_bits=())


def _pick_at_bits(
    whole: Network,
    groups: tuple[Group, ...],
    wanted: SubNetworkShape,
    bits: tuple[int, ...],
    original: Original,
) -> Network:
    """The pick of the shape `wanted` with these bits, and the step sizes of its weights."""
    shape = original.task.input_shape
    weights = weights_at_bits(whole.module, shape, whole.steps)
    chosen = bits_of_pick(bits, original.layers, weights.names)
    rounded = picked(weights.rounded_copy(chosen), groups, wanted)
    pick = with_statistics(
        picked(whole.module, groups, wanted), reestimate(rounded, original.statistics)
    )
    steps = steps_of_pick(whole.module, shape, whole.steps, wanted)
    peaks = weights_at_bits(pick, shape, steps).peaks(chosen)
    return replace(whole, module=pick, learned=Learned(peaks=peaks), steps=steps, picked_bits=bits)


def _trained(
    network: Network,
    stage: Stage,
    original: Original,
    seed: int,
    checkpoint: Checkpoint | None,
    teachers: tuple[TeacherModel, ...] = (),
    rounds: int = 1,
) -> Network:
    """Train the network's module in place; return the network with the ranges it has learned.

    This is one of `rounds` equal shares of the stage's epochs. Without `teachers` the loss is that
    of the task's type.
    """
    if stage.epochs == 0:
        return network
    module, forward, train = network.module, _forward(network, original), original.train
    schedule = Schedule(_recipe(stage, original), stage.epochs / rounds, seed)
    ranges = forward.parameters_to_learn if isinstance(forward, FakeQuantized) else ()
    loss, run, extra = loss_of(original.rules), forward, ranges
    if isinstance(stage, Distill):
        shape = original.task.input_shape
        taught = Distillation(stage, teachers, module, forward, shape, train, original.rules)
        loss, run, extra = taught.loss, taught.forward, (*ranges, *taught.parameters)
    own_checkpoint = None if checkpoint is None else checkpoint.for_round(seed)
    fit(
        module,
        train,
        schedule,
        loss=loss,
        forward=run,
        extra=extra,
        keep_zeros=network.sparse,
        checkpoint=own_checkpoint,
    )
    if ranges and isinstance(forward, FakeQuantized):
        return replace(network, learned=forward.learned())
    return replace(network, learned=None, picked_bits=())


def _recipe(stage: Stage, original: Original) -> Recipe:
    """The task's fine-tuning at the stage's rate."""
    fine_tune = original.task.fine_tune
    return replace(fine_tune, learning_rate=fine_tune.learning_rate * stage.rate)


def _forward(network: Network, original: Original) -> Forward:
    """The function from a batch to outputs; with fake quantization if the network has a scheme."""
    if network.spec is None:
        return network.module
    return FakeQuantized(
        network.module, network.spec, original.calibration, original.layers, network.learned
    )
