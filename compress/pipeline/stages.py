"""One stage applied to a network: a pure function of (network, stage, original, seed).

The network handed in is never changed. Training runs under the network's quantization where it
has one, so that distilling after `Quantize` is distilling during quantization-aware training.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from statistics import fmean
from typing import assert_never

from torch import nn

from compress.distillation.distill import Distillation, TeacherModel
from compress.distillation.student import student
from compress.errors import Infeasible
from compress.genome import Distill, Prune, Quantize, Scope, Sparsify, Stage
from compress.pipeline.network import Network, Original
from compress.pruning.batch_norm import reestimate
from compress.pruning.blocks import block_names, drop_blocks
from compress.pruning.groups import Group, find_groups
from compress.pruning.prune import CHANNEL_MULTIPLE, keep_ratios_by_round, prune
from compress.pruning.sparsify import sparsify
from compress.quantization.equalize import equalize
from compress.quantization.fake_quantize import FakeQuantized
from compress.training.checkpoint import Checkpoint
from compress.training.train import Forward, Schedule, cross_entropy, fit, seed_torch


def apply(
    network: Network,
    stage: Stage,
    original: Original,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> Network:
    """The network after `stage`, whose training goes on from `checkpoint` where it was cut off.

    Raises Infeasible where the stage cannot be applied to the network.
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
        case _:
            assert_never(stage)


def _prune(
    network: Network, stage: Prune, original: Original, seed: int, checkpoint: Checkpoint | None
) -> Network:
    """Blocks first, then channels in rounds of equal relative size, each followed by training."""
    shape = original.task.input_shape
    module = drop_blocks(network.module, shape, _present_blocks(network, stage, original))
    for step, ratios in enumerate(_rounds(module, stage, original)):
        scope: Scope = "global" if stage.scope == "global" else "group"
        module = prune(module, shape, ratios, stage.criterion, scope, original.probe)
        if stage.reestimate:
            module = reestimate(module, original.calibration)
        network = replace(network, module=module, learned=None)
        network = _trained(network, stage, original, seed + step, checkpoint, rounds=stage.rounds)
        module = network.module
    return network


def _rounds(module: nn.Module, stage: Prune, original: Original) -> tuple[tuple[float, ...], ...]:
    """Keep ratios of each round, relative to what the round before has left."""
    groups = find_groups(module, original.task.input_shape)
    widths = [group.channels for group in groups]
    if stage.scope == "global":
        # Groups that cannot be narrowed further have no part in the ranking; where none can, one
        # channel stands for them: it stays, and the rounds only train.
        ranked = sum(width for width in widths if width > CHANNEL_MULTIPLE)
        return keep_ratios_by_round([max(1, ranked)], stage.keep, stage.rounds)
    return keep_ratios_by_round(widths, _ratios(groups, stage, original), stage.rounds)


def _present_blocks(network: Network, stage: Prune, original: Original) -> tuple[str, ...]:
    """Names of the blocks to drop that no earlier stage has dropped."""
    unknown = [index for index in stage.drop if not 0 <= index < len(original.blocks)]
    if unknown:
        raise Infeasible(
            f"blocks {unknown}: {original.task.name} has {len(original.blocks)} removable "
            f"blocks: {', '.join(original.blocks) or 'none'}"
        )
    there = block_names(network.module, original.task.input_shape)
    wanted = {original.blocks[index] for index in stage.drop}
    return tuple(name for name in there if name in wanted)


def _ratios(groups: tuple[Group, ...], stage: Prune, original: Original) -> tuple[float, ...]:
    """Keep ratios for the network's groups as they are now, found by name.

    A group that the original did not have takes the ratio of the layer it was made from, else
    the mean of all.
    """
    if stage.scope == "uniform":
        return stage.keep * len(groups)
    if len(stage.keep) != len(original.groups):
        raise Infeasible(
            f"{len(stage.keep)} keep ratios for {len(original.groups)} groups: "
            f"{', '.join(original.groups)}"
        )
    by_name = dict(zip(original.groups, stage.keep, strict=True))

    def ratio(name: str) -> float:
        sources = [known for known in by_name if name == known or name.startswith(f"{known}.")]
        return by_name[max(sources, key=len)] if sources else fmean(stage.keep)

    return tuple(ratio(group.name) for group in groups)


def _sparsify(
    network: Network, stage: Sparsify, original: Original, seed: int, checkpoint: Checkpoint | None
) -> Network:
    """The share of zeros rises as in arXiv:1710.01878: fast at first, cubically slower."""
    for step in range(1, stage.rounds + 1):
        share = stage.share * (1 - (1 - step / stage.rounds) ** 3)
        module = sparsify(network.module, share, stage.pattern, stage.scope)
        network = replace(network, module=module, sparse=True)
        network = _trained(network, stage, original, seed + step, checkpoint, rounds=stage.rounds)
    return network


def _quantize(
    network: Network, stage: Quantize, original: Original, seed: int, checkpoint: Checkpoint | None
) -> Network:
    module = copy.deepcopy(network.module)
    if stage.equalize:
        module = equalize(module, original.task.input_shape)
    scheme = replace(network, module=module, spec=stage, learned=None)
    return _trained(scheme, stage, original, seed, checkpoint)


def _distill(
    network: Network, stage: Distill, original: Original, seed: int, checkpoint: Checkpoint | None
) -> Network:
    """A student in another shape is dense again: its zeros are no longer those that were chosen."""
    seed_torch(seed)
    pupil = replace(
        network,
        module=student(network.module, original.task.input_shape, stage),
        learned=None,
        sparse=network.sparse and not stage.reshapes,
    )
    if stage.epochs == 0:
        return pupil
    first = TeacherModel(original.module, original.module, original.logits)
    second = TeacherModel(network.module, _forward(network, original))
    teachers = {"original": (first,), "compressed": (second,), "both": (first, second)}
    return _trained(pupil, stage, original, seed, checkpoint, teachers[stage.teacher])


def _trained(
    network: Network,
    stage: Stage,
    original: Original,
    seed: int,
    checkpoint: Checkpoint | None,
    teachers: tuple[TeacherModel, ...] = (),
    rounds: int = 1,
) -> Network:
    """The network with its module fitted, in place, and with the ranges that it learned.

    One of `rounds` equal shares of the stage's training: from `teachers`, or from labels alone.
    """
    if stage.epochs == 0:
        return network
    module, forward, train = network.module, _forward(network, original), original.data.train
    usual = original.task.fine_tune
    recipe = replace(usual, learning_rate=usual.learning_rate * stage.rate)
    schedule = Schedule(recipe, stage.epochs / rounds, seed)
    ranges = forward.parameters_to_learn if isinstance(forward, FakeQuantized) else ()
    loss, run, extra = cross_entropy, forward, ranges
    if isinstance(stage, Distill):
        shape = original.task.input_shape
        taught = Distillation(stage, teachers, module, forward, shape, train)
        loss, run, extra = taught.loss, taught.forward, (*ranges, *taught.parameters)
    part = None if checkpoint is None else checkpoint.part(seed)
    fit(module, train, schedule, loss, run, None, extra, network.sparse, part)
    if ranges and isinstance(forward, FakeQuantized):
        return replace(network, learned=forward.learned())
    return network


def _forward(network: Network, original: Original) -> Forward:
    """How the network answers: as float, or as its integers will."""
    if network.spec is None:
        return network.module
    return FakeQuantized(
        network.module, network.spec, original.calibration, original.layers, network.learned
    )
