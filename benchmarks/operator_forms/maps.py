"""Makers of forms on maps and series: weighted layers, pools, resizing, reductions and norms."""

from __future__ import annotations

from random import Random
from typing import Any

from torch import nn
from torch.nn import functional

from operator_forms.parts import Applied, Maker, Shape, apply, called, weighted


def _convolution(form: Any, shape: Shape, rng: Random) -> nn.Module:
    depthwise = rng.random() < 0.4
    width = shape[0] * rng.choice((1, 2)) if depthwise else rng.choice((4, 8))
    layer = weighted(shape, width, rng.choice((1, 3, 5)), shape[0] if depthwise else 1)
    if isinstance(form, type):
        return layer
    pads, groups = layer.padding, layer.groups
    return Applied(
        lambda s, x: form(x, s.layer.weight, s.layer.bias, padding=pads, groups=groups),
        layer=layer,
    )


def _transposed_convolution(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """A kernel with its stride, padding and output padding that TFLite has a form for."""
    kernel, stride, padding, more = rng.choice(
        ((2, 2, 0, 0), (3, 2, 0, 0), (3, 1, 1, 0), (3, 2, 1, 1), (4, 2, 1, 0))
    )
    width = rng.choice((4, 8))
    made: nn.Module = form(shape[0], width, kernel, stride, padding, output_padding=more)
    return made


def _linear(form: Any, shape: Shape, rng: Random) -> nn.Module:
    layer = nn.Linear(shape[-1], rng.choice((4, 8)))
    if isinstance(form, type):
        return layer
    return Applied(lambda s, x: form(x, s.layer.weight, s.layer.bias), layer=layer)


def _batch_norm(form: Any, shape: Shape, rng: Random) -> nn.Module:
    return called(form, shape[0])


def _layer_norm(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """Over the last axis, or over all."""
    axes = rng.choice((shape, shape[-1:]))
    layer = nn.LayerNorm(axes, elementwise_affine=rng.random() < 0.7)
    _set_factors(layer)
    if isinstance(form, type):
        return layer
    return Applied(lambda s, x: form(x, axes, s.layer.weight, s.layer.bias), layer=layer)


def _group_norm(form: Any, shape: Shape, rng: Random) -> nn.Module:
    layer = nn.GroupNorm(rng.choice((1, shape[0])), shape[0], affine=rng.random() < 0.7)
    _set_factors(layer)
    return layer


def _instance_norm(form: Any, shape: Shape, rng: Random) -> nn.Module:
    layer: nn.Module = form(shape[0], affine=rng.random() < 0.7)
    _set_factors(layer)
    return layer


def _set_factors(layer: nn.Module) -> None:
    for name, value in layer.named_parameters():
        nn.init.uniform_(value, *((0.5, 1.5) if name == "weight" else (-0.5, 0.5)))


def _pool(form: Any, shape: Shape, rng: Random) -> nn.Module:
    kernel = rng.choice((2, 3))
    return called(form, kernel, stride=rng.choice((1, 2)), padding=rng.choice((0, 0, 1)))


def _adaptive_pool(form: Any, shape: Shape, rng: Random) -> nn.Module:
    sizes = [n for n in (1, 2, 4) if all(extent % n == 0 for extent in shape[1:])]
    return called(form, rng.choice(sizes))


def _reduction(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """Over positions, or over any axes."""
    axes = tuple(range(2, len(shape) + 1))
    if not axes or rng.random() < 0.4:
        rank = len(shape)
        axes = tuple(sorted(rng.sample(range(1, rank + 1), rng.randint(1, rank))))
    return called(form, axes, keepdim=rng.random() < 0.5 or len(axes) == len(shape))


def _resize(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """To twice or three times the extents, or to others by a size."""
    if form in (nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d):
        return called(form, scale_factor=rng.choice((2, 3)))
    modes = ("nearest", "nearest-exact", "linear" if len(shape) == 2 else "bilinear")
    mode = rng.choice(modes)
    options: dict[str, Any] = {"mode": mode}
    if mode == modes[-1]:
        options["align_corners"] = rng.random() < 0.5
    if rng.random() < 0.5:
        options["scale_factor"] = rng.choice((2, 3))
    else:
        options["size"] = tuple(extent + rng.randint(-3, 5) for extent in shape[1:])
    return called(form, **options)


def _pad(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """Of positions, or with the function also of channels."""
    positions = 2 * (len(shape) - 1)
    widths = tuple(rng.randint(0, 2) for _ in range(positions))
    if form is functional.pad and rng.random() < 0.3:
        widths = (*[0] * positions, rng.randint(0, 2), rng.randint(1, 2))
    if form in (nn.ZeroPad1d, nn.ZeroPad2d):
        return called(form, widths)
    return called(form, widths, value=rng.choice((0.0, rng.uniform(-1, 1))))


def _matmul(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """With the columns of another value, or with its rows as they lie."""
    if len(shape) > 1 and shape[-2] == shape[-1] and rng.random() < 0.5:
        return Applied(lambda s, x: apply(form, x, s.other(x)), other=weighted(shape, shape[0]))
    other = weighted(shape, shape[0])
    return Applied(lambda s, x: apply(form, x, s.other(x).transpose(-1, -2)), other=other)


def _attention(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """Of a series whose positions are the tokens, in one head."""
    width = rng.choice((4, 8))
    layers = {name: nn.Linear(shape[0], width) for name in ("queries", "keys", "values")}
    return Applied(
        lambda s, x: _attended(form, s, x.transpose(1, 2)),
        **layers,
    )


def _attended(form: Any, layers: Any, x: Any) -> Any:
    return form(layers.queries(x), layers.keys(x), layers.values(x))


def _recurrent(form: Any, shape: Shape, rng: Random) -> nn.Module:
    """Of a series whose positions are the steps: all states, or the last one."""
    layer = form(shape[0], rng.choice((4, 8)), num_layers=rng.choice((1, 1, 2)), batch_first=True)
    if rng.random() < 0.5:
        return Applied(lambda s, x: s.layer(x.transpose(1, 2))[0], layer=layer)
    return Applied(lambda s, x: s.layer(x.transpose(1, 2))[0][:, -1], layer=layer)


MAKERS: dict[str, Maker] = {
    **dict.fromkeys(("max_pool", "average_pool"), _pool),
    **dict.fromkeys(("adaptive_average_pool", "adaptive_max_pool"), _adaptive_pool),
    **dict.fromkeys(("mean", "total", "highest", "lowest"), _reduction),
    "convolution": _convolution,
    "transposed_convolution": _transposed_convolution,
    "linear": _linear,
    "matmul": _matmul,
    "attention": _attention,
    "recurrent": _recurrent,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "resize": _resize,
    "constant_pad": _pad,
}
