"""Small networks, each with one form of layer or function that capture reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.frontend.execute import activated, network_input, unweighted, weighted_sum
from compress.frontend.layers import Layer

torch.set_num_threads(1)  # two wait for each other where a core is shared

MAP, ODD, SERIES = (3, 8, 8), (3, 9, 7), (3, 32)


class Form(nn.Module):
    """`function(self, x)`, with the modules and buffers that it uses."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def conv(inputs: int = 3, outputs: int = 8, *args: Any, **options: Any) -> nn.Module:
    """A convolution of 3x3 that keeps the map's size, with batch-norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, *args, padding=1, **options), nn.BatchNorm2d(outputs)
    )


def end(features: int, classes: int = 4) -> nn.Module:
    """The classifier of a map."""
    return nn.Sequential(nn.Flatten(), nn.Linear(features, classes))


def _between(function: Callable[[Tensor], Tensor], features: int = 512) -> nn.Module:
    """Convolution, `function`, classifier; the function maps (N, 8, ...) to `features` values."""
    between = function if isinstance(function, nn.Module) else Form(lambda _, x: function(x))
    return nn.Sequential(conv(), between, end(features))


class PlainSubclass(nn.Conv2d):
    """A subclass that computes what Conv2d computes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)


class SamePadded(nn.Conv2d):
    """A convolution that pads by itself, as in ports from TensorFlow."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, (0, 1, 0, 1)))


class Scaled(nn.Linear):
    """Linear with a factor of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias) * 0.5


class SqueezeExcite(nn.Module):
    """Channels weighted by a gate, which two 1x1 convolutions compute from the means."""

    def __init__(self, channels: int, gate: nn.Module, dense: bool = False) -> None:
        super().__init__()
        self.dense, self.gate = dense, gate
        self.down = nn.Linear(channels, 8) if dense else nn.Conv2d(channels, 8, 1)
        self.up = nn.Linear(8, channels) if dense else nn.Conv2d(8, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3)) if self.dense else functional.adaptive_avg_pool2d(x, 1)
        gate = self.gate(self.up(torch.relu(self.down(means))))
        return x * (gate[:, :, None, None] if self.dense else gate)


def _squeeze_excite(gate: nn.Module, dense: bool = False) -> nn.Module:
    return nn.Sequential(
        conv(3, 16), nn.Hardswish(), SqueezeExcite(16, gate, dense), nn.Conv2d(16, 8, 1),
        nn.ReLU(), nn.AdaptiveAvgPool2d(2), end(32),
    )  # fmt: skip


def _branches(join: Callable[[Tensor, Tensor], Tensor], features: int = 512) -> nn.Module:
    return Form(
        lambda s, x: s.out(torch.relu(s.after(join(s.left(x), s.right(x))))),
        left=nn.Sequential(conv(), nn.ReLU()),
        right=nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU()),
        after=nn.LazyConv2d(8, 1),
        out=end(features),
    )


def _dense_net(s: Any, x: Tensor) -> Tensor:
    x = torch.relu(s.stem(x))
    for layer in (s.first, s.second):
        x = torch.cat([x, layer(x)], 1)
    return s.out(torch.relu(s.norm(x)))


def _series(*layers: nn.Module, features: int = 128) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(3, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU(), *layers, end(features)
    )


def _unused(s: Any, x: Tensor) -> Tensor:
    y = torch.relu(s.conv(x))
    s.aux(torch.erf(y))
    return s.out(y)


_relu = torch.relu
FORMS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "view(x.size(0), -1)": (lambda: _between(lambda x: x.view(x.size(0), -1)), MAP),
    "reshape(x.shape[0], -1)": (lambda: _between(lambda x: x.reshape(x.shape[0], -1)), MAP),
    "view(-1, 512)": (lambda: _between(lambda x: x.view(-1, 512)), MAP),
    "flatten(1)": (lambda: _between(lambda x: x.flatten(1)), MAP),
    "Flatten(2) and flatten": (lambda: _between(lambda x: x.flatten(2).flatten(1)), MAP),
    "squeeze": (
        lambda: Form(lambda s, x: s.out(s.pool(s.conv(x)).squeeze()), conv=conv(),
                     pool=nn.AdaptiveAvgPool2d(1), out=nn.Linear(8, 4)), MAP),
    "squeeze(-1).squeeze(-1)": (
        lambda: Form(lambda s, x: s.out(s.pool(s.conv(x)).squeeze(-1).squeeze(-1)), conv=conv(),
                     pool=nn.AdaptiveAvgPool2d(1), out=nn.Linear(8, 4)), MAP),
    "[:, :, 0, 0]": (
        lambda: Form(lambda s, x: s.out(s.pool(s.conv(x))[:, :, 0, 0]), conv=conv(),
                     pool=nn.AdaptiveMaxPool2d(1), out=nn.Linear(8, 4)), MAP),
    "unflatten": (
        lambda: Form(lambda s, x: s.out(s.after(s.conv(x).flatten(1).unflatten(1, (8, 8, 8)))),
                     conv=conv(), after=nn.Conv2d(8, 4, 1), out=end(256)), MAP),
    "permute to NHWC and flatten": (
        lambda: _between(lambda x: x.permute(0, 2, 3, 1).reshape(x.size(0), -1)), MAP),
    "activation and norm of a flattened map": (
        lambda: nn.Sequential(conv(), nn.Flatten(), nn.ReLU(), nn.BatchNorm1d(512), nn.Dropout(),
                              nn.Linear(512, 4)), MAP),
    "cat of two branches": (lambda: _branches(lambda a, b: torch.cat([a, b], 1)), MAP),
    "cat with itself": (lambda: _branches(lambda a, b: torch.cat((a, a), dim=1)), MAP),
    "cat along the height": (lambda: _branches(lambda a, b: torch.cat([a, b], -2), 1024), MAP),
    "cat of flattened maps": (
        lambda: Form(lambda s, x: s.out(torch.cat([s.a(x).flatten(1), s.b(x).flatten(1)], 1)),
                     a=conv(), b=nn.Conv2d(3, 2, 1), out=nn.Linear(640, 4)), MAP),
    "cat with another reader": (
        lambda: _branches(lambda a, b: torch.cat([a, torch.sigmoid(b), a + b], 1)), MAP),
    "DenseNet": (
        lambda: Form(_dense_net, stem=conv(), norm=nn.BatchNorm2d(20), out=end(1280),
                     first=nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 1)),
                     second=nn.Sequential(nn.BatchNorm2d(14), nn.ReLU(), nn.Conv2d(14, 6, 1))),
        MAP),
    "product of two branches": (lambda: _branches(lambda a, b: a * b), MAP),
    "difference of two branches": (lambda: _branches(lambda a, b: a - b), MAP),
    "sum with a mean per channel": (
        lambda: _branches(lambda a, b: b.mean((2, 3), keepdim=True) + a), MAP),
    "squeeze-excite, sigmoid": (lambda: _squeeze_excite(nn.Sigmoid()), MAP),
    "squeeze-excite, hard sigmoid": (lambda: _squeeze_excite(nn.Hardsigmoid()), MAP),
    "squeeze-excite of Linear": (lambda: _squeeze_excite(nn.Sigmoid(), True), MAP),
    "a gate over joined branches": (
        lambda: Form(lambda s, x: s.out(s.gate(torch.cat([s.left(x), s.right(x)], 1))),
                     left=conv(), right=nn.Conv2d(3, 8, 1), out=end(1024),
                     gate=SqueezeExcite(16, nn.Hardsigmoid())), MAP),
    "SiLU": (lambda: nn.Sequential(conv(), nn.SiLU(), conv(8, 8), nn.SiLU(), end(512)), MAP),
    "F.silu": (lambda: _between(functional.silu), MAP),
    "Sigmoid": (lambda: _between(torch.sigmoid), MAP),
    "Tanh": (lambda: nn.Sequential(conv(), nn.Tanh(), end(512)), MAP),
    "LeakyReLU": (lambda: nn.Sequential(conv(), nn.LeakyReLU(0.2), end(512)), MAP),
    "F.leaky_relu": (lambda: _between(partial(functional.leaky_relu, negative_slope=0.1)), MAP),
    "Hardswish": (lambda: nn.Sequential(conv(), nn.Hardswish(), end(512)), MAP),
    "F.hardsigmoid": (lambda: _between(functional.hardsigmoid), MAP),
    "Hardtanh(0, 6)": (lambda: nn.Sequential(conv(), nn.Hardtanh(0, 6), end(512)), MAP),
    "Hardtanh": (lambda: nn.Sequential(conv(), nn.Hardtanh(), end(512)), MAP),
    "clamp of a pool": (
        lambda: _between(lambda x: functional.max_pool2d(x, 2).clamp(-0.5, 1.5), 128), MAP),
    "clamp(min=0)": (lambda: _between(lambda x: x.clamp(min=0)), MAP),
    "relu of a concatenation": (lambda: _branches(lambda a, b: _relu(torch.cat([a, -b], 1))), MAP),
    "norm after relu": (
        lambda: nn.Sequential(conv(), nn.ReLU(), nn.BatchNorm2d(8), conv(8, 8), nn.ReLU(),
                              end(512)), MAP),
    "norm of the input": (
        lambda: nn.Sequential(nn.BatchNorm2d(3), conv(), nn.ReLU(), end(512)), MAP),
    "pre-activation": (
        lambda: nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(8), nn.ReLU(),
                              nn.Conv2d(8, 8, 1), end(128)), MAP),
    "two norms": (lambda: nn.Sequential(conv(), nn.BatchNorm2d(8), nn.ReLU(), end(512)), MAP),
    "scaled input": (
        lambda: Form(lambda s, x: s.out(_relu(s.conv((x - s.mean) / s.std))), conv=conv(),
                     mean=torch.tensor([0.2, -0.1, 0.3]).reshape(3, 1, 1),
                     std=torch.tensor([0.5, 1.0, 2.0]).reshape(1, 3, 1, 1), out=end(512)), MAP),
    "2 * x - 1, 1 - x": (lambda: _between(lambda x: _relu(1 - (2 * x - 1))), MAP),
    "-x / 3 + 0.5": (lambda: _between(lambda x: _relu(-x / 3 + 0.5)), MAP),
    "layer scale": (
        lambda: Form(lambda s, x: s.out(_relu(s.a(x) + s.scale * s.b(x))),
                     a=conv(), b=nn.Conv2d(3, 8, 1), out=end(512),
                     scale=nn.Parameter(torch.linspace(0.1, 2, 8).reshape(8, 1, 1))), MAP),
    "positional embedding": (
        lambda: Form(lambda s, x: s.out(_relu(s.conv(x)) + s.where), conv=conv(), out=end(512),
                     where=nn.Parameter(torch.linspace(-1, 1, 512).reshape(1, 8, 8, 8))), MAP),
    "product with a window": (
        lambda: Form(lambda s, x: s.out(_relu(s.conv(x)) * s.window), conv=conv(), out=end(512),
                     window=torch.hann_window(8).reshape(1, 8) + 0.1), MAP),
    "F.max_pool2d": (lambda: _between(lambda x: functional.max_pool2d(x, 2), 128), MAP),
    "F.max_pool2d, keywords": (
        lambda: _between(lambda x: functional.max_pool2d(x, kernel_size=3, stride=2, padding=1),
                         8 * 16), MAP),
    "F.avg_pool2d": (lambda: _between(lambda x: functional.avg_pool2d(x, 2), 128), MAP),
    "F.avg_pool2d of the whole map": (
        lambda: _between(lambda x: functional.avg_pool2d(x, x.size()[2:]), 8), MAP),
    "AvgPool2d with padding": (lambda: _between(nn.AvgPool2d(3, 2, padding=1), 128), MAP),
    "AvgPool2d with SAME padding": (
        lambda: _between(nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)), MAP),
    "MaxPool2d, ceil_mode": (lambda: _between(nn.MaxPool2d(2, ceil_mode=True), 160), ODD),
    "AvgPool2d, ceil_mode": (lambda: _between(nn.AvgPool2d(2, ceil_mode=True), 160), ODD),
    "MaxPool2d(3, 2, 1), ceil_mode": (
        lambda: _between(nn.MaxPool2d(3, 2, 1, ceil_mode=True), 8 * 25), MAP),
    "AdaptiveAvgPool2d(4)": (lambda: _between(nn.AdaptiveAvgPool2d(4), 128), MAP),
    "AdaptiveAvgPool2d((2, None))": (lambda: _between(nn.AdaptiveAvgPool2d((2, None)), 128), MAP),
    "AdaptiveMaxPool2d(2)": (lambda: _between(nn.AdaptiveMaxPool2d(2), 32), MAP),
    "mean of rows, then columns": (lambda: _between(lambda x: x.mean(3).mean(-1), 8), MAP),
    "mean of rows": (lambda: _between(lambda x: x.mean(dim=2, keepdim=True), 64), MAP),
    "ZeroPad2d before MaxPool2d": (
        lambda: _between(nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, 2)), 128), MAP),
    "ConstantPad2d before AvgPool2d": (
        lambda: _between(nn.Sequential(nn.ConstantPad2d(1, 0.5), nn.AvgPool2d(2)), 200), MAP),
    "padding that two layers read": (
        lambda: Form(lambda s, x: s.out(s.both(functional.pad(s.stem(x), (1, 1, 1, 1)))),
                     stem=conv(), out=end(128),
                     both=Form(lambda s, x: s.a(x) + s.b(x), a=nn.Conv2d(8, 8, 3, 2),
                               b=nn.MaxPool2d(3, 2))), MAP),
    "convolution in groups": (
        lambda: nn.Sequential(conv(3, 8), nn.ReLU(), nn.Conv2d(8, 12, 3, groups=4),
                              nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 8, 1), end(288)), MAP),
    "a subclass": (lambda: nn.Sequential(PlainSubclass(3, 8), nn.ReLU(), end(512)), MAP),
    "a subclass with a forward": (
        lambda: nn.Sequential(SamePadded(3, 8, 3, stride=2), nn.ReLU(), nn.Flatten(),
                              Scaled(128, 4)), MAP),
    "F.conv2d": (
        lambda: Form(lambda s, x: s.out(_relu(functional.conv2d(x, s.w, stride=2, padding=1))),
                     w=nn.Parameter(torch.randn(8, 3, 3, 3) / 4), out=end(128)), MAP),
    "an unused branch": (
        lambda: Form(_unused, conv=conv(), aux=nn.Conv2d(8, 4, 1), out=end(512)), MAP),
    "Conv1d on a map": (
        lambda: Form(lambda s, x: s.net(x.squeeze(2)), net=_series(nn.MaxPool1d(2))), (3, 1, 32)),
    "Conv1d behind Flatten(2)": (
        lambda: nn.Sequential(nn.Flatten(2), *_series(features=256)), (3, 1, 32)),
    "Conv1d": (lambda: _series(nn.MaxPool1d(2)), SERIES),
    "Conv1d, strides and dilation": (
        lambda: _series(nn.Conv1d(8, 8, 5, stride=2, padding=4, dilation=2, groups=8), nn.ReLU6(),
                        nn.AvgPool1d(2), nn.AdaptiveAvgPool1d(4), features=32), SERIES),
    "Conv1d, mean": (lambda: Form(lambda s, x: s.out(s.conv(x).mean(2)), conv=nn.Conv1d(3, 8, 5),
                                  out=nn.Linear(8, 4)), SERIES),
    "vectors": (
        lambda: nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.Hardtanh(),
                              nn.Linear(16, 4)), (12,)),
}  # fmt: skip


@cache
def made(name: str) -> tuple[nn.Module, Tensor]:
    """The network in evaluation mode with the statistics of random samples, and 64 such samples.

    Callers must not change it.
    """
    torch.manual_seed(3)
    net, shape = FORMS[name]
    module, x = net(), torch.randn(64, *shape)
    with torch.no_grad():
        module(x)
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.uniform_(layer.bias, -0.5, 0.5)
                layer.momentum = 0.5
        module.train()
        for _ in range(8):
            module(x)
    return module.eval(), x


def run_layers(layers: tuple[Layer, ...], source: str, output: str, x: Tensor) -> Tensor:
    """The value `output` that the layers compute from samples x in torch's layout."""
    values = {source: network_input(x.numpy())}
    for layer in layers:
        inputs = tuple(values[value] for value in layer.inputs)
        if layer.kind in ("conv", "depthwise", "linear") and layer.weight is not None:
            bias = np.zeros(layer.shape[-1]) if layer.bias is None else layer.bias
            made = weighted_sum(layer, inputs[0], layer.weight, bias)
            values[layer.output] = activated(made, layer)
        else:
            values[layer.output] = unweighted(layer, inputs)
    return values[output]
