"""Random torch modules written as people write them, for comparison with what is made of them.

Each is a short program over named maps of equal shape: convolutions and what people wrap around
them (norms, weight norm, masks, shared weights, hooks), activations, sums and dropout as modules,
functions, methods and in place, several names of one tensor; and a head of Linear layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from helpers.rounding_noise import expected_noise

Step = Callable[["RandomModule", dict[str, Tensor]], None]


class RandomModule(nn.Module):
    """Runs `steps` over a dictionary of named values; the layers of the steps are submodules."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.text: list[str] = []
        self.last = ""  # the layer that makes the logits

    def forward(self, x: Tensor) -> Tensor:
        values = {"x": x}
        for step in self.steps:
            step(self, values)
        return values["y"]


class _Upper(nn.Module):
    """A parametrization: the upper triangle of each filter."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight.triu()


class _Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


@dataclass
class _Maker:
    """Builds one module; `maps` are the names of its values of shape (N, channels, size, size)."""

    rng: Random
    channels: int
    size: int
    net: RandomModule = field(default_factory=RandomModule)
    maps: list[str] = field(default_factory=list)
    convs: list[str] = field(default_factory=list)

    def add(self, text: str, step: Step) -> None:
        self.net.text.append(text)
        self.net.steps.append(step)

    def layer(self, made: nn.Module) -> str:
        name = f"l{len(list(self.net.children()))}"
        self.net.add_module(name, made)
        return name

    def call(self, name: str, source: str, target: str) -> None:
        def step(net: RandomModule, v: dict[str, Tensor]) -> None:
            v[target] = net.get_submodule(name)(v[source])

        self.add(f"{target} = self.{name}({source})  # {self.net.get_submodule(name)}", step)

    def name(self) -> str:
        """A new name for a map, or one that is used again."""
        if self.maps and self.rng.random() < 0.5:
            return self.rng.choice(self.maps)
        made = f"m{len(self.maps)}"
        self.maps.append(made)
        return made

    def convolution(self, source: str, target: str, inputs: int | None = None) -> None:
        """A convolution, new or one that has run before, and perhaps a norm after it."""
        rng, channels = self.rng, self.channels
        if inputs is None and self.convs and rng.random() < 0.25:
            name = rng.choice(self.convs)
        else:
            grouped = inputs is None and rng.random() < 0.3
            kernel = rng.choice((1, 3))
            conv = nn.Conv2d(
                inputs or channels,
                channels,
                kernel,
                padding=kernel // 2,
                groups=channels if grouped else 1,
                bias=rng.random() < 0.6,
            )
            name = self.layer(self.wrapped(conv))
            if inputs is None:
                self.convs.append(name)
        self.call(name, source, target)
        self.hook(name)
        if rng.random() < 0.5:
            self.call(self.layer(nn.BatchNorm2d(channels)), target, target)

    def wrapped(self, layer: Any) -> nn.Module:
        """The layer with what people put between it and its weight."""
        match self.rng.randrange(16):
            case 0:
                return weight_norm(layer)
            case 1:
                return parametrizations.weight_norm(layer)
            case 2:
                return spectral_norm(layer)
            case 3:
                prune.l1_unstructured(layer, "weight", 0.5)
            case 4 if layer.weight.dim() == 4 and layer.groups == 1:
                prune.ln_structured(layer, "weight", 0.4, 2, 0)
            case 5:
                parametrize.register_parametrization(layer, "weight", _Doubled())
            case 6 if layer.weight.dim() == 2:
                parametrize.register_parametrization(layer, "weight", _Upper())
            case 7:
                self.tie(layer)
        return layer

    def tie(self, layer: Any) -> None:
        """Share the weight of another layer of the same shape, if there is one."""
        for other in self.net.children():
            weight = getattr(other, "weight", None)
            plain = type(other) is type(layer) and "weight" in other._parameters
            if plain and isinstance(weight, nn.Parameter) and weight.shape == layer.weight.shape:
                layer.weight = weight
                return

    def hook(self, name: str) -> None:
        """Sometimes a hook: one that only looks, or one that takes part."""
        if self.rng.random() > 0.06:
            return
        layer = self.net.get_submodule(name)
        match self.rng.randrange(6):
            case 0 | 1:
                layer.register_forward_hook(lambda module, args, result: None)
            case 2:
                layer.register_forward_hook(lambda module, args, result: result * 1.25)
            case 3:
                layer.register_forward_hook(_halve)
            case 4:
                layer.register_forward_pre_hook(lambda module, args: (args[0] + 0.5,))
            case _:
                layer.register_forward_hook(_clip)
        self.net.text.append(f"# a hook of {name}")

    def activation(self, source: str, target: str) -> None:
        forms: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (
            ("F.relu({0})", functional.relu),
            ("F.relu({0}, inplace=True)", lambda v: functional.relu(v, inplace=True)),
            ("F.relu({0}, True)", lambda v: functional.relu(v, True)),
            ("torch.relu({0})", torch.relu),
            ("torch.relu_({0})", torch.relu_),
            ("{0}.relu()", lambda v: v.relu()),
            ("{0}.relu_()", lambda v: v.relu_()),
            ("F.relu6({0})", functional.relu6),
            ("F.relu6({0}, inplace=True)", lambda v: functional.relu6(v, inplace=True)),
            ("{0}.clamp_(-0.5, 1.5)", lambda v: v.clamp_(-0.5, 1.5)),
            ("F.hardswish({0}, True)", lambda v: functional.hardswish(v, True)),
            ("{0}.sigmoid_()", lambda v: v.sigmoid_()),
            ("F.leaky_relu_({0})", lambda v: functional.leaky_relu_(v)),
            ("F.silu({0}, inplace=True)", lambda v: functional.silu(v, inplace=True)),
            ("F.gelu({0})", functional.gelu),
            ("F.mish({0}, True)", lambda v: functional.mish(v, True)),
            ("F.elu_({0}, 0.5)", lambda v: functional.elu_(v, 0.5)),
            ("F.softplus({0}, 2)", lambda v: functional.softplus(v, 2)),
            ("{0}.abs_()", lambda v: v.abs_()),
            ("{0} * torch.sigmoid(1.7 * {0})", lambda v: v * torch.sigmoid(1.7 * v)),
            ("{0}.clamp(min=-0.3)", lambda v: v.clamp(min=-0.3)),
        )
        if self.rng.random() < 0.4:
            if self.rng.random() < 0.3:
                made = (nn.GELU(), nn.GELU("tanh"), nn.Softplus(), nn.PReLU(), nn.Softsign())
                self.call(self.layer(self.rng.choice(made)), source, target)
                return
            kinds = (
                nn.ReLU, nn.ReLU6, nn.Hardswish, nn.LeakyReLU, nn.SiLU, nn.Hardsigmoid, nn.Mish,
                nn.ELU, nn.SELU,
            )  # fmt: skip
            kind: Any = self.rng.choice((nn.ReLU, self.rng.choice(kinds)))
            self.call(self.layer(kind(inplace=self.rng.random() < 0.6)), source, target)
            return
        text, form = self.rng.choice(forms)
        # The statement alone, or with a new name for the result.
        bare = "_(" in text or "rue)" in text
        kept = target if not bare or self.rng.random() < 0.5 else None

        def step(net: RandomModule, v: dict[str, Tensor]) -> None:
            result = form(v[source])
            if kept is not None:
                v[kept] = result
            else:
                v.setdefault(target, v[source])

        statement = text.format(source)
        self.add(f"{kept} = {statement}" if kept else statement, step)

    def sum(self, left: str, right: str, target: str) -> None:
        def plus(v: dict[str, Tensor]) -> None:
            v[target] = v[left] + v[right]

        def function(v: dict[str, Tensor]) -> None:
            v[target] = torch.add(v[left], v[right])

        def assigned(v: dict[str, Tensor]) -> None:
            a = v[left]
            a += v[right]
            v[left] = v[target] = a

        def method(v: dict[str, Tensor]) -> None:
            v[target] = v[left].add_(v[right])

        def out(v: dict[str, Tensor]) -> None:
            v[target] = torch.add(v[left], v[right], out=v[left])

        text, form = self.rng.choice(
            (
                ("{2} = {0} + {1}", plus),
                ("{2} = torch.add({0}, {1})", function),
                ("{0} += {1}; {2} = {0}", assigned),
                ("{2} = {0}.add_({1})", method),
                ("{2} = torch.add({0}, {1}, out={0})", out),
            )
        )
        self.add(text.format(left, right, target), lambda net, v: form(v))

    def other_than(self, target: str, source: str) -> str:
        """A map that is not the one to be made, which may not exist yet."""
        return self.rng.choice([name for name in self.maps if name != target] or [source])

    def scaled(self, source: str, target: str) -> None:
        """A sum or product with a constant, or a product of two maps."""
        other = self.other_than(target, source)

        def assigned(v: dict[str, Tensor]) -> None:
            a = v[source]
            a *= 0.5
            v[target] = a

        forms: tuple[tuple[str, Callable[[dict[str, Tensor]], None]], ...] = (
            ("{2} = 0.7 * {0}", lambda v: v.update({target: 0.7 * v[source]})),
            ("{0} *= 0.5; {2} = {0}", assigned),
            ("{2} = {0} - {1}", lambda v: v.update({target: v[source] - v[other]})),
            ("{2} = {0}.sub_(0.2)", lambda v: v.update({target: v[source].sub_(0.2)})),
            ("{2} = {0}.mul_({1})", lambda v: v.update({target: v[source].mul_(v[other])})),
            ("{2} = {0} * {1}", lambda v: v.update({target: v[source] * v[other]})),
        )
        text, form = self.rng.choice(forms)
        self.add(text.format(source, other, target), lambda net, v: form(v))

    def joined(self, source: str, target: str) -> None:
        """Two maps one after the other, and a convolution to the width of one."""
        other = self.other_than(target, source)

        def step(net: RandomModule, v: dict[str, Tensor]) -> None:
            v["joined"] = torch.cat((v[source], v[other]), 1)

        self.add(f"joined = torch.cat(({source}, {other}), 1)", step)
        self.convolution("joined", target, 2 * self.channels)

    def other_name(self, source: str, target: str) -> None:
        """The same tensor or, for some forms and in training, a copy."""
        forms: tuple[tuple[str, Callable[[RandomModule, Tensor], Tensor]], ...] = (
            ("{0}", lambda net, v: v),
            ("{0}.contiguous()", lambda net, v: v.contiguous()),
            (
                "F.dropout({0}, 0.3, self.training)",
                lambda net, v: functional.dropout(v, 0.3, net.training),
            ),
        )
        if self.rng.random() < 0.4:
            kinds = (nn.Identity(), nn.Dropout(0.2), nn.Dropout2d(0.2), nn.Dropout(0.2, True))
            self.call(self.layer(self.rng.choice(kinds)), source, target)
            return
        text, form = self.rng.choice(forms)

        def step(net: RandomModule, v: dict[str, Tensor]) -> None:
            v[target] = form(net, v[source])

        self.add(f"{target} = {text.format(source)}", step)

    def pool(self, source: str, target: str) -> None:
        kinds = (nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1, count_include_pad=False))
        self.call(self.layer(self.rng.choice(kinds)), source, target)

    def moved(self, source: str, target: str) -> None:
        """The elements of a map in another order, or as many of two maps."""
        size, other = self.size, self.other_than(target, source)
        forms: tuple[tuple[str, Callable[[Tensor, Tensor], Tensor]], ...] = (
            ("{0}.transpose(2, 3)", lambda v, w: v.transpose(2, 3)),
            ("{0}.transpose(3, 2).contiguous()", lambda v, w: v.transpose(3, 2).contiguous()),
            ("{0}.flip(2)", lambda v, w: v.flip(2)),
            ("F.channel_shuffle({0}, 2)", lambda v, w: functional.channel_shuffle(v, 2)),
            (
                "{0}.view({0}.size(0), 2, -1, *s).transpose(1, 2).reshape({0}.shape)",
                lambda v, w: (
                    v.reshape(v.size(0), 2, -1, size, size).transpose(1, 2).reshape(v.shape)
                ),
            ),
            (
                "torch.cat(({0}[:, 2:], {1}[:, :2]), 1)",
                lambda v, w: torch.cat((v[:, 2:], w[:, :2]), 1),
            ),
            (
                "torch.cat(({0}[:, :, 1:], {0}[:, :, :1]), 2)",
                lambda v, w: torch.cat((v[:, :, 1:], v[:, :, :1]), 2),
            ),
            (
                "torch.cat(({0}.chunk(2, 1)[1], {1}.chunk(2, 1)[0]), 1)",
                lambda v, w: torch.cat((v.chunk(2, 1)[1], w.chunk(2, 1)[0]), 1),
            ),
            ("torch.cat(({0}[:, :, :2], 0.5 * {1}[:, :, 2:]), 2)", _of_rows),
        )
        text, form = self.rng.choice(forms)

        def step(net: RandomModule, v: dict[str, Tensor]) -> None:
            v[target] = form(v[source], v[other])

        self.add(f"{target} = {text.format(source, other)}", step)

    def resized(self, source: str, target: str) -> None:
        """A map made larger and smaller again, or a transposed convolution that keeps its size."""
        if self.rng.random() < 0.4:
            kernel = self.rng.choice((1, 3))
            conv = nn.ConvTranspose2d(self.channels, self.channels, kernel, 1, kernel // 2)
            self.call(self.layer(conv), source, target)
            return
        options = self.rng.choice(
            ({"mode": "nearest"}, {"mode": "bilinear"}, {"mode": "bilinear", "align_corners": True})
        )

        def step(net: RandomModule, v: dict[str, Tensor]) -> None:
            larger = functional.interpolate(v[source], scale_factor=2, **options)
            v[target] = functional.max_pool2d(larger, 2)

        text = f"F.max_pool2d(F.interpolate({source}, scale_factor=2, **{options}), 2)"
        self.add(f"{target} = {text}", step)

    def reduced(self, source: str, target: str) -> None:
        """Extremes of two maps, and factors that are means, sums or extremes of some axes."""
        other = self.other_than(target, source)
        forms: tuple[tuple[str, Callable[[Tensor, Tensor], Tensor]], ...] = (
            ("torch.maximum({0}, {1})", torch.maximum),
            ("torch.min({0}, {1})", torch.min),
            ("{0} * sigmoid({1}.mean(1, True))", lambda v, w: v * w.mean(1, True).sigmoid()),
            ("{0} + {1}.amax((2, 3), True)", lambda v, w: v + w.amax((2, 3), True)),
            ("{0} - {1}.amin(1, True)", lambda v, w: v - w.amin(1, True)),
            ("{0} + 0.2 * {1}.sum(3, True)", lambda v, w: v + 0.2 * w.sum(3, True)),
        )
        text, form = self.rng.choice(forms)

        def step(net: RandomModule, v: dict[str, Tensor]) -> None:
            v[target] = form(v[source], v[other])

        self.add(f"{target} = {text.format(source, other)}", step)

    def channels_last(self, source: str, target: str) -> None:
        """A norm, a Linear or both over the channels, which are the last axis in between."""
        parts = [nn.LayerNorm(self.channels), nn.Linear(self.channels, self.channels), nn.GELU()]
        name = self.layer(nn.Sequential(*parts[self.rng.randrange(2) : self.rng.randrange(2, 4)]))

        def step(net: RandomModule, v: dict[str, Tensor]) -> None:
            v[target] = net.get_submodule(name)(v[source].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

        self.add(f"{target} = self.{name}(channels last of {source})", step)

    def wrong_dropout(self, source: str, target: str) -> None:
        """Dropout that people forget to switch off: it has to be refused."""

        def step(net: RandomModule, v: dict[str, Tensor]) -> None:
            v[target] = functional.dropout(v[source], 0.2)

        self.add(f"{target} = F.dropout({source}, 0.2)", step)

    def head(self, classes: int) -> None:
        rng, source = self.rng, self.rng.choice(self.maps)
        flatten = rng.random() < 0.5
        forms: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (
            ("torch.flatten({0}, 1)", lambda v: torch.flatten(v, 1)),
            ("{0}.reshape({0}.size(0), -1)", lambda v: v.reshape(v.size(0), -1)),
            ("{0}.flatten(1)", lambda v: v.flatten(1)),
            ("{0}.view({0}.size(0), -1)", lambda v: v.contiguous().view(v.size(0), -1)),
        )
        if not flatten:
            forms = (("{0}.mean((2, 3))", lambda v: v.mean((2, 3))),)
        text, form = rng.choice(forms)

        def step(net: RandomModule, v: dict[str, Tensor]) -> None:
            v["f"] = form(v[source])

        self.add(f"f = {text.format(source)}", step)
        if rng.random() < 0.3:
            self.activation("f", "f")
        features = self.channels * (self.size**2 if flatten else 1)
        if rng.random() < 0.5:
            self.call(self.layer(self.wrapped(nn.Linear(features, 8))), "f", "f")
            if rng.random() < 0.5:
                self.call(self.layer(nn.BatchNorm1d(8)), "f", "f")
            self.activation("f", "f")
            features = 8
        name = self.layer(self.wrapped(nn.Linear(features, classes)))
        self.call(name, "f", "y")
        self.hook(name)
        self.net.last = name


def _of_rows(left: Tensor, right: Tensor) -> Tensor:
    """Rows of two maps."""
    return torch.cat((left[:, :, :2], 0.5 * right[:, :, 2:]), 2)


def _halve(module: nn.Module, args: Any, result: Tensor) -> None:
    result.mul_(0.5)


def _clip(module: nn.Module, args: Any, result: Tensor) -> Tensor:
    return result.clamp(max=0.3)


def random_module(seed: int, classes: int = 4) -> tuple[RandomModule, tuple[int, int, int]]:
    """A module in evaluation mode, and its input shape (C, H, W); `text` says what it computes.

    Its answers differ from sample to sample by more than int8 rounding moves them, and by at least
    a tenth of their largest magnitude: an error in what is made of it then shows.
    """
    rng = Random(seed)
    torch.manual_seed(seed)
    while True:
        net, shape = _made(rng, classes)
        with torch.no_grad():
            try:
                answers = net(torch.randn(64, *shape))
            except RuntimeError as error:
                if "single memory location" in str(error):
                    continue  # torch writes in place to no expanded tensor
                raise
            last: Any = net.get_submodule(net.last)
            last.bias -= answers.mean(0)
            x = torch.randn(64, *shape)
            answers = net(x.clone())
        signal = float(answers.std(0).min())
        if signal > 0.1 * float(answers.abs().max()) and signal > 5 * expected_noise(net, x):
            return net, shape


def _made(rng: Random, classes: int) -> tuple[RandomModule, tuple[int, int, int]]:
    made = _Maker(rng, rng.choice((4, 6, 8)), rng.choice((4, 5)))
    inputs = rng.choice((1, 3))
    if rng.random() < 0.15:
        made.add("x.relu_()", lambda net, v: v.update(x=v["x"].relu_()))
    made.convolution("x", made.name(), inputs)
    for _ in range(rng.randrange(2, 10)):
        kind = rng.choices(
            (
                "convolution",
                "activation",
                "sum",
                "other_name",
                "pool",
                "scaled",
                "joined",
                "moved",
                "resized",
                "reduced",
                "channels_last",
                "wrong_dropout",
            ),
            (5, 5, 4, 2, 1, 1.5, 0.7, 1.5, 0.6, 1.2, 0.5, 0.1),
        )[0]
        sources = list(made.maps)
        source, target = rng.choice(sources), made.name()
        if kind == "sum":
            made.sum(source, rng.choice(sources), target)
        else:
            getattr(made, kind)(source, target)
    made.head(classes)
    net = made.net
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.5, 0.5)
            nn.init.normal_(layer.running_mean, 0.0, 0.3)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.3, 1.5)  # type: ignore[arg-type]
    return net.eval(), (inputs, made.size, made.size)
