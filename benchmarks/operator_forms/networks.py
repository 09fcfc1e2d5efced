"""Random networks around each form of layer that torch capture reads.

A form is a module of torch.nn, a function or a method of tensors in the registries of
`compress.frontend`. Forms that the same function of the frontend reads are one family.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from compress.frontend import (
    capture_arithmetic,
    capture_elementwise,
    capture_pools,
    capture_reductions,
    capture_resizing,
    capture_shapes,
    capture_slices,
    capture_tables,
    capture_weighted,
)
from compress.frontend.capture_calls import CALLS, call_name
from compress.frontend.capture_modules import MODULES
from compress.recurrent_layers.layer import RecurrentLayer
from compress.recurrent_layers.replace import REPLACED
from compress.tracing import decompose
from compress.tracing.normalize import normalized
from compress.types import Array
from operator_forms import elements, maps, shapes
from operator_forms.parts import Applied, Shape, weighted

SAMPLES = 128
CLASSES = 5
_MAKERS = elements.MAKERS | maps.MAKERS | shapes.MAKERS

# Families of the forms that `compress.tracing.decompose` replaces.
_REPLACED: dict[Any, str] = {
    nn.Hardsigmoid: "hardsigmoid",
    functional.hardsigmoid: "hardsigmoid",
    nn.LayerNorm: "layer_norm",
    functional.layer_norm: "layer_norm",
    nn.GroupNorm: "group_norm",
    nn.InstanceNorm1d: "instance_norm",
    nn.InstanceNorm2d: "instance_norm",
    functional.scaled_dot_product_attention: "attention",
    functional.conv2d: "convolution",
    functional.conv1d: "convolution",
    functional.linear: "linear",
}
_READERS: tuple[ModuleType, ...] = (
    capture_arithmetic, capture_elementwise, capture_pools, capture_reductions, capture_resizing,
    capture_shapes, capture_slices, capture_tables, capture_weighted,
)  # fmt: skip
_MERGED = {
    "pad_module": "constant_pad",
    "upsample_module": "resize",
    "pixel_shuffle": "shuffle",
    "pixel_unshuffle": "shuffle",
    "greater": "maximum",
    "lesser": "minimum",
    "shifted_rsqrt": "inverse_root",
}
# Families by the ranks of the values that they are tried on; all others on all three.
_RANKS = {
    "convolution": (3,), "transposed_convolution": (3,), "batch_norm": (3,), "max_pool": (3,),
    "average_pool": (3,), "adaptive_average_pool": (3,), "adaptive_max_pool": (3,),
    "mean": (2, 3), "constant_pad": (2, 3), "resize": (2, 3), "permute": (3,), "transpose": (3,),
    "shuffle": (3,), "stack": (1, 2), "matmul": (2, 3), "attention": (2,), "recurrent": (2,),
    "group_norm": (3,), "instance_norm": (3,), "unbind": (2, 3), "select": (2, 3),
}  # fmt: skip
_ONE_RANK = {
    nn.Dropout1d: 2, functional.dropout1d: 2, nn.Dropout2d: 3, functional.dropout2d: 3,
    nn.Dropout3d: 3, nn.FeatureAlphaDropout: 3, nn.Unflatten: 1, torch.unflatten: 1,
    "unflatten": 1, torch.squeeze: 3, "squeeze": 3, torch.unsqueeze: 2, "unsqueeze": 2,
    nn.ConstantPad1d: 2, nn.ConstantPad2d: 3, nn.ZeroPad1d: 2, nn.ZeroPad2d: 3,
    nn.UpsamplingNearest2d: 3, nn.UpsamplingBilinear2d: 3, torch.bmm: 2, "bmm": 2,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RandomNetwork:
    """A network with a form in its middle, the same one up to that form, and samples.

    Both are in evaluation mode. `x` is float32 (SAMPLES, *input shape).
    """

    whole: nn.Module
    until_form: nn.Module
    x: Array


def families() -> dict[str, list[Any]]:
    """All forms that are captured, by family."""
    names = {
        function: name
        for module in _READERS
        for name, function in vars(module).items()
        if callable(function) and getattr(function, "__module__", "") == module.__name__
    }
    forms = {form: names[captured.read] for form, captured in MODULES.items()}
    del forms[RecurrentLayer]  # what GRU and LSTM become
    forms |= {form: names[read] for form, read in CALLS.items()}
    forms |= _REPLACED | dict.fromkeys(REPLACED, "recurrent")
    found: dict[str, list[Any]] = {}
    for form, family in forms.items():
        found.setdefault(_MERGED.get(family, family), []).append(form)
    missing = {*decompose.REPLACED_MODULES, *decompose.REPLACED_CALLS} - set(_REPLACED)
    unknown = set(found) - set(_MAKERS)
    if missing or unknown:
        raise SystemExit(f"no networks for the forms {missing or ''} {unknown or ''}")
    return found


def form_name(form: Any) -> str:
    """The form as a user writes it: ReLU, F.relu, torch.relu, .relu(), operator.add."""
    if isinstance(form, str):
        return f".{form}()"
    if isinstance(form, type):
        return form.__name__
    name = next((n for n in dir(functional) if getattr(functional, n) is form), "")
    if name:
        return f"F.{name}"
    own = call_name(form)
    return f"operator.{own}" if getattr(operator, own, None) is form else f"torch.{own}"


def random_network(family: str, form: Any, seed: int) -> RandomNetwork:
    """The network around `form` of this seed: one or two layers, the form, layers, classifier."""
    rng = Random(f"{form_name(form)} {seed}")
    torch.manual_seed(rng.randrange(1 << 31))
    shape = _input_shape(family, form, rng)
    layers: list[nn.Module] = []
    now = shape
    for _ in range(rng.randint(1, 2)):
        now = _add(layers, _layers(now, rng), now)
    now = _add(layers, _MAKERS[family](form, now, rng), now)
    until = nn.Sequential(*layers)
    if len(now) == len(shape) and rng.random() < 0.5:
        now = _add(layers, _layers(now, rng), now)
    _add(layers, _classifier(now, rng), now)
    whole = nn.Sequential(*layers)
    for layer in whole.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            _set_statistics(layer)
    return RandomNetwork(normalized(whole), normalized(until), random_samples(shape, rng))


def random_samples(shape: Shape, rng: Random) -> Array:
    """Samples: normal noise, values from 0 to 1, or short events in weak noise."""
    draw = np.random.default_rng(rng.randrange(1 << 31))
    size = (SAMPLES, *shape)
    match rng.randrange(3):
        case 0:
            x = draw.standard_normal(size)
        case 1:
            x = draw.uniform(0, 1, size)
        case _:
            x = 0.02 * draw.standard_normal(size)
            x += np.where(draw.random(size) < 0.004, draw.normal(0, 4, size), 0)
    return x.astype(np.float32)


def _add(layers: list[nn.Module], layer: nn.Module, shape: Shape) -> Shape:
    """Append a layer that reads values of `shape`; the shape of what it writes."""
    layers.append(layer)
    with torch.no_grad():
        return tuple(layer.eval()(torch.zeros(2, *shape)).shape[1:])


def _input_shape(family: str, form: Any, rng: Random) -> Shape:
    name = form_name(form)
    if form in _ONE_RANK:
        rank = _ONE_RANK[form]
    elif name.endswith("1d"):
        rank = 2
    else:
        rank = rng.choice(_RANKS.get(family, (1, 2, 3)))
    if rank == 1:
        return (rng.choice((8, 16)),)
    channels = rng.randint(1, 3)
    return (channels, 64) if rank == 2 else (channels, *rng.choice(((12, 12), (8, 20))))


def _layers(shape: Shape, rng: Random) -> nn.Module:
    """A weighted layer, most often with a norm and an activation, that keeps the rank."""
    width = rng.choice((4, 8, 12))
    made: list[nn.Module] = [weighted(shape, width, rng.choice((1, 3)))]
    if rng.random() < 0.6:
        made.append((nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(width))
    if rng.random() < 0.7:
        made.append(rng.choice((nn.ReLU, nn.ReLU, nn.ReLU6, nn.Hardswish))())
    return nn.Sequential(*made)


def _classifier(shape: Shape, rng: Random) -> nn.Module:
    if len(shape) == 3 and rng.random() < 0.5:
        return Applied(lambda s, x: s.out(x.mean((2, 3))), out=nn.Linear(shape[0], CLASSES))
    elements = int(np.prod(shape))
    return nn.Sequential(nn.Flatten(), nn.Linear(elements, CLASSES))


def _set_statistics(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    nn.init.uniform_(layer.weight, 0.5, 1.5)
    nn.init.uniform_(layer.bias, -0.5, 0.5)
    for values, low, high in ((layer.running_mean, -0.3, 0.3), (layer.running_var, 0.3, 1.5)):
        if values is not None:
            nn.init.uniform_(values, low, high)
