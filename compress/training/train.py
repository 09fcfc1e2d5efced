"""Training and evaluation of float networks, with one torch thread per process.

Where processes share a core, two torch threads are many times slower than one: OpenMP barriers
wait for the thread that was scheduled out.
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

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.files import write_atomically
from compress.task_types.rules import Rules
from compress.tracing.answers import Answer, joined
from compress.tracing.batches import Batch, chosen, copies_of, tensors_of
from compress.training.checkpoint import Checkpoint
from compress.training.optimizers import AdamW
from compress.training.progress import tell_epochs
from compress.types import Array, Recipe, Split

torch.set_num_threads(1)


def _keep_memory() -> None:
    """Make glibc keep freed memory: mapping each activation again took a third of an epoch."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_keep_memory()

# from a tensor (N, *shape) for each input to the answer (`compress.tracing.answers`)
Forward = Callable[..., Answer]
# (outputs, targets, indices of the samples in the split) -> scalar loss
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
# (inputs of a batch, its targets, its indices in the split, number of the step from 0): adds the
# gradients of its loss to those of the parameters
Backward = Callable[[Batch, Tensor, Tensor, int], None]
# progress callback: gets the share done, 0..1
Tick = Callable[[float], None]


def _cross_entropy(logits: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
    """The mean cross entropy of logits (N, classes) and labels (N,); `indices` is unused."""
    return functional.cross_entropy(logits, labels)


def loss_of(rules: Rules) -> Loss:
    """The mean loss of a type of task."""

    def loss(outputs: Tensor, targets: Tensor, indices: Tensor) -> Tensor:
        return rules.loss(outputs, targets, "mean")

    return loss


@dataclass(frozen=True, slots=True)
class Schedule:
    """One training run: `epochs` of `recipe` (the last one may be partial) with a seed."""

    recipe: Recipe
    epochs: float
    seed: int


def seed_torch(seed: int) -> None:
    """Seed torch's global generator, which new weights and dropout draw from.

    `torch.manual_seed` would import torch's compiler for it, as optimizers would
    (`compress.training.optimizers`).
    """
    torch.default_generator.manual_seed(seed)


def fit(
    module: nn.Module,
    split: Split,
    schedule: Schedule,
    loss: Loss = _cross_entropy,
    forward: Forward | None = None,
    tick: Tick | None = None,
    extra: Sequence[nn.Parameter] = (),
    keep_zeros: bool = False,
    checkpoint: Checkpoint | None = None,
) -> None:
    """Train `module` in place with AdamW and a one-cycle learning rate (arXiv:1708.07120).

    `forward` maps a batch (N, C, H, W) to the answer and defaults to the module itself; one with
    fake quantization trains the same weights. The y of `split` are the targets of `loss`. `tick`
    is called after each batch with the share done, 0..1. `extra` parameters (learned ranges,
    regressors) are trained too, without weight decay. With `keep_zeros` weights of convolutions and
    Linear that are zero stay zero. With a `checkpoint` training continues from the state in it,
    which must be of the same training run.
    Leaves the module in evaluation mode. The same seed gives the same weights.
    """
    run = forward or module

    def backward(x: Batch, targets: Tensor, indices: Tensor, step: int) -> None:
        loss(joined(run(*x)), targets, indices).backward()

    descend(module, split, schedule, backward, tick, extra, keep_zeros, checkpoint)


def descend(
    module: nn.Module,
    split: Split,
    schedule: Schedule,
    backward: Backward,
    tick: Tick | None = None,
    extra: Sequence[nn.Parameter] = (),
    keep_zeros: bool = False,
    checkpoint: Checkpoint | None = None,
) -> None:
    """As `fit`, whose arguments these are, with the gradients that `backward` adds for a batch."""
    if schedule.epochs == 0:
        return
    recipe = schedule.recipe
    seed_torch(schedule.seed)
    order = torch.Generator().manual_seed(schedule.seed)
    x, y = tensors_of(split.x), torch.from_numpy(split.y)
    drawn = min(recipe.samples_per_epoch or len(split), len(split))
    steps = math.ceil(schedule.epochs * math.ceil(drawn / recipe.batch))
    groups: list[dict[str, Any]] = [
        {"params": list(module.parameters())},
        {"params": list(extra), "weight_decay": 0.0},
    ]
    optimizer = AdamW(
        groups,
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    masks = [(weight, weight != 0) for weight in _weights(module)] if keep_zeros else []
    # OneCycleLR is undefined for fewer than two steps or a warm-up of less than one.
    total = max(steps, 2)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=total, pct_start=max(0.25, 1.5 / total)
    )
    module.train()
    epochs = range(math.ceil(schedule.epochs))
    shuffled = (torch.randperm(len(split), generator=order)[:drawn] for _ in epochs)
    batches = (indices for drawing in shuffled for indices in _batches(drawing, recipe.batch))
    state = (module, extra, optimizer, cycle)
    resumed = checkpoint.restore(*state) if checkpoint is not None else 0
    for done, indices in enumerate(islice(batches, resumed, steps), resumed + 1):
        optimizer.zero_grad(set_to_none=True)
        backward(chosen(x, indices), y[indices], indices, done - 1)
        optimizer.step()
        cycle.step()
        for weight, mask in masks:
            weight.data.mul_(mask)
        if checkpoint is not None:
            checkpoint.save_if_due(done, *state)
        tell_epochs(schedule.epochs * done / steps, schedule.epochs)
        if tick is not None:
            tick(done / steps)
    module.eval()


def _weights(module: nn.Module) -> list[Tensor]:
    """The weights of all convolutions and Linear layers."""
    layers = [
        layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Conv1d | nn.Linear)
    ]
    return [layer.weight for layer in layers]


def _batches(order: Tensor, size: int) -> Iterator[Tensor]:
    """Batches of `size`; a single last sample joins the batch before (batch-norm needs two)."""
    parts = list(torch.split(order, size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    yield from parts


def predict(forward: Forward, x: Array, batch: int = 256) -> Tensor:
    """Outputs float32 (N, ...) for x (N, C, H, W), computed without gradients.

    Those of several outputs are joined, (N, values).
    """
    with torch.no_grad():
        # Copies: a network whose first layer works in place would change the data.
        parts = [joined(forward(*copies_of(x[i : i + batch]))) for i in range(0, len(x), batch)]
    return torch.cat(parts)


def save(module: nn.Module, path: Path) -> None:
    """Write the state dict of `module` to a file, atomically."""
    data = io.BytesIO()
    torch.save(module.state_dict(), data)
    write_atomically(path, data.getvalue())


def restore(module: nn.Module, path: Path | BinaryIO) -> None:
    """Load a state dict written by `save` into `module`, and set it to evaluation mode."""
    module.load_state_dict(torch.load(path, weights_only=True))
    module.eval()
