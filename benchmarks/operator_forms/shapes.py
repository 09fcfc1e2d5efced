"""Makers of forms that move elements: shapes, permutations, parts of values, and joined values."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import torch
from torch import nn

from compress.frontend.capture_calls import call_name
from operator_forms.parts import Applied, Maker, Shape, apply, called, weighted


def _concatenate(form: Any, shape: Shape, rng: Random) -> nn.Module:
    axis = rng.randint(1, len(shape))
    other = weighted(shape, rng.choice((4, 8)) if axis == 1 else shape[0])
    return Applied(lambda s, x: form((x, s.other(x)), axis), other=other)


def _stack(form: Any, shape: Shape, rng: Random) -> nn.Module:
    axis = rng.randint(1, len(shape) + 1)
    other = weighted(shape, shape[0])
    return Applied(lambda s, x: form((x, s.other(x)), axis), other=other)


def _reshape(form: Any, shape: Shape, rng: Random) -> nn.Module:
    elements = int(np.prod(shape))
    match form if isinstance(form, str) else call_name(form):
        case "Flatten":
            return nn.Flatten()
        case "Unflatten" | "unflatten":
            return called(form, 1, (4, elements // 4))
        case "flatten":
            return called(form, 1)
        case "squeeze":
            return Applied(lambda _, x: apply(form, apply(form, x.mean((2, 3), True), 3), 2))
        case "unsqueeze":
            return called(form, 2)
        case "view":
            return Applied(lambda _, x: x.view(x.size(0), -1))
        case _:
            if isinstance(form, str):
                return Applied(lambda _, x: x.reshape(x.size(0), -1))
            return Applied(lambda _, x: torch.reshape(x, (x.size(0), -1)))


def _permute(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """Channels to the end, then flat: the order of elements differs from torch's own."""
    if form in (torch.transpose, "transpose"):
        step = called(form, 1, 2)
    elif isinstance(form, str):
        step = called(form, 0, 2, 3, 1)
    else:
        step = called(form, (0, 2, 3, 1))
    return nn.Sequential(step, nn.Flatten())


def _shuffle(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return called(form, 2)


def _index(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """Axes of extent 1, slices with and without a step, one element, or a list of positions."""
    if len(shape) == 1 and rng.random() < 0.3:
        return Applied(lambda _, x: form(x, (slice(None), slice(None), None, None)))
    order = rng.sample(range(shape[0]), max(2, shape[0] // 2))
    items: tuple[Any, ...] = rng.choice(
        (
            (slice(None), slice(1, None)),
            (slice(None), slice(None, None, 2)),
            (..., slice(1, -1)),
            (..., slice(None, None, 3)),
            (slice(None), order),
            (slice(None), rng.randrange(shape[0])) if len(shape) > 1 else (..., slice(2, None)),
        )
    )
    return Applied(lambda _, x: form(x, items))


def _index_select(form: Any, shape: Shape, rng: Random) -> nn.Module:
    axis, count = _axis(shape, rng), rng.randint(2, 4)
    positions = torch.tensor([rng.randrange(shape[axis - 1]) for _ in range(count)])
    return Applied(lambda s, x: apply(form, x, axis, s.positions), positions=positions)


def _narrow(form: Any, shape: Shape, rng: Random) -> nn.Module:
    axis = _axis(shape, rng)
    first = rng.randint(0, shape[axis - 1] // 2)
    return called(form, axis, first, rng.randint(1, shape[axis - 1] - first))


def _select(form: Any, shape: Shape, rng: Random) -> nn.Module:
    axis = _axis(shape, rng)
    return called(form, axis, rng.randrange(shape[axis - 1]))


def _flip(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return called(form, (_axis(shape, rng),))


def _split(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """Two parts, equal or not, in the other order."""
    axis = _axis(shape, rng)
    extent = shape[axis - 1]
    first = rng.randint(1, extent - 1)
    sizes = rng.choice((-(-extent // 2), [first, extent - first]))
    return _swapped(form, 2 if "chunk" in call_name(form) else sizes, axis)


def _swapped(form: Any, parts: Any, axis: int) -> nn.Module:
    def function(_: Any, x: torch.Tensor) -> torch.Tensor:
        made = apply(form, x, parts, axis)
        return torch.cat((made[1], made[0]), axis)

    return Applied(function)


def _unbind(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """The sum of two of the parts."""
    axis = _axis(shape, rng)

    def function(_: Any, x: torch.Tensor) -> torch.Tensor:
        made = apply(form, x, axis)
        total: torch.Tensor = made[1] + made[0]
        return total

    return Applied(function)


def _axis(shape: Shape, rng: Random) -> int:
    """An axis of more than one element, but not that of the batch."""
    return rng.choice([axis for axis, extent in enumerate(shape, 1) if extent > 1])


def _identity(form: Any, shape: Shape, rng: Random) -> nn.Module:
    if isinstance(form, type | str) or form is torch.clone:
        return called(form)
    return called(form, 0.2, False)


MAKERS: dict[str, Maker] = {
    **dict.fromkeys(("permute", "transpose"), _permute),
    **dict.fromkeys(("split", "chunk"), _split),
    "concatenate": _concatenate,
    "stack": _stack,
    "reshape": _reshape,
    "shuffle": _shuffle,
    "index": _index,
    "index_select": _index_select,
    "narrow": _narrow,
    "select": _select,
    "flip": _flip,
    "unbind": _unbind,
    "identity": _identity,
}
