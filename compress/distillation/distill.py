"""Knowledge distillation: the loss that trains a student on its teachers (arXiv:1503.02531)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compress.distillation.features import FeatureDistance, FeatureExtractor
from compress.genome import Distill
from compress.task_types.rules import Rules
from compress.tracing.answers import Answer
from compress.training.train import Forward, Loss, loss_of, predict
from compress.types import InputShape, Split


@dataclass(frozen=True, slots=True, eq=False)
class TeacherModel:
    """A teacher network in evaluation mode, which is not trained.

    `forward` is the module itself or an interpreter of it. `outputs` (samples of the training
    split, ...) are its outputs if they are known already, else None.
    """

    module: nn.Module
    forward: Forward
    outputs: Tensor | None = None


class Distillation:
    """The loss, forward function and extra parameters for the training of one `Distill` stage.

    `module` is the student and `forward` the module itself or an interpreter of it, as they will be
    during training: `compress.training.train.fit` takes `loss`, `forward` and `parameters` of this
    object. What is compared at the outputs, `rules` say. The teachers' outputs for the training
    split are computed once, their inner features (if the stage compares any) batch by batch.
    Several teachers have equal weight: targets are the mean of their softened outputs, and feature
    distances are averaged. The regressors of hints are initialized from torch's global generator,
    which the caller seeds.

    Raises Infeasible if features are compared and the networks have no convolution in common.
    """

    def __init__(
        self,
        stage: Distill,
        teachers: Sequence[TeacherModel],
        module: nn.Module,
        forward: Forward,
        input_shape: InputShape,
        split: Split,
        rules: Rules,
    ) -> None:
        self._stage = stage
        self._forward = forward
        self._output_loss = (
            loss_of(rules) if stage.weight == 0.0 else _output_loss(stage, teachers, split, rules)
        )
        self._comparisons: list[FeatureDistance] = []
        if stage.features != "none":
            self._forward = student = FeatureExtractor(module, forward, input_shape)
            self._comparisons = [
                FeatureDistance(
                    stage.features, student, FeatureExtractor(t.module, t.forward, input_shape)
                )
                for t in teachers
            ]
        self._distance = torch.zeros(())

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The parameters to train with the student: the regressors of hints."""
        return tuple(p for comparison in self._comparisons for p in comparison.parameters)

    def forward(self, *x: Tensor) -> Answer:
        """The student's answer for the batch x, a tensor (N, *shape) for each input."""
        outputs = self._forward(*x)
        if self._comparisons:
            self._distance = self.distance(*x)
        return outputs

    def distance(self, *x: Tensor) -> Tensor:
        """The mean feature distance to the teachers, a scalar, for the student's last batch x."""
        return torch.stack([comparison.distance(*x) for comparison in self._comparisons]).mean()

    def loss(self, outputs: Tensor, targets: Tensor, indices: Tensor) -> Tensor:
        """The scalar loss that `Distill` states, for the last batch of `forward`.

        `indices` (N,) are its samples' places in the training split.
        """
        value = self._output_loss(outputs, targets, indices)
        if not self._comparisons:
            return value
        return value + self._stage.feature_weight * self._distance


def distillation_loss(rules: Rules, outputs: Tensor, temperature: float, weight: float) -> Loss:
    """The loss (1 - weight) * loss of the targets + weight * factor * loss of the teachers.

    `outputs` are those of the teachers, (teachers, samples of the split, ...). For classes this is
    (1 - weight) * cross entropy + weight * T**2 * KL(teacher || student) of softmax(logits / T), T
    being `temperature`; T**2 keeps its gradients at the same size for every T (arXiv:1503.02531,
    section 2). For other types see `compress.task_types`.
    """
    soft_targets = rules.soft_targets(outputs, temperature)
    factor = rules.soft_factor(temperature)

    def loss(outputs: Tensor, targets: Tensor, indices: Tensor) -> Tensor:
        soft = rules.soft_loss(outputs, soft_targets[indices], temperature)
        hard = rules.loss(outputs, targets, "mean")
        return (1.0 - weight) * hard + weight * factor * soft

    return loss


def _output_loss(
    stage: Distill, teachers: Sequence[TeacherModel], split: Split, rules: Rules
) -> Loss:
    outputs = [
        predict(teacher.forward, split.x) if teacher.outputs is None else teacher.outputs
        for teacher in teachers
    ]
    return distillation_loss(rules, torch.stack(outputs), stage.temperature, stage.weight)
