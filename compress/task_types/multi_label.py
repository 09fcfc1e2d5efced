"""Multi-label: logits (N, K), binary cross entropy, distillation of softened probabilities."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.task_types.rules import LossReduction, Rules, over_samples, wrong_array
from compress.types import Array, Split


class MultiLabel(Rules):
    """Any number of labels a sample; y is float32 (N, K) of 0 and 1."""

    probabilities = (nn.Sigmoid,)

    output_words = "a logit for each of its labels"

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (len(self.task.classes),)

    def loss(self, outputs: Tensor, targets: Tensor, reduction: LossReduction) -> Tensor:
        """The binary cross entropy, mean over the labels."""
        return over_samples(_bce(outputs, targets), reduction)

    def soft_targets(self, outputs: Tensor, temperature: float) -> Tensor:
        """The mean of the teachers' sigmoid(logits / T)."""
        return torch.sigmoid(outputs / temperature).mean(0)

    def soft_loss(self, outputs: Tensor, soft_targets: Tensor, temperature: float) -> Tensor:
        """KL(teacher || student) of each label's softened probability, mean over the labels."""
        p = soft_targets
        entropy = -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p))
        return (_bce(outputs / temperature, p) - entropy).mean()

    def soft_factor(self, temperature: float) -> float:
        """T**2, as for classification."""
        return temperature**2

    def wrong_labels(self, split: Split) -> str:
        shape = (len(split.x), len(self.task.classes))
        wrong = wrong_array(split.y, np.float32, shape, "1 for each label of a sample, else 0")
        if not wrong and not np.isin(split.y, (0, 1)).all():
            return "y has values other than 0 and 1"
        return wrong

    def constants(self, train: Split) -> tuple[Array, ...]:
        """The logits of the labels' shares, and the answer that every sample has all labels.

        Half a sample with each label and half a sample without it are added to the shares.
        """
        count = len(train) + 1.0
        having = train.y.sum(0, dtype=np.float64) + 0.5
        logits = np.log(having / (count - having)).astype(np.float32)
        return logits, np.ones_like(logits)


def _bce(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(
        logits, targets.to(logits.dtype), reduction="none"
    )
