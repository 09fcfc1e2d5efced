"""Classification: logits (N, classes), cross entropy, distillation of softened probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.task_types.rules import LossReduction, Rules, wrong_array, wrong_classes
from compress.types import Array, Split


def cross_entropy(outputs: Tensor, targets: Tensor, reduction: LossReduction) -> Tensor:
    """The cross entropy of logits (N, classes, ...) and class numbers int64 (N, ...), in nats.

    Its sum is over all positions, so (N, classes) is the only shape for "sum" over samples.
    """
    return functional.cross_entropy(outputs, targets, reduction=reduction)


class Classification(Rules):
    """One class a sample; y is int64 (N,)."""

    probabilities = (nn.Softmax,)
    targets_are_classes = True

    output_words = "a logit for each of its classes"

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (len(self.task.classes),)

    def loss(self, outputs: Tensor, targets: Tensor, reduction: LossReduction) -> Tensor:
        """The cross entropy."""
        return cross_entropy(outputs, targets, reduction)

    def soft_targets(self, outputs: Tensor, temperature: float) -> Tensor:
        """The mean of the teachers' softmax(logits / T)."""
        return torch.softmax(outputs / temperature, -1).mean(0)

    def soft_loss(self, outputs: Tensor, soft_targets: Tensor, temperature: float) -> Tensor:
        """KL(teacher || student) of the softened probabilities."""
        student = torch.log_softmax(outputs / temperature, 1)
        return functional.kl_div(student, soft_targets, reduction="batchmean")

    def soft_factor(self, temperature: float) -> float:
        """T**2 (arXiv:1503.02531, section 2)."""
        return temperature**2

    def wrong_labels(self, split: Split) -> str:
        shape = (len(split.x),)
        wrong = wrong_array(split.y, np.int64, shape, "the number of each class")
        return wrong or wrong_classes(split.y, len(self.task.classes))

    def constants(self, train: Split) -> tuple[Array, ...]:
        """The logarithms of the classes' shares."""
        return (log_shares(train.y, len(self.task.classes)),)

    def device_labels(self, y: Array, outputs: Array) -> npt.NDArray[np.int64]:
        """The true classes."""
        return y

    def by_class(self, labels: Array) -> tuple[int, ...]:
        return tuple(np.bincount(labels, minlength=len(self.task.classes)).tolist())

    def right(self, y: Array, outputs: Array) -> tuple[int, ...]:
        return self.by_class(y[outputs.argmax(1) == y])

    def what_is_unlearned(self, outputs: Array, val: Split, train: Split) -> str:
        """'' if outputs are better than answering without looking.

        They must classify more samples than the most frequent class has, or find the classes better
        than by chance: the mean recall must be above 1 / classes by more than the standard error of
        a guess. Samples of one class only tell nothing.
        """
        right = outputs.argmax(1) == val.y
        present, samples = np.unique(val.y, return_counts=True)
        accuracy, share = float(np.mean(right)), float(samples.max() / len(val))
        recall = float(np.mean([np.mean(right[val.y == label]) for label in present]))
        chance = 1 / len(present)
        # Of a mean of recalls: each has the variance chance * (1 - chance) / samples.
        error = float(np.sqrt(chance * (1 - chance) * np.sum(1 / samples)) / len(present))
        if accuracy > share or recall > chance + error or len(present) == 1:
            return ""
        label = self.task.classes[int(present[samples.argmax()])]
        return (
            f"accuracy {100 * accuracy:.1f} % on the validation split, {100 * share:.1f} % of "
            f"which are {label!r}"
        )


def log_shares(labels: Array, classes: int) -> Array:
    """The logarithm of each class's share, float32 (classes,); half a sample is added to each."""
    counts = np.bincount(labels.ravel(), minlength=classes) + 0.5
    logs: Array = np.log(counts / counts.sum()).astype(np.float32)
    return logs
