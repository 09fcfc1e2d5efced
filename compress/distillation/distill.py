"""Knowledge distillation (Hinton et al., arXiv:1503.02531): what a student is taught by whom."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.distillation.features import FeatureDistance, FeatureExtractor
from compress.genome import Distill
from compress.training.train import Forward, Loss, cross_entropy, predict
from compress.types import Split


@dataclass(frozen=True, slots=True, eq=False)
class TeacherModel:
    """A network that is not trained, in evaluation mode, and how it answers.

    `forward` is the module itself or an interpreter of it; `logits` (samples of the training
    split, classes) are its answers, where they are known already.
    """

    module: nn.Module
    forward: Forward
    logits: Tensor | None = None


class Distillation:
    """The lesson of one `Distill` stage: what `compress.training.train.fit` trains a student with.

    `module` is the student, `forward` how it answers (as for `TeacherModel`); both as they will be
    while `fit` runs with `loss`, `forward` and, as extra parameters, `parameters` of this object.
    Teachers answer the training split once; their inner features, where the stage compares any,
    are computed batch by batch. Several teachers count the same: the student learns the mean of
    their softened answers, and the mean distance of features. Regressors of hints are drawn from
    torch's global generator, which the caller seeds.

    Raises Infeasible where features are to be compared and there are none in common.
    """

    def __init__(
        self,
        stage: Distill,
        teachers: Sequence[TeacherModel],
        module: nn.Module,
        forward: Forward,
        input_shape: tuple[int, int, int],
        split: Split,
    ) -> None:
        self._stage = stage
        self._forward = forward
        self._answers = cross_entropy if stage.weight == 0.0 else _answers(stage, teachers, split)
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
        """What trains along with the student: the regressors of hints."""
        return tuple(p for comparison in self._comparisons for p in comparison.parameters)

    def forward(self, x: Tensor) -> Tensor:
        """The student's logits (N, classes) for the batch x (N, C, H, W)."""
        logits = self._forward(x)
        if self._comparisons:
            self._distance = self.distance(x)
        return logits

    def distance(self, x: Tensor) -> Tensor:
        """Scalar: how far the student's features are from the teachers', for its last batch x."""
        return torch.stack([comparison.distance(x) for comparison in self._comparisons]).mean()

    def loss(self, logits: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        """Scalar loss of the batch that `forward` answered last, as `Distill` states it."""
        value = self._answers(logits, labels, indices)
        if not self._comparisons:
            return value
        return value + self._stage.feature_weight * self._distance


def distillation_loss(teacher_logits: Tensor, temperature: float, weight: float) -> Loss:
    """(1 - weight) * cross entropy + weight * T**2 * KL(teacher || student), both softened by T.

    `teacher_logits` (samples of the split, classes) are the teacher's answers, computed once;
    those of several teachers (teachers, samples, classes) are softened, then averaged.
    """
    softened = torch.softmax(teacher_logits / temperature, -1)
    targets = softened.reshape(-1, *softened.shape[-2:]).mean(0)

    def loss(logits: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        soft = functional.kl_div(
            torch.log_softmax(logits / temperature, 1), targets[indices], reduction="batchmean"
        )
        hard = functional.cross_entropy(logits, labels)
        return (1.0 - weight) * hard + weight * temperature**2 * soft

    return loss


def _answers(stage: Distill, teachers: Sequence[TeacherModel], split: Split) -> Loss:
    logits = [
        predict(teacher.forward, split.x) if teacher.logits is None else teacher.logits
        for teacher in teachers
    ]
    return distillation_loss(torch.stack(logits), stage.temperature, stage.weight)
