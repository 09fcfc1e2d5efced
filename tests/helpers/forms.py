"""Small networks, each with one form of layer or function that capture reads."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.frontend.execute import network_inputs, run_layer
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


def _two(parts: Any) -> tuple[Tensor, Tensor]:
    return parts[0], parts[1]


def _u_net(s: Any, x: Tensor) -> Tensor:
    first = torch.relu(s.down(x))
    inner = torch.relu(s.inner(functional.max_pool2d(first, 2)))
    return s.out(torch.cat([s.up(inner), first], 1))


class Attention(nn.Module):
    """Self-attention after a norm, with a shortcut, by heads."""

    def __init__(self, features: int, heads: int = 1, function: bool = False) -> None:
        super().__init__()
        self.heads, self.function, self.norm = heads, function, nn.LayerNorm(features)
        self.q, self.k, self.v, self.out = (nn.Linear(features, features) for _ in range(4))

    def split(self, x: Tensor) -> Tensor:
        n, length, features = x.shape
        if self.heads == 1:
            return x
        return x.view(n, length, self.heads, features // self.heads).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        q, k, v = (self.split(part) for part in (self.q(y), self.k(y), self.v(y)))
        if self.function:
            z = functional.scaled_dot_product_attention(q, k, v)
        else:
            z = torch.softmax(q @ k.transpose(-2, -1) * 0.5, dim=-1) @ v
        z = z if self.heads == 1 else z.transpose(1, 2).flatten(2)
        return x + self.out(z)


def _attention(heads: int = 1, function: bool = False) -> nn.Module:
    return Form(lambda s, x: s.out(s.attention(x.transpose(1, 2)).mean(1)), out=nn.Linear(8, 4),
                attention=Attention(8, heads, function))  # fmt: skip


def _mixer(s: Any, x: Tensor) -> Tensor:
    y = s.patch(x).flatten(2).transpose(1, 2)
    y = y + s.tokens(s.norm(y).transpose(1, 2)).transpose(1, 2)
    y = y + functional.gelu(s.channels(s.norm(y)))
    return s.out(y.mean(dim=1))


_TABLES: dict[str, Callable[[Tensor], Tensor]] = {
    "GELU": nn.GELU(),
    "GELU, tanh": nn.GELU(approximate="tanh"),
    "F.gelu": functional.gelu,
    "Softplus": nn.Softplus(beta=2),
    "ELU": nn.ELU(0.7),
    "CELU": nn.CELU(0.5),
    "SELU": nn.SELU(),
    "Mish": nn.Mish(),
    "Softsign": nn.Softsign(),
    "LogSigmoid": nn.LogSigmoid(),
    "Tanhshrink": nn.Tanhshrink(),
    "Hardshrink": nn.Hardshrink(),
    "Softshrink": nn.Softshrink(),
    "Threshold": nn.Threshold(0.1, -0.5),
    "RReLU": nn.RReLU(),
    "abs, square, sqrt": lambda x: torch.sqrt(torch.square(x).abs() + 0.1),
    "x ** 2, erf, sin": lambda x: torch.erf(x) + torch.sin(x) ** 2 - (x / 3) ** 3,
    "GELU written out": lambda x: 0.5 * x * (1 + torch.erf(x / 2**0.5)),
    "hard swish written out": lambda x: x * (x + 3).clamp(0, 6) / 6,
    "two functions of one value": lambda x: torch.relu(x) * torch.sigmoid(x) - torch.tanh(-x),
    "exp, log1p": lambda x: torch.log1p(torch.exp(x)),
}


def _table_form(name: str) -> nn.Module:
    function = _TABLES[name]
    return _between(copy.deepcopy(function) if isinstance(function, nn.Module) else function)


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
    **{name: (partial(_table_form, name), MAP) for name in _TABLES},
    "PReLU": (lambda: nn.Sequential(conv(), nn.PReLU(8), conv(8, 8), nn.PReLU(), end(512)), MAP),
    "PReLU of a flattened map": (
        lambda: nn.Sequential(conv(), nn.Flatten(), nn.PReLU(512), nn.Linear(512, 4)), MAP),
    "minimum and maximum": (
        lambda: _branches(lambda a, b: torch.maximum(torch.minimum(a, b), 0.3 * a)), MAP),
    "extremes of a value with other readers": (
        lambda: _branches(lambda a, b: torch.max(a, torch.sigmoid(b)) + torch.min(b, a + b)), MAP),
    "maximum with constants": (
        lambda: Form(lambda s, x: s.out(torch.maximum(s.conv(x), s.low).clamp(max=0.8)),
                     conv=conv(), out=end(512),
                     low=torch.linspace(-0.5, 0.5, 8).reshape(8, 1, 1)), MAP),
    "clamp(min=-0.3)": (lambda: _between(lambda x: x.clamp(min=-0.3)), MAP),
    "clamp(0.1, 1.5)": (lambda: _between(lambda x: x.clamp(0.1, 1.5)), MAP),
    "1 / (1 + exp(-x))": (lambda: _between(lambda x: 1 / (1 + torch.exp(-x))), MAP),
    "ConvTranspose2d(2, 2)": (
        lambda: nn.Sequential(conv(), nn.ReLU(), nn.MaxPool2d(2), nn.ConvTranspose2d(8, 6, 2, 2),
                              nn.BatchNorm2d(6), nn.ReLU(), end(384)), MAP),
    "ConvTranspose2d(4, 2, 1)": (
        lambda: nn.Sequential(conv(), nn.ReLU(), nn.ConvTranspose2d(8, 4, 4, 2, 1), nn.ReLU6(),
                              end(1024)), MAP),
    "ConvTranspose2d(3, 2, 1, 1)": (
        lambda: nn.Sequential(conv(), nn.ReLU(), nn.ConvTranspose2d(8, 4, 3, 2, 1, 1, bias=False),
                              nn.BatchNorm2d(4), nn.ReLU(), end(4 * 18 * 14)), ODD),
    "ConvTranspose2d(3, (2, 3))": (
        lambda: nn.Sequential(conv(), nn.ConvTranspose2d(8, 4, 3, (2, 3), 0, (1, 0)), nn.ReLU(),
                              end(4 * 20 * 21)), ODD),
    "ConvTranspose1d": (
        lambda: _series(nn.MaxPool1d(2), nn.ConvTranspose1d(8, 6, 4, 2, 1), nn.ReLU(),
                        features=192), SERIES),
    "Upsample": (lambda: _between(nn.Upsample(scale_factor=2), 2048), MAP),
    "F.interpolate, nearest, to a size": (
        lambda: _between(lambda x: functional.interpolate(x, size=(5, 11)), 440), MAP),
    "F.interpolate, nearest-exact": (
        lambda: _between(lambda x: functional.interpolate(x, (12, 5), mode="nearest-exact"), 480),
        MAP),
    "F.interpolate, bilinear": (
        lambda: _between(lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear"),
                         2048), MAP),
    "Upsample, bilinear, align_corners": (
        lambda: _between(nn.Upsample((15, 13), mode="bilinear", align_corners=True), 8 * 195),
        MAP),
    "Upsample of a series": (
        lambda: _series(nn.Upsample(scale_factor=2, mode="linear"), features=512), SERIES),
    "U-Net": (
        lambda: Form(_u_net, down=conv(), inner=conv(8, 12), up=nn.ConvTranspose2d(12, 8, 2, 2),
                     out=end(1024)), MAP),
    "PixelShuffle": (
        lambda: nn.Sequential(conv(3, 12), nn.ReLU(), nn.PixelShuffle(2), nn.Conv2d(3, 4, 3),
                              nn.ReLU(), end(784)), MAP),
    "PixelUnshuffle": (
        lambda: nn.Sequential(conv(), nn.PixelUnshuffle(2), nn.Conv2d(32, 8, 1), nn.ReLU(),
                              end(128)), MAP),
    "ChannelShuffle": (
        lambda: nn.Sequential(conv(), nn.ReLU(), nn.ChannelShuffle(2),
                              nn.Conv2d(8, 8, 3, groups=2), nn.ReLU(), end(288)), MAP),
    "channel shuffle by view": (
        lambda: _between(lambda x: _relu(
            x.view(x.size(0), 4, 2, 8, 8).transpose(1, 2).reshape(x.size(0), 8, 8, 8))), MAP),
    "a map transposed": (lambda: _between(lambda x: _relu(x.transpose(2, 3))), MAP),
    "a map with rows as channels": (
        lambda: Form(lambda s, x: s.out(s.after(_relu(s.conv(x)).permute(0, 2, 1, 3))),
                     conv=conv(), after=nn.Conv2d(8, 4, 1), out=end(256)), MAP),
    "a flattened map that is sliced": (
        lambda: Form(lambda s, x: s.out(s.conv(x).flatten(1)[:, 3:200:2]), conv=conv(),
                     out=nn.Linear(99, 4)), MAP),
    "slices of channels": (
        lambda: Form(lambda s, x: (lambda y: s.out(s.a(y[:, :3]) * y[:, -5:]))(_relu(s.conv(x))),
                     conv=conv(), a=nn.Conv2d(3, 5, 1), out=end(320)), MAP),
    "slices of positions": (
        lambda: _between(lambda x: x[:, :, 1:-1, ::3] + x.narrow(2, 0, 6)[..., 2:5], 144), MAP),
    "one row": (lambda: _between(lambda x: x[:, :, 3] - x.select(2, 0), 64), MAP),
    "chunk": (
        lambda: _between(lambda x: (lambda a, b: a * torch.sigmoid(b))(*_two(x.chunk(2, 1))), 256),
        MAP),
    "split": (
        lambda: _between(lambda x: torch.cat([part.relu() for part in _two(
            torch.split(x, [3, 5], 1))], 1)), MAP),
    "unbind and stack": (
        lambda: _between(lambda x: torch.stack(
            [x.mean((2, 3)), x.amax((2, 3)), x.unbind(2)[1].mean(2)], 1), 24), MAP),
    "flip and gather": (lambda: _between(lambda x: x.flip(3)[:, [0, 2, 2, 7]], 256), MAP),
    "index_select": (
        lambda: Form(lambda s, x: s.out(s.conv(x).index_select(2, s.rows)), conv=conv(),
                     rows=torch.tensor([1, 1, 6]), out=end(192)), MAP),
    "padded channels": (
        lambda: Form(lambda s, x: s.out(_relu(functional.pad(s.a(x), (0, 0, 0, 0, 1, 2)) + s.b(x))),
                     a=nn.Conv2d(3, 5, 1), b=conv(), out=end(512)), MAP),
    "sum, amax and amin": (
        lambda: _between(lambda x: torch.cat(
            [x.sum((2, 3)), x.amax((2, 3)), torch.amin(x, dim=(2, 3))], 1), 24), MAP),
    "attention over positions": (
        lambda: _between(lambda x: x * torch.sigmoid(
            x.mean(1, keepdim=True) + x.amax(1, keepdim=True))), MAP),
    "mean of everything": (
        lambda: Form(lambda s, x: s.out(torch.cat([_relu(s.conv(x)).mean((1, 2, 3)).unsqueeze(1),
                                                   s.conv(x).amin((1, 3))], 1)),
                     conv=conv(), out=nn.Linear(9, 4)), MAP),
    "Linear on a sequence": (
        lambda: Form(lambda s, x: s.out(s.net(x).mean(1)), out=nn.Linear(8, 4),
                     net=nn.Sequential(nn.Linear(12, 16), nn.GELU(), nn.Linear(16, 8), nn.ReLU())),
        (10, 12)),
    "channels last": (
        lambda: Form(lambda s, x: s.out(s.mlp(s.conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)),
                     conv=conv(), out=end(512), mlp=nn.Sequential(
                         nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))), MAP),
    "LayerNorm": (
        lambda: nn.Sequential(conv(), nn.LayerNorm([8, 8, 8]), nn.ReLU(), end(512)), MAP),
    "InstanceNorm2d": (
        lambda: nn.Sequential(conv(), nn.InstanceNorm2d(8, affine=True), nn.ReLU(), end(512)), MAP),
    "GroupNorm(1)": (lambda: nn.Sequential(conv(), nn.GroupNorm(1, 8), nn.GELU(), end(512)), MAP),
    "LayerNorm of vectors": (
        lambda: nn.Sequential(nn.Linear(12, 16), nn.LayerNorm(16), nn.Linear(16, 4)), (12,)),
    "attention": (_attention, (8, 12)),
    "attention of two heads": (partial(_attention, 2), (8, 12)),
    "scaled_dot_product_attention": (partial(_attention, 2, True), (8, 12)),
    "MLP-Mixer": (lambda: Form(_mixer, patch=nn.Conv2d(3, 8, 3, 3), norm=nn.LayerNorm(8),
                               tokens=nn.Linear(4, 4), channels=nn.Linear(8, 8),
                               out=nn.Linear(8, 4)), MAP),
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
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm):
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.uniform_(layer.bias, -0.5, 0.5)
                if not isinstance(layer, nn.LayerNorm):
                    layer.momentum = 0.5
        module.train()
        for _ in range(8):
            module(x)
    return module.eval(), x


def run_layers(layers: tuple[Layer, ...], source: str, output: str, x: Tensor) -> Tensor:
    """The value `output` that the layers compute from samples x in torch's layout."""
    values = network_inputs((source,), x.numpy())
    for layer in layers:
        inputs = tuple(values[value] for value in layer.inputs)
        values[layer.output] = run_layer(layer, inputs)
    return values[output]
