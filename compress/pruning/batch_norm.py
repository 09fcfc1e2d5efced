"""Batch-norm statistics measured anew: pruning shifts what a layer sees."""

import copy
import math

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from compress.errors import Infeasible
from compress.types import Array


def reestimate(module: nn.Module, x: Array, batch: int = 64) -> nn.Module:
    """A copy of `module` with the batch-norm statistics of the samples x float32 (N, C, H, W).

    One pass in batches of nearly equal size, `batch` at most; means and (unbiased) variances are
    those of the batches, averaged. Each layer sees what the layers before it make of the batch's
    own statistics, as in training. Weights, scales and shifts stay as they are; the copy is in
    evaluation mode. Raises Infeasible for fewer than two samples.
    """
    if len(x) < 2:
        raise Infeasible(f"batch-norm statistics of {len(x)} samples: two are needed")
    measured = copy.deepcopy(module).eval()
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
        for part in torch.tensor_split(torch.from_numpy(x), batches):
            measured(part)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return measured.eval()
