"""Unstructured pruning: the smallest weights become zero; shapes stay.

Every Conv2d and Linear takes part, depthwise ones and the last one too. Training that shall leave
zeros as they are is `compress.training.train.fit` with `keep_zeros`.
"""

import copy
import math
from typing import Literal

import torch
from torch import Tensor, nn

from compress.errors import Infeasible
from compress.genome import Pattern

_N_OF_M: dict[Pattern, tuple[int, int]] = {"1:4": (1, 4), "2:4": (2, 4)}


def sparsify(
    module: nn.Module, share: float, pattern: Pattern, scope: Literal["layer", "global"]
) -> nn.Module:
    """A copy of `module` with zeros for its weights of smallest magnitude (arXiv:1506.02626).

    In pattern "element" exactly floor(share * n) of the n weights of each layer are zero, or in
    scope "global" of those of all layers together; weights that are zero already count, and stay
    where there are more of them. Equal magnitudes go in the order in which they are stored.

    In pattern "n:m" (arXiv:2104.08378) all but the n largest of every m consecutive weights that
    feed one output: the taps of a filter in the order row, column, input channel, as the device
    stores them, and the inputs of a Linear. A remainder shorter than m stays as it is (one tap of
    nine in a 3x3 depthwise filter). `share` and `scope` have no say in it.

    Raises Infeasible for a share outside of 0 <= share < 1.
    """
    if not 0 <= share < 1:
        raise Infeasible(f"share {share} of weights to be zero: allowed are 0 <= share < 1")
    sparse = copy.deepcopy(module)
    layers = [layer for layer in sparse.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    weights = [layer.weight.data for layer in layers]
    if pattern != "element":
        for weight in weights:
            _thin(weight, *_N_OF_M[pattern])
    elif scope == "layer":
        for weight in weights:
            _zero_smallest([weight], share)
    else:
        _zero_smallest(weights, share)
    return sparse


def _zero_smallest(weights: list[Tensor], share: float) -> None:
    if not weights:
        return
    sizes = [weight.numel() for weight in weights]
    magnitudes = torch.cat([weight.abs().flatten() for weight in weights])
    mask = torch.ones_like(magnitudes)
    mask[torch.argsort(magnitudes, stable=True)[: math.floor(share * len(mask))]] = 0
    for weight, part in zip(weights, mask.split(sizes), strict=True):
        weight.mul_(part.reshape(weight.shape))


def _thin(weight: Tensor, largest: int, of: int) -> None:
    """Zero all but the `largest` of every `of` consecutive weights of an output, in place."""
    rows = weight.permute(0, 2, 3, 1) if weight.ndim == 4 else weight
    flat = rows.flatten(1)
    whole = flat.shape[1] // of * of
    parts = flat[:, :whole].reshape(len(flat), -1, of)
    smallest = torch.argsort(parts.abs(), dim=2, stable=True)[..., : of - largest]
    thinned = torch.cat([parts.scatter(2, smallest, 0.0).flatten(1), flat[:, whole:]], 1)
    rows.copy_(thinned.reshape(rows.shape))
