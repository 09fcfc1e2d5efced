"""Training that is cut off goes on from where it was a few seconds before, to the same weights."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compress.training.checksum_file import read_object, write_object

# What a kill may cost of a training, and far more than writing a state takes.
EVERY_S = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class TrainingState:
    """After `steps` batches: weights, parameters beside them, optimizer, schedule, random state."""

    steps: int
    module: dict[str, Any]
    extra: tuple[Tensor, ...]
    optimizer: dict[str, Any]
    cycle: dict[str, Any]
    random: Tensor


@dataclass(slots=True)
class Checkpoint:
    """Where the state of one training is kept, and how often it is written."""

    path: Path
    every_s: float = EVERY_S
    _written: float = field(default_factory=time.monotonic)

    def part(self, seed: int) -> Checkpoint:
        """That of one round of several, which differ by their seeds."""
        return Checkpoint(self.path.with_stem(f"{self.path.stem}-{seed}"), self.every_s)

    def resume(
        self,
        module: nn.Module,
        extra: Sequence[nn.Parameter],
        optimizer: torch.optim.Optimizer,
        cycle: torch.optim.lr_scheduler.LRScheduler,
    ) -> int:
        """Set all of them, and torch's generator, to what was kept; steps done by then, or 0."""
        state = read_object(self.path)
        if not isinstance(state, TrainingState):
            return 0
        module.load_state_dict(state.module)
        with torch.no_grad():
            for parameter, kept in zip(extra, state.extra, strict=True):
                parameter.copy_(kept)
        optimizer.load_state_dict(state.optimizer)
        cycle.load_state_dict(state.cycle)
        torch.set_rng_state(state.random)
        return state.steps

    def note(
        self,
        steps: int,
        module: nn.Module,
        extra: Sequence[nn.Parameter],
        optimizer: torch.optim.Optimizer,
        cycle: torch.optim.lr_scheduler.LRScheduler,
    ) -> None:
        """Write the state, if the last time is long enough ago."""
        if time.monotonic() - self._written < self.every_s:
            return
        state = TrainingState(
            steps,
            module.state_dict(),
            tuple(parameter.detach() for parameter in extra),
            optimizer.state_dict(),
            cycle.state_dict(),
            torch.get_rng_state(),
        )
        write_object(self.path, state)
        self._written = time.monotonic()
