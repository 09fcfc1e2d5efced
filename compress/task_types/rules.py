"""The rules of a task's type: an abstract class with the parts that most types share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor, from_numpy, nn

from compress.types import Array, Split, Task

LossReduction = Literal["mean", "sum"]
# (outputs, targets, reduction over the samples) -> scalar loss
TargetLoss = Callable[[Tensor, Tensor, LossReduction], Tensor]
_BLOCK_SAMPLES = 1024


class Rules(ABC):
    """What training and evaluation must know of the type of `task`.

    Outputs are (N, ...) in torch's layout. Targets are what the loss compares them with.
    `probabilities` are the modules that make probabilities of logits, where outputs are logits: a
    network must not end in one of them. `targets_are_classes` is true where targets are numbers of
    classes, one for each position of the output.
    """

    probabilities: ClassVar[tuple[type[nn.Module], ...]] = ()
    targets_are_classes: ClassVar[bool] = False

    def __init__(self, task: Task) -> None:
        self.task = task

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int | None, ...]:
        """The shape of the network's output without the batch; None for a size of its choice."""

    @property
    def output_shapes(self) -> tuple[tuple[int | None, ...], ...]:
        """The shape of each output."""
        return (self.output_shape,)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of several outputs; none for one."""
        return ()

    def in_numpy(self, outputs: Array) -> Array:
        """Outputs as metrics get them, from those of `compress.training.train.predict`."""
        return outputs

    def of_graph(self, outputs: Sequence[Array]) -> Array:
        """Outputs as metrics get them, from those of a graph (`dequantize_outputs`)."""
        (only,) = outputs
        return self.shaped(only)

    def shaped(self, outputs: Array) -> Array:
        """Outputs of a graph in torch's layout, a series (N, C, 1, L) as torch's (N, C, L)."""
        wanted = self.output_shape
        if outputs.ndim == len(wanted) + 2 and outputs.shape[2] == 1:
            return outputs.reshape(*outputs.shape[:2], *outputs.shape[3:])
        return outputs

    @property
    @abstractmethod
    def output_words(self) -> str:
        """What an output is, for messages: "a logit for each of its classes"."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, reduction: LossReduction) -> Tensor:
        """The mean or the sum of the samples' losses: a scalar."""

    @abstractmethod
    def soft_targets(self, outputs: Tensor, temperature: float) -> Tensor:
        """What a student learns of several teachers' outputs (teachers, N, ...)."""

    @abstractmethod
    def soft_loss(self, outputs: Tensor, soft_targets: Tensor, temperature: float) -> Tensor:
        """The mean loss of a student's outputs against `soft_targets`: a scalar."""

    def soft_factor(self, temperature: float) -> float:
        """The factor that keeps the gradients of `soft_loss` at the same size."""
        return 1.0

    @abstractmethod
    def wrong_labels(self, split: Split) -> str:
        """The first thing wrong with y of a split whose x is right; '' if nothing is."""

    def wrong_training(self, train: Split) -> str:
        """What is wrong with the y of the training split in particular; '' if nothing is."""
        return ""

    @abstractmethod
    def constants(self, train: Split) -> tuple[Array, ...]:
        """The same answer for every sample, float32 as an output: best by the loss, by metrics."""

    def wrong_positions(self, output_shape: tuple[int, ...], split: Split) -> str:
        """What is wrong with y beside outputs of this shape without the batch; '' if nothing is."""
        return ""

    def training_split(self, split: Split) -> Split:
        """The split with the targets of the loss as its y."""
        return split

    def device_labels(self, y: Array, outputs: Array) -> npt.NDArray[np.int64]:
        """The labels int64 (N,) for the device: here the largest of the outputs (N, ...)."""
        labels: npt.NDArray[np.int64] = outputs.reshape(len(outputs), -1).argmax(1)
        return labels

    def by_class(self, labels: Array) -> tuple[int, ...]:
        """How many of the labels each class has; empty where samples have no class."""
        return ()

    def right(self, y: Array, outputs: Array) -> tuple[int, ...]:
        """The number of right answers by class; empty where samples have no class."""
        return ()

    def what_is_unlearned(self, outputs: Array, val: Split, train: Split) -> str:
        """Why outputs for the validation split show that nothing was learned; '' if they do not.

        Their loss must be less than that of every constant answer.
        """
        known = self.training_split(val)
        found = self._mean_loss(outputs, known)
        shape = outputs.shape
        least = min(
            self._mean_loss(np.broadcast_to(answer, shape), known)
            for answer in self.constants(train)
        )
        if found < least:
            return ""
        return (
            f"its loss on the validation split is {found:.4g}, that of the best constant answer "
            f"{least:.4g}"
        )

    def _mean_loss(self, outputs: Array, known: Split) -> float:
        total = 0.0
        for start in range(0, len(known), _BLOCK_SAMPLES):
            part = slice(start, start + _BLOCK_SAMPLES)
            found = from_numpy(outputs[part].astype(np.float32))
            total += float(self.loss(found, from_numpy(known.y[part]), "sum"))
        return total / len(known)


def over_samples(losses: Tensor, reduction: LossReduction) -> Tensor:
    """The mean or sum over samples of each sample's mean of losses (N, ...)."""
    each = losses.flatten(1).mean(1)
    return each.mean() if reduction == "mean" else each.sum()


def wrong_array(y: object, dtype: npt.DTypeLike, shape: tuple[int, ...], words: str) -> str:
    """What is wrong with the type or shape of y, which is `words`; '' if nothing is."""
    if isinstance(y, np.ndarray) and y.dtype == dtype and y.shape == shape:
        return ""
    found = f"{y.dtype} {y.shape}" if isinstance(y, np.ndarray) else type(y).__name__
    return f"y is {found}; must be {np.dtype(dtype).name} {_shape(shape)}: {words}"


def wrong_classes(y: Array, classes: int) -> str:
    """What is wrong with class numbers; '' if nothing is."""
    if y.min() < 0 or y.max() >= classes:
        return f"labels from {y.min()} to {y.max()}; the task has {classes} classes, from 0 on"
    return ""


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
