"""Several outputs: the rules of each output's type, the losses summed with their weights.

In torch the outputs are joined to (N, values) (`compress.tracing.answers`), and so are the targets,
to float64 (N, numbers), which holds class numbers and float32 exactly. In NumPy both are structured
arrays with a field for each output (`compress.outputs`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from compress.outputs import by_output, names_in, of_output
from compress.task_types.rules import LossReduction, Rules
from compress.types import Array, Output, Split, Task


class Several(Rules):
    """The rules of a task of several outputs; `parts` are those of each, in their order."""

    def __init__(self, task: Task, parts: Sequence[Rules]) -> None:
        super().__init__(task)
        self.parts = tuple(zip(task.outputs, parts, strict=True))

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """That of the joined outputs."""
        return (sum(self._sizes()),)

    @property
    def output_shapes(self) -> tuple[tuple[int | None, ...], ...]:
        return tuple(output.shape for output, _ in self.parts)

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(output.name for output, _ in self.parts)

    @property
    def output_words(self) -> str:
        return "; ".join(f"{output.name}: {rules.output_words}" for output, rules in self.parts)

    def in_numpy(self, outputs: Array) -> Array:
        ends = np.cumsum(self._sizes())[:-1]
        parts = np.split(outputs, ends, 1)
        return by_output(
            {
                output.name: part.reshape(len(part), *output.shape)
                for (output, _), part in zip(self.parts, parts, strict=True)
            }
        )

    def of_graph(self, outputs: Sequence[Array]) -> Array:
        return by_output(
            {
                output.name: rules.shaped(part)
                for (output, rules), part in zip(self.parts, outputs, strict=True)
            }
        )

    def training_split(self, split: Split) -> Split:
        """The split with the targets of all outputs joined, float64 (N, numbers)."""
        targets = [
            rules.training_split(part).y.reshape(len(split), -1).astype(np.float64)
            for _, rules, part in self._splits(split)
        ]
        return Split(split.x, np.concatenate(targets, 1))

    def loss(self, outputs: Tensor, targets: Tensor, reduction: LossReduction) -> Tensor:
        """The sum of the outputs' losses, each times its weight."""
        known = self._targets(targets)
        losses = [
            output.weight * rules.loss(part, target, reduction)
            for (output, rules), part, target in zip(
                self.parts, self._parted(outputs), known, strict=True
            )
        ]
        return torch.stack(losses).sum()

    def soft_targets(self, outputs: Tensor, temperature: float) -> Tensor:
        """Those of each output, joined as outputs are."""
        parts = zip(self.parts, self._parted(outputs), strict=True)
        soft = [rules.soft_targets(part, temperature) for (_, rules), part in parts]
        return torch.cat([part.flatten(1) for part in soft], 1)

    def soft_loss(self, outputs: Tensor, soft_targets: Tensor, temperature: float) -> Tensor:
        """The sum of the outputs' losses, each times its weight and the factor of its type."""
        losses = [
            output.weight
            * rules.soft_factor(temperature)
            * rules.soft_loss(part, target, temperature)
            for (output, rules), part, target in zip(
                self.parts, self._parted(outputs), self._parted(soft_targets), strict=True
            )
        ]
        return torch.stack(losses).sum()

    def wrong_labels(self, split: Split) -> str:
        if names_in(split.y) != self.output_names or split.y.ndim != 1:
            found = ", ".join(names_in(split.y)) or f"none, it is {split.y.dtype} {split.y.shape}"
            return (
                f"y has fields {found}; must have {', '.join(self.output_names)}, one for each "
                "output: compress.outputs.by_output makes it"
            )
        for output, rules, part in self._splits(split):
            wrong = rules.wrong_labels(part) or rules.wrong_positions(output.shape, part)
            if wrong:
                return f"output {output.name}: {wrong}"
        return ""

    def constants(self, train: Split) -> tuple[Array, ...]:
        """The first constant of each output, the second of each that has one, and so on."""
        found = [rules.constants(part) for _, rules, part in self._splits(train)]
        answers = []
        for one in zip_longest(*found):
            named = zip(self.output_names, found, one, strict=True)
            parts = {name: (all_[-1] if c is None else c)[None] for name, all_, c in named}
            answers.append(by_output(parts)[0, ...])
        return tuple(answers)

    def device_labels(self, y: Array, outputs: Array) -> npt.NDArray[np.int64]:
        """Those of the first output: the firmware counts its right answers."""
        output, rules = self.parts[0]
        return rules.device_labels(of_output(y, output.name), outputs[:, : self._sizes()[0]])

    def what_is_unlearned(self, outputs: Array, val: Split, train: Split) -> str:
        """As for the type of each output; the first that has learned nothing is named."""
        splits = zip(self._splits(val), self._splits(train), strict=True)
        for (output, rules, known), (_, _, learned) in splits:
            why = rules.what_is_unlearned(of_output(outputs, output.name), known, learned)
            if why:
                return f"output {output.name}: {why}"
        return ""

    def _sizes(self) -> list[int]:
        """The values of each output."""
        return [math.prod(output.shape) for output, _ in self.parts]

    def _splits(self, split: Split) -> Iterator[tuple[Output, Rules, Split]]:
        """Each output with its rules and its part of a split."""
        for output, rules in self.parts:
            yield output, rules, Split(split.x, of_output(split.y, output.name))

    def _parted(self, joined: Tensor) -> list[Tensor]:
        """The outputs (..., *shape) of joined ones (..., values)."""
        return [
            part.unflatten(-1, output.shape)
            for (output, _), part in zip(self.parts, joined.split(self._sizes(), -1), strict=True)
        ]

    def _targets(self, joined: Tensor) -> list[Tensor]:
        """The targets of each output: class numbers int64 (N, positions), or as outputs are."""
        shapes = [
            output.shape[1:] if rules.targets_are_classes else output.shape
            for output, rules in self.parts
        ]
        parts = joined.split([math.prod(shape) for shape in shapes], 1)
        return [
            part.reshape(-1, *shape).long()
            if rules.targets_are_classes
            else part.reshape(-1, *shape).float()
            for (_, rules), part, shape in zip(self.parts, parts, shapes, strict=True)
        ]
