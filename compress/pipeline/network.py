"""The network that stages transform, and the trained original that it comes from."""

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

from compress.distillation.features import has_features
from compress.elastic.bit_weights import Steps
from compress.errors import UnsupportedLayer, UserError
from compress.frontend.check_capture import check_capture, vary
from compress.genome import Criterion, Quantize
from compress.inputs import samples_of_parts
from compress.pipeline.judge import Judge, judge_of
from compress.pipeline.samples import judged
from compress.pruning.blocks import block_names
from compress.pruning.dead_channels import eliminate_dead_channels
from compress.pruning.prune import group_names
from compress.quantization.fake_quantize import weighted_layers
from compress.quantization.lower import lower
from compress.quantization.scheme import Learned
from compress.space.space import Space
from compress.task_types.registry import rules_of
from compress.task_types.rules import Rules
from compress.tflite.exporter import export_tflite
from compress.tracing.batches import made_batch
from compress.tracing.normalize import computed_with_zeros, normalized
from compress.training.answer_check import check_answer, check_outputs
from compress.training.data_check import check_data, check_same_data, check_shape, record_data_hash
from compress.training.learning_check import check_batches, check_learned
from compress.training.train import (
    Schedule,
    Tick,
    fit,
    loss_of,
    predict,
    restore,
    save,
    seed_torch,
)
from compress.types import Array, Dataset, Graph, Split, Task

CALIBRATION_SAMPLES = 256
# Training samples from which the batch-norm statistics of a `Pick` are estimated.
STATISTICS_SAMPLES = 512
# Raised by torch for a file that is not its own, is truncated, or holds another network.
_READ_ERRORS = (EOFError, RuntimeError, pickle.UnpicklingError, ValueError, TypeError, KeyError)


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A float network and the quantization it will be lowered with.

    `spec` is None before the first `Quantize`; `learned` are the ranges that training under `spec`
    found. With `sparse`, weights that are zero stay zero in later training. With `elastic`,
    channels are sorted and sub-networks have been trained (`compress.elastic`): a `Pick` can
    follow, and one with bits if there are `steps` for them. `picked_bits` are those of such a pick:
    `learned` are then its step sizes, for a `Quantize` with the same bits.
    """

    module: nn.Module
    spec: Quantize | None = None
    learned: Learned | None = None
    sparse: bool = False
    elastic: bool = False
    steps: Steps = field(default_factory=dict)
    picked_bits: tuple[int, ...] = ()

    @property
    def picked_steps(self) -> Learned | None:
        """Step sizes that a pick with bits brought and no training changed; None without such."""
        return self.learned if self.learned is not None and not self.learned.grids else None


@dataclass(frozen=True)
class Original:
    """The task, its data and its trained network, from which every candidate of a run starts.

    The parameters of `module` are plain (`compress.tracing.normalize`). With `sparse`, its
    weights that are zero stay zero. `probe` holds training samples, with the targets of the loss,
    for calibration and for estimating importance.
    """

    task: Task
    data: Dataset
    module: nn.Module
    seed: int
    sparse: bool = False
    probe: Split = field(init=False)

    def __post_init__(self) -> None:
        chosen = self._chosen(CALIBRATION_SAMPLES)
        object.__setattr__(self, "probe", Split(self.train.x[chosen], self.train.y[chosen]))

    def _chosen(self, samples: int) -> Array:
        """Indices of so many random training samples; more of them begin with the same ones."""
        order: Array = np.random.default_rng(self.seed).permutation(len(self.train))
        return order[:samples]

    @property
    def calibration(self) -> Array:
        """Training samples (N, C, H, W) from which activation ranges are chosen."""
        return self.probe.x

    @cached_property
    def statistics(self) -> Array:
        """Training samples from which a `Pick` estimates its batch-norm statistics."""
        return self.train.x[self._chosen(STATISTICS_SAMPLES)]

    @cached_property
    def lean(self) -> nn.Module:
        """The trained network without constant channels, to which the first stage is applied."""
        return eliminate_dead_channels(self.module, self.task.input_shape)

    @cached_property
    def rules(self) -> Rules:
        """The rules of the task's type."""
        return rules_of(self.task)

    @cached_property
    def train(self) -> Split:
        """The training split, its y being the targets of the loss."""
        return self.rules.training_split(self.data.train)

    @cached_property
    def judge(self) -> Judge:
        """Who evaluates outputs by the task's metric."""
        return judge_of(self.task, self.data)

    @cached_property
    def outputs(self) -> Tensor:
        """The original's outputs on the training split (N, ...), computed once."""
        return predict(self.module, self.data.train.x)

    @cached_property
    def judged(self) -> Split:
        """The validation samples that candidates trained in full are judged on."""
        return judged(self.data.val)

    @cached_property
    def judged_answers(self) -> Array:
        """The float network's outputs for the samples of `judged`, computed once."""
        return self.answers(self.judged.x)

    @cached_property
    def test_answers(self) -> Array:
        """The float network's outputs for the test split, computed once."""
        return self.answers(self.data.test.x)

    def answers(self, x: Array) -> Array:
        """The float network's outputs as metrics get them."""
        return self.rules.in_numpy(predict(self.module, x).numpy())

    def share(self, split: Split) -> float:
        """The float network's metric on a split, as a share where more is better."""
        return self.judge.share(self.answers(split.x), split)

    @property
    def judged_share(self) -> float:
        """The float network's metric on the samples of `judged`, as a share."""
        return self.judge.share(self.judged_answers, self.judged)

    @property
    def test_share(self) -> float:
        """The float network's metric on the test split, as a share where more is better."""
        return self.judge.share(self.test_answers, self.data.test)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Names of the prunable dependency groups, in the order of `Prune.keep`."""
        return group_names(self.module, self.task.input_shape)

    @cached_property
    def blocks(self) -> tuple[str, ...]:
        """Names of the removable blocks, in the order of the indices in `Prune.drop`."""
        return block_names(self.module, self.task.input_shape)

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """Names of the weighted layers, in the order of `Quantize.weight_bits`."""
        return weighted_layers(self.module, self.task.input_shape)


def space_of(original: Original) -> Space:
    """The search space of a network; stages train for 0.5, 1 or 2 times the task's fine-tuning."""
    length = original.task.fine_tune.epochs
    norms = any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in original.module.modules())
    return Space(
        groups=len(original.groups),
        layers=len(original.layers),
        epochs=(length / 2, length, 2 * length),
        blocks=len(original.blocks),
        criteria=tuple(by for by in get_args(Criterion) if norms or by != "batch_norm"),
        has_convolutions=has_features(original.module, original.task.input_shape),
    )


def original_of(task: Task, data: Dataset, seed: int, state_dict: bytes) -> Original:
    """The original whose network has the state dict that `train_original` wrote."""
    module = task.net()
    restore(module, io.BytesIO(state_dict))
    return _original(task, data, module, seed)


def _original(task: Task, data: Dataset, module: nn.Module, seed: int) -> Original:
    """The original with the trained `module`, which is the network as the task makes it.

    Raises UserError if it has a layer without an integer form, or if the layers that are captured
    from it compute something else.
    """
    try:
        original = Original(task, data, normalized(module), seed, computed_with_zeros(module))
        check_capture(module, original.module, original.calibration)
    except UnsupportedLayer as error:
        raise UserError(f"task {task.name}: layer {error}") from error
    return original


def check_net(task: Task) -> None:
    """Check that the network answers as its type must, and that it has an integer form.

    It is lowered with noise, and with random batch-norms in place of fresh ones, which change
    nothing: captured layers are compared with the network. Raises UserError if it cannot be,
    naming the layer. Torch's global generator stays as it is.
    """
    untrained_graph(task)


def untrained_graph(task: Task) -> Graph:
    """The int8 graph of the task's network before training, with the checks of `check_net`.

    Ranges are calibrated on noise.
    """
    check_shape(task)
    check_outputs(task)
    with torch.random.fork_rng(devices=()):
        try:
            check_answer(task)
            module = task.net()
            seed_torch(0)
            vary(module)
            parts = [noise.numpy() for noise in made_batch(torch.randn, 8, task.input_shape)]
            for noise in parts:
                noise[::2] *= 8  # large, so that ReLU6 and the like clip
            x = samples_of_parts(task.input_shape, parts)
            graph = lower(module, Quantize(), x, task.name)
            export_tflite(graph)
        except UnsupportedLayer as error:
            raise UserError(f"task {task.name}: layer {error}") from error
    return graph


def train_original(
    task: Task, data: Dataset, seed: int, network_path: Path, tick: Tick | None = None
) -> Original:
    """Train the task's network with its recipe, or read it from `network_path` if that exists.

    Weights that the task brings (`Task.pretrained`) are taken instead of training.

    A network that diverged or learned nothing is not kept. Raises UserError for it, for data that
    cannot be trained on, and for a file that is damaged, or of another network or other data than
    the task has now.
    """
    check_net(task)
    check_data(task, data)
    seed_torch(seed)
    module = task.net()
    if network_path.exists():
        try:
            restore(module, network_path)
        except _READ_ERRORS as error:
            raise UserError(
                f"{network_path} is damaged or of another network than task {task.name} makes now: "
                "copy it from a run or log that this run's trials come from, restore the former "
                "network, or choose another run folder"
            ) from error
        check_same_data(task, data, network_path)
        check_learned(task, data, module, network_path)
    elif task.pretrained is not None:
        check_batches(task, data, module)
        task.pretrained(module)
        module.eval()
        check_learned(task, data, module)
        save(module, network_path)
        record_data_hash(data, network_path)
    else:
        check_batches(task, data, module)
        rules = rules_of(task)
        fit(
            module,
            rules.training_split(data.train),
            Schedule(task.recipe, task.recipe.epochs, seed),
            loss=loss_of(rules),
            tick=tick,
        )
        check_learned(task, data, module)
        save(module, network_path)
        record_data_hash(data, network_path)
    return _original(task, data, module, seed)
