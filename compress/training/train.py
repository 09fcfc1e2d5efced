"""Fit a float network to a split, and ask it for its answers. One torch thread per process.

Two torch threads are many times slower than one where a core is shared: the OpenMP barriers wait
for the thread that was scheduled out.
"""

import ctypes
import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.files import write_atomically
from compress.training.checkpoint import Checkpoint
from compress.types import Array, Recipe, Split

torch.set_num_threads(1)


def _keep_memory() -> None:
    """Tell glibc to reuse freed memory: mapping each activation anew took a third of an epoch."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_keep_memory()

Forward = Callable[[Tensor], Tensor]
# (logits, labels, indices of the samples in the split) -> scalar loss
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
Tick = Callable[[float], None]


def cross_entropy(logits: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
    """Mean cross entropy of logits (N, classes) against labels (N,); `indices` is unused."""
    return functional.cross_entropy(logits, labels)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how hard to train: `epochs` of `recipe` (a last one may be partial), seeded."""

    recipe: Recipe
    epochs: float
    seed: int


def seed_torch(seed: int) -> None:
    """Seed torch's global generator: fresh weights, dropout."""
    torch.manual_seed(seed)


def fit(
    module: nn.Module,
    split: Split,
    schedule: Schedule,
    loss: Loss = cross_entropy,
    forward: Forward | None = None,
    tick: Tick | None = None,
    extra: Sequence[nn.Parameter] = (),
    keep_zeros: bool = False,
    checkpoint: Checkpoint | None = None,
) -> None:
    """Train `module` in place with AdamW and a one-cycle learning rate (arXiv:1708.07120).

    `forward` maps a batch (N, C, H, W) to logits and defaults to the module itself; a quantized
    forward trains the same weights under fake quantization. `tick` is told the share done, 0..1.
    `extra` parameters train along, without weight decay (learned ranges, regressors). With
    `keep_zeros` weights of Conv2d and Linear that are zero stay zero. With a `checkpoint` training
    goes on from the state kept there, which must be one of the same training.
    Leaves the module in evaluation mode. The same seed gives the same weights.
    """
    if schedule.epochs == 0:
        return
    run = forward or module
    recipe = schedule.recipe
    seed_torch(schedule.seed)
    order = torch.Generator().manual_seed(schedule.seed)
    x, y = torch.from_numpy(split.x), torch.from_numpy(split.y)
    drawn = min(recipe.samples_per_epoch or len(split), len(split))
    steps = math.ceil(schedule.epochs * math.ceil(drawn / recipe.batch))
    groups: list[dict[str, Any]] = [
        {"params": list(module.parameters())},
        {"params": list(extra), "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        groups,
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    masks = [(weight, weight != 0) for weight in _weights(module)] if keep_zeros else []
    # OneCycleLR needs two steps, and a warm-up of at least one of them, to be defined.
    total = max(steps, 2)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=total, pct_start=max(0.25, 1.5 / total)
    )
    module.train()
    epochs = range(math.ceil(schedule.epochs))
    shuffled = (torch.randperm(len(split), generator=order)[:drawn] for _ in epochs)
    batches = (indices for drawing in shuffled for indices in _batches(drawing, recipe.batch))
    kept = (module, extra, optimizer, cycle)
    resumed = checkpoint.resume(*kept) if checkpoint is not None else 0
    for done, indices in enumerate(islice(batches, resumed, steps), resumed + 1):
        optimizer.zero_grad(set_to_none=True)
        value = loss(run(x[indices]), y[indices], indices)
        value.backward()
        optimizer.step()
        cycle.step()
        for weight, mask in masks:
            weight.data.mul_(mask)
        if checkpoint is not None:
            checkpoint.note(done, *kept)
        if tick is not None:
            tick(done / steps)
    module.eval()


def _weights(module: nn.Module) -> list[Tensor]:
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    return [layer.weight for layer in layers]


def _batches(order: Tensor, size: int) -> Iterator[Tensor]:
    """Batches of `size`; a last batch of one joins its neighbor (batch-norm needs two samples)."""
    parts = list(torch.split(order, size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    yield from parts


def predict(forward: Forward, x: Array, batch: int = 256) -> Tensor:
    """Logits float32 (N, classes) for x (N, C, H, W); no gradients."""
    with torch.no_grad():
        parts = [forward(torch.from_numpy(x[i : i + batch])) for i in range(0, len(x), batch)]
    return torch.cat(parts)


def accuracy(forward: Forward, split: Split) -> float:
    """Share of samples whose largest logit is the label's."""
    return float(np.mean(predict(forward, split.x).argmax(1).numpy() == split.y))


def save(module: nn.Module, path: Path) -> None:
    """Write the weights so that a reader never sees half a file."""
    data = io.BytesIO()
    torch.save(module.state_dict(), data)
    write_atomically(path, data.getvalue())


def restore(module: nn.Module, path: Path | BinaryIO) -> None:
    """Load weights written by `save` into `module` (in place) and set it to evaluation mode."""
    module.load_state_dict(torch.load(path, weights_only=True))
    module.eval()
