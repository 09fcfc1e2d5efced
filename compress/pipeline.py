"""Apply a genome's stages, in its order, to a task's trained network; end in integers.

A network carries its quantization spec: `Quantize` sets it, later stages train under it, a
student inherits it, and whatever the order, the pipeline ends by lowering to the integer graph
with it. Every stage is a pure function of (network, stage, seed), and its seed depends on the
stages so far only: equal prefixes give equal networks.
"""

from __future__ import annotations

import copy
import hashlib
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from compress import reference
from compress.distill import distillation_loss, narrow
from compress.errors import Infeasible
from compress.genome import Distill, Genome, Prune, Quantize, Sparsify, Stage
from compress.lower import lower, quantize_input
from compress.prune import group_names, prune
from compress.quantize import FakeQuantized
from compress.train import (
    Forward,
    Loss,
    Schedule,
    Tick,
    cross_entropy,
    fit,
    predict,
    restore,
    save,
    seed_torch,
)
from compress.types import Array, Dataset, Graph, QuantizedModel, Samples, Split, StageCost, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

_CALIBRATION_SAMPLES = 256


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A float network and the quantization it will be lowered with, if a stage has set it."""

    module: nn.Module
    spec: Quantize | None = None


@dataclass(frozen=True)
class Original:
    """What every candidate of a run starts from: the task, its data and its trained network."""

    task: Task
    data: Dataset
    module: nn.Module
    seed: int
    calibration: Array = field(init=False)

    def __post_init__(self) -> None:
        chosen = np.random.default_rng(self.seed).permutation(len(self.data.train))
        object.__setattr__(self, "calibration", self.data.train.x[chosen[:_CALIBRATION_SAMPLES]])

    @cached_property
    def logits(self) -> Tensor:
        """The original's answers on the training split (N, classes), computed once."""
        return predict(self.module, self.data.train.x)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Names of the prunable dependency groups, in the order of `Prune.keep`."""
        return group_names(self.module, self.task.input_shape)


def train_original(
    task: Task, data: Dataset, seed: int, weights: Path, tick: Tick | None = None
) -> Original:
    """The task's network, trained with the task's recipe; `weights` is read if it exists."""
    seed_torch(seed)
    module = task.net()
    if weights.exists():
        restore(module, weights)
    else:
        fit(module, data.train, Schedule(task.recipe, task.recipe.epochs, seed), tick=tick)
        save(module, weights)
    return Original(task, data, module, seed)


def compress(genome: Genome, original: Original) -> QuantizedModel:
    """Run the genome's stages and lower the result.

    Raises Infeasible (UnsupportedLayer among it) where the genome cannot be applied.
    """
    network, costs = Network(copy.deepcopy(original.module)), list[StageCost]()
    for position, stage in enumerate(genome.stages):
        seed = stage_seed(original.seed, genome.stages[: position + 1])
        started = time.monotonic()
        match stage:
            case Prune():
                network = _prune(network, stage, original, seed)
            case Sparsify():
                raise Infeasible("sparsify is not applied yet")
            case Quantize():
                network = replace(network, spec=stage)
            case Distill():
                network = _distill(network, stage, original, seed)
        name = type(stage).__name__.lower()
        costs.append(StageCost(name, stage.epochs, time.monotonic() - started))
    spec = network.spec or Quantize()
    graph = lower(network.module, spec, original.calibration, original.task.name)
    accuracy, samples = examine(graph, original.data.val, original.task.device_samples)
    return QuantizedModel(genome, graph, accuracy, samples, tuple(costs))


def examine(graph: Graph, split: Split, device_samples: int) -> tuple[float, Samples]:
    """Accuracy of the integer reference on the whole split, and the samples for the device.

    The device gets an evenly spaced choice of at most `device_samples`, so that every part of the
    split (and so every class) is among them.
    """
    inputs = quantize_input(graph, split.x)
    outputs = reference.run(graph, inputs).reshape(len(split), -1)
    accuracy = float(np.mean(outputs.argmax(1) == split.y))
    chosen = np.linspace(0, len(split) - 1, min(device_samples, len(split))).round().astype(int)
    return accuracy, Samples(inputs[chosen], split.y[chosen], outputs[chosen])


def stage_seed(seed: int, prefix: tuple[Stage, ...]) -> int:
    """Seed of a prefix's last stage: equal prefixes of equal runs draw equal numbers."""
    digest = hashlib.sha256(f"{seed}:{Genome(prefix).key}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def _prune(network: Network, stage: Prune, original: Original, seed: int) -> Network:
    keep = stage.keep if stage.scope == "group" else stage.keep * len(original.groups)
    module = prune(network.module, original.task.input_shape, keep, stage.criterion)
    pruned = replace(network, module=module)
    _train(pruned, original, stage.epochs, seed, cross_entropy)
    return pruned


def _distill(network: Network, stage: Distill, original: Original, seed: int) -> Network:
    seed_torch(seed)
    if stage.teacher == "original":
        answers = original.logits
    else:
        answers = predict(_forward(network, original), original.data.train.x)
    shape = original.task.input_shape
    student = replace(network, module=narrow(network.module, shape, stage.width, stage.fresh))
    loss = distillation_loss(answers, stage.temperature, stage.weight)
    _train(student, original, stage.epochs, seed, loss)
    return student


def _train(network: Network, original: Original, epochs: int, seed: int, loss: Loss) -> None:
    """Fine-tune in place, under the network's quantization where it has one."""
    fit(
        network.module,
        original.data.train,
        Schedule(original.task.fine_tune, epochs, seed),
        loss,
        _forward(network, original),
    )


def _forward(network: Network, original: Original) -> Forward:
    if network.spec is None:
        return network.module
    return FakeQuantized(network.module, network.spec, original.calibration)
