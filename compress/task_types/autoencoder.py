"""Autoencoder: outputs of the input's shape, squared error to the input, AUC over that error."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn import functional

from compress.inputs import shapes_of
from compress.task_types.rules import LossReduction, Rules, over_samples, wrong_array
from compress.types import Array, Split

_NORMAL = 0


class Autoencoder(Rules):
    """Reconstructs normal samples; y is int64 (N,), 0 for normal, 1 for anomalous samples."""

    output_words = "the reconstruction, of the input's shape"

    @property
    def output_shape(self) -> tuple[int, ...]:
        return shapes_of(self.task.input_shape)[0]

    def training_split(self, split: Split) -> Split:
        """The samples with themselves as targets."""
        return Split(split.x, split.x)

    def loss(self, outputs: Tensor, targets: Tensor, reduction: LossReduction) -> Tensor:
        """The squared error, mean over a sample's values."""
        return over_samples((outputs - targets.to(outputs.dtype)) ** 2, reduction)

    def soft_targets(self, outputs: Tensor, temperature: float) -> Tensor:
        """The mean of the teachers' reconstructions, whatever the temperature."""
        return outputs.mean(0)

    def soft_loss(self, outputs: Tensor, soft_targets: Tensor, temperature: float) -> Tensor:
        """The mean squared error to the teachers."""
        return functional.mse_loss(outputs, soft_targets)

    def wrong_labels(self, split: Split) -> str:
        wrong = wrong_array(split.y, np.int64, (len(split.x),), "0 for normal, 1 for anomalous")
        if not wrong and not np.isin(split.y, (0, 1)).all():
            return f"labels from {split.y.min()} to {split.y.max()}; must be 0 or 1"
        return wrong

    def wrong_training(self, train: Split) -> str:
        anomalous = int(np.count_nonzero(train.y != _NORMAL))
        if not anomalous:
            return ""
        return f"{anomalous} samples are anomalous; an autoencoder must be trained on normal ones"

    def constants(self, train: Split) -> tuple[Array, ...]:
        """The mean of the training samples."""
        return (train.x.mean(0, dtype=np.float64).astype(np.float32),)

    def what_is_unlearned(self, outputs: Array, val: Split, train: Split) -> str:
        """As for other types, on the normal samples: anomalies need not be reconstructed."""
        normal = val.y == _NORMAL
        return super().what_is_unlearned(
            outputs[normal], Split(val.x[normal], val.y[normal]), train
        )
