"""Unstructured pruning: the smallest weights are set to zero; shapes stay.

All convolutions and Linear layers are included, also depthwise ones and the last layer. To train
the network and keep its zeros, call `compress.training.train.fit` with `keep_zeros`.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from compress.errors import Infeasible
from compress.genome import Pattern
from compress.tracing.normalize import copied

_WEIGHTED = (nn.Conv2d, nn.Conv1d, nn.Linear)
_N_OF_M: dict[Pattern, tuple[int, int]] = {"1:4": (1, 4), "2:4": (2, 4)}


def sparsify(
    module: nn.Module, share: float, pattern: Pattern, scope: Literal["layer", "global"]
) -> nn.Module:
    """A copy of `module` whose weights of smallest magnitude are zero (arXiv:1506.02626).

    Pattern "element": floor(share * n) of the n weights of each layer are set to zero, or of all
    layers together in scope "global". Weights that are already zero count, and more zeros than
    that stay. Among equal magnitudes the first in storage order are taken.

    Pattern "n:m" (arXiv:2104.08378): of every m consecutive weights of one output, all but the n
    largest are set to zero; `share` and `scope` are ignored. Consecutive means row, column, input
    channel of a filter, the order in which the device stores it, and the inputs of a Linear. A
    remainder shorter than m stays as it is (one of nine taps in a 3x3 depthwise filter).

    Raises Infeasible unless 0 <= share < 1.
    """
    if not 0 <= share < 1:
        raise Infeasible(f"share {share} of zero weights: allowed are 0 <= share < 1")
    sparse = copied(module)
    layers = [layer for layer in sparse.modules() if isinstance(layer, _WEIGHTED)]
    weights = [layer.weight.data for layer in layers]
    if pattern != "element":
        for weight in weights:
            _zero_n_of_m(weight, *_N_OF_M[pattern])
    elif scope == "layer":
        for weight in weights:
            _zero_smallest([weight], share)
    else:
        _zero_smallest(weights, share)
    return sparse


def _zero_smallest(weights: list[Tensor], share: float) -> None:
    """Set `share` of all elements of `weights`, the smallest magnitudes, to zero in place."""
    if not weights:
        return
    sizes = [weight.numel() for weight in weights]
    magnitudes = torch.cat([weight.abs().flatten() for weight in weights])
    mask = torch.ones_like(magnitudes)
    mask[torch.argsort(magnitudes, stable=True)[: math.floor(share * len(mask))]] = 0
    for weight, part in zip(weights, mask.split(sizes), strict=True):
        weight.mul_(part.reshape(weight.shape))


def _zero_n_of_m(weight: Tensor, n: int, m: int) -> None:
    """Zero all but the `n` largest of every `m` consecutive weights of an output, in place."""
    rows = weight.movedim(1, -1)
    flat = rows.flatten(1)
    whole = flat.shape[1] // m * m
    parts = flat[:, :whole].reshape(len(flat), -1, m)
    smallest = torch.argsort(parts.abs(), dim=2, stable=True)[..., : m - n]
    sparse = torch.cat([parts.scatter(2, smallest, 0.0).flatten(1), flat[:, whole:]], 1)
    rows.copy_(sparse.reshape(rows.shape))
