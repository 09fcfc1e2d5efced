"""Segmentation: logits (N, classes, H, W), cross entropy at each position."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.inputs import shapes_of
from compress.task_types.classification import log_shares
from compress.task_types.rules import LossReduction, Rules, over_samples, wrong_array, wrong_classes
from compress.types import Array, Split


class Segmentation(Rules):
    """A class at each position of the output; y is int64 (N, H, W), of a series (N, L)."""

    probabilities = (nn.Softmax,)
    targets_are_classes = True

    output_words = "a logit for each of its classes at each position (None: of any size)"

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        return (len(self.task.classes), *[None] * (len(self._map) - 1))

    @property
    def _map(self) -> tuple[int, ...]:
        """The shape of the input that is a map: of several the first one with the most axes."""
        return max(shapes_of(self.task.input_shape), key=len)

    def loss(self, outputs: Tensor, targets: Tensor, reduction: LossReduction) -> Tensor:
        """The cross entropy, mean over the positions."""
        return over_samples(functional.cross_entropy(outputs, targets, reduction="none"), reduction)

    def soft_targets(self, outputs: Tensor, temperature: float) -> Tensor:
        """The mean of the teachers' softmax(logits / T) over the classes."""
        return torch.softmax(outputs / temperature, 2).mean(0)

    def soft_loss(self, outputs: Tensor, soft_targets: Tensor, temperature: float) -> Tensor:
        """KL(teacher || student) of the softened probabilities, mean over the positions."""
        student = torch.log_softmax(outputs / temperature, 1)
        return functional.kl_div(student, soft_targets, reduction="none").sum(1).mean()

    def soft_factor(self, temperature: float) -> float:
        """T**2, as for classification."""
        return temperature**2

    def wrong_labels(self, split: Split) -> str:
        positions = np.shape(split.y)[1:] if np.ndim(split.y) == len(self._map) else ()
        shape = (len(split.x), *(positions or self._map[1:]))
        wrong = wrong_array(split.y, np.int64, shape, "the number of the class at each position")
        return wrong or wrong_classes(split.y, len(self.task.classes))

    def wrong_positions(self, output_shape: tuple[int, ...], split: Split) -> str:
        if split.y.shape[1:] == output_shape[1:]:
            return ""
        return (
            f"y has labels of {split.y.shape[1:]} for each sample, its network answers with "
            f"{output_shape}: both must have the same positions"
        )

    def constants(self, train: Split) -> tuple[Array, ...]:
        """The logarithms of the classes' shares, the same at each position."""
        logs = log_shares(train.y, len(self.task.classes))
        positions = train.y.shape[1:]
        column = logs.reshape(-1, *[1] * len(positions))
        return (np.broadcast_to(column, (len(logs), *positions)),)
