"""Re-estimation of batch-norm statistics, since pruning shifts the inputs of the layers."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from compress.errors import Infeasible
from compress.tracing.batches import copies_of
from compress.tracing.normalize import copied
from compress.types import Array


def reestimate(module: nn.Module, x: Array, batch: int = 64) -> nn.Module:
    """A copy of `module` with batch-norm statistics of the samples x float32 (N, C, H, W).

    One pass over batches of nearly equal size, at most `batch`; the new means and (unbiased)
    variances are averages over the batches. During the pass each batch-norm normalizes with the
    batch's own statistics, as in training. Weights, scales and shifts do not change; the copy is
    in evaluation mode. Raises Infeasible for fewer than two samples.
    """
    if len(x) < 2:
        raise Infeasible(f"batch-norm statistics of {len(x)} samples: at least 2 are needed")
    measured = copied(module).eval()
    norms = [
        layer
        for layer in measured.modules()
        if isinstance(layer, _BatchNorm) and layer.running_mean is not None
    ]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average
        norm.train()
    batches = min(math.ceil(len(x) / batch), len(x) // 2)
    with torch.no_grad():
        # Copies: a network whose first layer works in place would change the samples.
        for part in np.array_split(x, batches):
            measured(*copies_of(part))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return measured.eval()


def with_statistics(module: nn.Module, other: nn.Module) -> nn.Module:
    """A copy of `module` with the batch-norm statistics of `other`, which has the same layers."""
    made = copied(module).eval()
    values = dict(other.named_buffers())
    for name, value in made.named_buffers():
        value.copy_(values[name])
    return made
