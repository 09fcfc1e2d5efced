"""What stages work on: a network on its way, and the original that it came from."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor, nn

from compress.errors import UserError
from compress.genome import Criterion, Quantize
from compress.pruning.blocks import block_names
from compress.pruning.dead_channels import eliminate_dead_channels
from compress.pruning.prune import group_names
from compress.quantization.fake_quantize import weighted_layers
from compress.quantization.scheme import Learned
from compress.space.space import Space
from compress.training.data_check import check_data, check_same_data, check_shape, note_data
from compress.training.train import Schedule, Tick, fit, predict, restore, save, seed_torch
from compress.types import Array, Dataset, Split, Task

CALIBRATION_SAMPLES = 256
# What torch raises for a file that is none of its own, cut short, or another network's.
_NO_WEIGHTS = (EOFError, RuntimeError, pickle.UnpicklingError, ValueError, TypeError, KeyError)


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A float network and how it will be lowered, as far as stages have said.

    `learned` are ranges that training under `spec` found; with `sparse`, weights that are zero
    stay zero in later training.
    """

    module: nn.Module
    spec: Quantize | None = None
    learned: Learned | None = None
    sparse: bool = False


@dataclass(frozen=True)
class Original:
    """What every candidate of a run starts from: the task, its data and its trained network.

    `probe` are labeled training samples for calibration and for measuring importance.
    """

    task: Task
    data: Dataset
    module: nn.Module
    seed: int
    probe: Split = field(init=False)

    def __post_init__(self) -> None:
        train = self.data.train
        chosen = np.random.default_rng(self.seed).permutation(len(train))[:CALIBRATION_SAMPLES]
        object.__setattr__(self, "probe", Split(train.x[chosen], train.y[chosen]))

    @property
    def calibration(self) -> Array:
        """Samples (N, C, H, W) that set ranges."""
        return self.probe.x

    @cached_property
    def lean(self) -> nn.Module:
        """The trained network without the channels that are constant: what stages start from."""
        return eliminate_dead_channels(self.module, self.task.input_shape)

    @cached_property
    def logits(self) -> Tensor:
        """The original's answers on the training split (N, classes), computed once."""
        return predict(self.module, self.data.train.x)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Names of the prunable dependency groups, in the order of `Prune.keep`."""
        return group_names(self.module, self.task.input_shape)

    @cached_property
    def blocks(self) -> tuple[str, ...]:
        """Names of the removable blocks, in the order that `Prune.drop` counts in."""
        return block_names(self.module, self.task.input_shape)

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """Names of the weighted layers, in the order of `Quantize.weight_bits`."""
        return weighted_layers(self.module, self.task.input_shape)


def space_of(original: Original) -> Space:
    """What may vary for this network; a stage trains for a half, one or two fine-tuning lengths."""
    length = original.task.fine_tune.epochs
    norms = any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in original.module.modules())
    return Space(
        groups=len(original.groups),
        layers=len(original.layers),
        epochs=(length / 2, length, 2 * length),
        blocks=len(original.blocks),
        criteria=tuple(by for by in get_args(Criterion) if norms or by != "batch_norm"),
    )


def original_of(task: Task, data: Dataset, seed: int, weights: bytes) -> Original:
    """The task's network with `weights` as `train_original` writes them."""
    module = task.net()
    restore(module, io.BytesIO(weights))
    return Original(task, data, module, seed)


def check_net(task: Task) -> None:
    """Raises UserError for a network that does not map (N, *input_shape) to (N, classes)."""
    check_shape(task)
    try:
        with torch.no_grad():
            answer = task.net().eval()(torch.zeros(1, *task.input_shape))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        said = str(error).partition("\n")[0]
        raise UserError(
            f"task {task.name}: its network cannot take an input of (1, "
            f"{', '.join(map(str, task.input_shape))}), one sample of its input_shape: {said}"
        ) from error
    wanted, found = (1, len(task.classes)), tuple(getattr(answer, "shape", ()))
    if found != wanted:
        raise UserError(
            f"task {task.name}: its network answers one sample with {found or type(answer)}, must "
            f"be {wanted}: a logit for each of its classes"
        )


def train_original(
    task: Task, data: Dataset, seed: int, weights: Path, tick: Tick | None = None
) -> Original:
    """The task's network, trained with the task's recipe; `weights` is read if it exists.

    Raises UserError for data that cannot be trained on, and for weights that are damaged, or of
    another network, or of other data, than the task has now.
    """
    check_net(task)
    check_data(task, data)
    seed_torch(seed)
    module = task.net()
    if weights.exists():
        try:
            restore(module, weights)
        except _NO_WEIGHTS as error:
            raise UserError(
                f"{weights} is damaged or of another network than task {task.name} makes now: copy "
                "it from a run or log that this run's trials come from, bring back the former "
                "network, or choose another run folder"
            ) from error
        check_same_data(task, data, weights)
    else:
        fit(module, data.train, Schedule(task.recipe, task.recipe.epochs, seed), tick=tick)
        save(module, weights)
        note_data(data, weights)
    return Original(task, data, module, seed)
