"""Checkpoints of a training run: one that is killed continues from a state a few seconds old.

It ends with the same weights as an uninterrupted one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compress.training.signed_file import read_object, write_object

# A kill loses at most this much training; writing a state takes a small fraction of it.
INTERVAL_S = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class TrainingState:
    """The state of a training run after `steps` batches.

    `module`, `optimizer` and `cycle` (the learning-rate schedule) are state dicts, `extra` holds
    the parameters trained along with the module's, `random` is the state of torch's generator.
    """

    steps: int
    module: dict[str, Any]
    extra: tuple[Tensor, ...]
    optimizer: dict[str, Any]
    cycle: dict[str, Any]
    random: Tensor


@dataclass(slots=True)
class Checkpoint:
    """The file that holds the state of one training run, written at most every `interval_s`."""

    path: Path
    interval_s: float = INTERVAL_S
    _written: float = field(default_factory=time.monotonic)

    def for_round(self, seed: int) -> Checkpoint:
        """The checkpoint of one round of a stage; each round has its own seed."""
        return Checkpoint(self.path.with_stem(f"{self.path.stem}-{seed}"), self.interval_s)

    def restore(
        self,
        module: nn.Module,
        extra: Sequence[nn.Parameter],
        optimizer: torch.optim.Optimizer,
        cycle: torch.optim.lr_scheduler.LRScheduler,
    ) -> int:
        """Load the state into all of these and torch's generator; return its steps, 0 if none."""
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

    def save_if_due(
        self,
        steps: int,
        module: nn.Module,
        extra: Sequence[nn.Parameter],
        optimizer: torch.optim.Optimizer,
        cycle: torch.optim.lr_scheduler.LRScheduler,
    ) -> None:
        """Write the state if the last write is at least `interval_s` ago."""
        if time.monotonic() - self._written < self.interval_s:
            return
        state = TrainingState(
            steps=steps,
            module=module.state_dict(),
            extra=tuple(parameter.detach() for parameter in extra),
            optimizer=optimizer.state_dict(),
            cycle=cycle.state_dict(),
            random=torch.get_rng_state(),
        )
        write_object(self.path, state)
        self._written = time.monotonic()
