"""Regression: numbers (N, K), squared error or Huber's loss, distillation by squared error."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn import functional

from compress.task_types.rules import LossReduction, Rules, over_samples, wrong_array
from compress.types import Array, Split


class Regression(Rules):
    """K numbers a sample; y is float32 (N, K)."""

    output_words = "each of the numbers that its classes name"

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (len(self.task.classes),)

    def loss(self, outputs: Tensor, targets: Tensor, reduction: LossReduction) -> Tensor:
        """The squared error, or Huber's loss with the recipe's `huber_delta`; mean over K."""
        known, delta = targets.to(outputs.dtype), self.task.recipe.huber_delta
        if delta is None:
            return over_samples((outputs - known) ** 2, reduction)
        return over_samples(
            functional.huber_loss(outputs, known, reduction="none", delta=delta), reduction
        )

    def soft_targets(self, outputs: Tensor, temperature: float) -> Tensor:
        """The mean of the teachers' numbers, whatever the temperature."""
        return outputs.mean(0)

    def soft_loss(self, outputs: Tensor, soft_targets: Tensor, temperature: float) -> Tensor:
        """The mean squared error to the teachers."""
        return functional.mse_loss(outputs, soft_targets)

    def wrong_labels(self, split: Split) -> str:
        shape = (len(split.x), len(self.task.classes))
        wrong = wrong_array(split.y, np.float32, shape, "the numbers to predict")
        if not wrong and not np.isfinite(split.y).all():
            return "y has values that are not finite"
        return wrong

    def constants(self, train: Split) -> tuple[Array, ...]:
        """The mean and the median of each number."""
        mean = train.y.mean(0, dtype=np.float64).astype(np.float32)
        median = np.median(train.y, 0).astype(np.float32)
        return mean, median
