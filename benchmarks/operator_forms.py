"""Random networks around each form of layer that torch capture reads.

A form is a module of torch.nn, a function or a method of tensors in the registries of
`compress.frontend`. Forms that the same function of the frontend reads are one family.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.frontend import decompose
from compress.frontend.capture_calls import CALLS, call_name
from compress.frontend.capture_modules import MODULES
from compress.types import Array

SAMPLES = 128
CLASSES = 5
Shape = tuple[int, ...]  # (C, H, W), (C, L) or (K,): without the batch

# Families of the forms that `compress.frontend.decompose` replaces.
_REPLACED: dict[Any, str] = {
    nn.SiLU: "silu",
    functional.silu: "silu",
    nn.Hardsigmoid: "hardsigmoid",
    functional.hardsigmoid: "hardsigmoid",
    functional.conv2d: "convolution",
    functional.conv1d: "convolution",
    functional.linear: "linear",
}
_MERGED = {"pad_module": "constant_pad"}
# Families by the ranks of the values that they are tried on; all others on all three.
_RANKS = {
    "convolution": (3,), "linear": (1,), "batch_norm": (3,), "max_pool": (3,),
    "average_pool": (3,), "adaptive_average_pool": (3,), "adaptive_max_pool": (3,),
    "mean": (2, 3), "constant_pad": (2, 3), "permute": (3,), "transpose": (3,), "index": (1,),
}  # fmt: skip
_ONE_RANK = {
    nn.Dropout1d: 2, functional.dropout1d: 2, nn.Dropout2d: 3, functional.dropout2d: 3,
    nn.Dropout3d: 3, nn.FeatureAlphaDropout: 3, nn.Unflatten: 1, torch.unflatten: 1,
    "unflatten": 1, torch.squeeze: 3, "squeeze": 3, torch.unsqueeze: 2, "unsqueeze": 2,
    nn.ConstantPad1d: 2, nn.ConstantPad2d: 3, nn.ZeroPad1d: 2, nn.ZeroPad2d: 3,
}  # fmt: skip


class Applied(nn.Module):
    """`function(self, x)`, with the modules and constants that it uses."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            if isinstance(part, nn.Module):
                self.add_module(name, part)
            else:
                self.register_buffer(name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


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
    forms = {form: captured.read.__name__ for form, captured in MODULES.items()}
    forms |= {form: read.__name__ for form, read in CALLS.items()}
    forms |= _REPLACED
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
    return RandomNetwork(whole.eval(), until.eval(), random_samples(shape, rng))


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
    made: list[nn.Module] = [_weighted(shape, width, rng.choice((1, 3)))]
    if rng.random() < 0.6:
        made.append((nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(width))
    if rng.random() < 0.7:
        made.append(rng.choice((nn.ReLU, nn.ReLU, nn.ReLU6, nn.Hardswish))())
    return nn.Sequential(*made)


def _weighted(shape: Shape, width: int, kernel: int = 1, groups: int = 1) -> Any:
    if len(shape) == 1:
        return nn.Linear(shape[0], width)
    kind = nn.Conv2d if len(shape) == 3 else nn.Conv1d
    return kind(shape[0], width, kernel, padding=kernel // 2, groups=groups)


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


# ---- the forms, each a module that reads values of a shape

Maker = Callable[[Any, Shape, Random], nn.Module]


def _called(form: Any, *args: Any, **options: Any) -> nn.Module:
    """A module of this class, or one that calls the function or method."""
    if isinstance(form, type):
        made: nn.Module = form(*args, **options)
        return made
    if isinstance(form, str):
        return Applied(lambda _, x: getattr(x, form)(*args, **options))
    return Applied(lambda _, x: form(x, *args, **options))


def _plain(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return _called(form)


def _hardtanh(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return _called(form, -rng.uniform(0.2, 1.5), rng.uniform(0.2, 2.0))


def _clamp(form: Any, shape: Shape, rng: Random) -> nn.Module:
    low = rng.choice((0.0, -rng.uniform(0.2, 1.5)))
    return _called(form, low, rng.choice((6.0, rng.uniform(0.2, 2.0))))


def _leaky(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return _called(form, rng.choice((0.01, 0.1, 0.3)))


def _softmax(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return _called(form, dim=1)


def _binary(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """With a second value, a number, or a constant per channel; quotients with a constant."""
    kind = rng.choice(("value", "number", "constants"))
    if kind == "value" and "div" not in form_name(form):
        other = _weighted(shape, shape[0])
        return Applied(lambda s, x: _apply(form, x, s.other(x)), other=other)
    if kind == "constants":
        signs = torch.randint(0, 2, (1, shape[0], *[1] * (len(shape) - 1))) * 2 - 1
        constants = signs * torch.empty(signs.shape).uniform_(0.3, 2.0)
        return Applied(lambda s, x: _apply(form, x, s.constants), constants=constants)
    number = rng.choice((-1, 1)) * rng.uniform(0.3, 2.0)
    return Applied(lambda _, x: _apply(form, x, number))


def _apply(form: Any, x: Tensor, other: Any) -> Tensor:
    result: Tensor = getattr(x, form)(other) if isinstance(form, str) else form(x, other)
    return result


def _pool(form: Any, shape: Shape, rng: Random) -> nn.Module:
    kernel = rng.choice((2, 3))
    return _called(form, kernel, stride=rng.choice((1, 2)), padding=rng.choice((0, 0, 1)))


def _adaptive_pool(form: Any, shape: Shape, rng: Random) -> nn.Module:
    sizes = [n for n in (1, 2, 4) if all(extent % n == 0 for extent in shape[1:])]
    return _called(form, rng.choice(sizes))


def _mean(form: Any, shape: Shape, rng: Random) -> nn.Module:
    axes = tuple(range(2, len(shape) + 1))
    if len(axes) > 1 and rng.random() < 0.3:
        axes = (rng.choice(axes),)
    return _called(form, axes, keepdim=rng.random() < 0.5 or len(axes) + 1 < len(shape))


def _pad(form: Any, shape: Shape, rng: Random) -> nn.Module:
    widths = tuple(rng.randint(0, 2) for _ in range(2 * (len(shape) - 1)))
    if form in (nn.ZeroPad1d, nn.ZeroPad2d):
        return _called(form, widths)
    value = rng.choice((0.0, rng.uniform(-1, 1)))
    return _called(form, widths, value=value)


def _convolution(form: Any, shape: Shape, rng: Random) -> nn.Module:
    depthwise = rng.random() < 0.4
    width = shape[0] * rng.choice((1, 2)) if depthwise else rng.choice((4, 8))
    layer = _weighted(shape, width, rng.choice((1, 3, 5)), shape[0] if depthwise else 1)
    if isinstance(form, type):
        return layer
    pads, groups = layer.padding, layer.groups
    return Applied(
        lambda s, x: form(x, s.layer.weight, s.layer.bias, padding=pads, groups=groups),
        layer=layer,
    )


def _linear(form: Any, shape: Shape, rng: Random) -> nn.Module:
    layer = nn.Linear(shape[0], rng.choice((4, 8)))
    if isinstance(form, type):
        return layer
    return Applied(lambda s, x: form(x, s.layer.weight, s.layer.bias), layer=layer)


def _batch_norm(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return _called(form, shape[0])


def _concatenate(form: Any, shape: Shape, rng: Random) -> nn.Module:
    other = _weighted(shape, rng.choice((4, 8)))
    return Applied(lambda s, x: form((x, s.other(x)), 1), other=other)


def _reshape(form: Any, shape: Shape, rng: Random) -> nn.Module:
    elements = int(np.prod(shape))
    match form if isinstance(form, str) else call_name(form):
        case "Flatten":
            return nn.Flatten()
        case "Unflatten" | "unflatten":
            return _called(form, 1, (4, elements // 4))
        case "flatten":
            return _called(form, 1)
        case "squeeze":
            return Applied(lambda _, x: _apply(form, _apply(form, x.mean((2, 3), True), 3), 2))
        case "unsqueeze":
            return _called(form, 2)
        case "view":
            return Applied(lambda _, x: x.view(x.size(0), -1))
        case _:
            if isinstance(form, str):
                return Applied(lambda _, x: x.reshape(x.size(0), -1))
            return Applied(lambda _, x: torch.reshape(x, (x.size(0), -1)))


def _permute(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """Channels to the end, then flat: the order of elements differs from torch's own."""
    if form in (torch.transpose, "transpose"):
        step = _called(form, 1, 2)
    elif isinstance(form, str):
        step = _called(form, 0, 2, 3, 1)
    else:
        step = _called(form, (0, 2, 3, 1))
    return nn.Sequential(step, nn.Flatten())


def _index(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return Applied(lambda _, x: x[:, :, None, None])


def _identity(form: Any, shape: Shape, rng: Random) -> nn.Module:
    if isinstance(form, type | str) or form is torch.clone:
        return _called(form)
    return _called(form, 0.2, False)


_MAKERS: dict[str, Maker] = {
    **dict.fromkeys(
        ("relu", "relu6", "sigmoid", "tanh", "hardswish", "silu", "hardsigmoid", "negate"), _plain
    ),
    **dict.fromkeys(("add", "subtract", "multiply", "divide"), _binary),
    **dict.fromkeys(("max_pool", "average_pool"), _pool),
    **dict.fromkeys(("adaptive_average_pool", "adaptive_max_pool"), _adaptive_pool),
    **dict.fromkeys(("permute", "transpose"), _permute),
    "hardtanh": _hardtanh,
    "clamp": _clamp,
    "leaky": _leaky,
    "softmax": _softmax,
    "mean": _mean,
    "constant_pad": _pad,
    "convolution": _convolution,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "concatenate": _concatenate,
    "reshape": _reshape,
    "index": _index,
    "identity": _identity,
}  # fmt: skip
