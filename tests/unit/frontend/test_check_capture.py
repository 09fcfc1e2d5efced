"""What torch.fx does not see is refused, with the first layer that differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.errors import UnsupportedLayer
from compress.frontend.check_capture import check_capture, vary
from compress.tracing.normalize import normalized
from compress.types import Array

X = np.random.default_rng(0).standard_normal((8, 2, 6, 6)).astype(np.float32)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True))
        self.out = nn.Sequential(nn.Flatten(), nn.Linear(144, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.a(x))
        x = functional.relu(self.block(x) + x)
        return self.out(x)


def _check(change: Callable[[Any], object], x: Array = X) -> None:
    torch.manual_seed(0)
    net = Net()
    vary(net)
    change(net)
    check_capture(net, normalized(net), x)


def _conv_of(net: Any) -> Any:
    return net.block[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda net: None,
        lambda net: _conv_of(net).register_forward_hook(lambda *_: None),
        lambda net: net.a.register_forward_pre_hook(lambda *_: None),
        # A mean far above the spread: single precision loses four digits.
        lambda net: (net.norm.running_mean.fill_(1e3), net.a.bias.data.fill_(1e3)),
        lambda net: net.out[1].weight.data.zero_(),
        lambda net: net.out[1].bias.data.fill_(torch.nan),  # diverged: calibration refuses it
    ],
)
def test_what_computes_the_same_passes(change: Callable[[Any], object]) -> None:
    _check(change)


def _replaced(net: Any) -> None:
    conv = _conv_of(net)
    conv.forward = lambda x: 2 * x


def _stale(net: Any) -> None:
    net.norm.train = lambda mode=True: net.norm


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda net: _conv_of(net).register_forward_hook(lambda m, a, y: 1.01 * y),
            r"^block\.0 \(test_check_capture\.py, line \d+\): .* hooks of block\.0",
        ),
        (
            lambda net: _conv_of(net).register_forward_pre_hook(lambda m, a: (a[0] + 1,)),
            r"^block\.0 \(.*hooks of block\.0",
        ),
        (
            lambda net: net.block.register_forward_hook(lambda m, a, y: y.neg()),
            r"^add \(.*hooks of block",
        ),
        (
            lambda net: net.register_forward_hook(lambda m, a, y: y + 1),
            r"^out\.1 \(.*hooks of Net",
        ),
        (_replaced, r"^block\.0 \(.*replaced methods"),
        (_stale, r"^norm \(.*layers left in training mode"),
        (
            lambda net: net.a.register_forward_hook(lambda m, a, y: y + torch.rand(1)),
            r"^a \(test_check_capture\.py, line \d+\): computes other values when it runs again",
        ),
    ],
)
def test_what_differs_is_named(change: Callable[[Any], object], words: str) -> None:
    with pytest.raises(UnsupportedLayer, match=words):
        _check(change)


def test_a_fresh_network_hides_nothing() -> None:
    """A branch that begins with zeros, and norms that change nothing, are made to count."""
    net = Net()
    for value in (net.block[0].weight, net.block[0].bias):
        nn.init.zeros_(value)  # type: ignore[arg-type]
    vary(net)
    assert net.block[0].weight.std() > 0  # type: ignore[operator]
    assert net.norm.running_var is not None
    assert net.norm.running_var.std() > 0


def _clipping() -> nn.Sequential:
    """A network whose last layer has a hook that limits its values."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    module[1].register_forward_hook(lambda layer, args, result: result.clamp(max=3.0))
    return module.eval()


def test_a_limit_that_few_samples_reach_is_found() -> None:
    """Only the last of 64 samples is beyond the limit; no hook is needed for that."""
    x = np.zeros((64, 1, 2, 2), np.float32)
    x[-1] = 100 * np.sign(_clipping()[1].weight.detach().numpy()[0]).reshape(1, 2, 2)
    with pytest.raises(UnsupportedLayer, match="differ from the network"):
        check_capture(_clipping(), _clipping(), x)


def test_a_hook_that_makes_no_difference_yet_is_refused() -> None:
    module, x = _clipping(), np.zeros((8, 1, 2, 2), np.float32)
    with pytest.raises(UnsupportedLayer, match=r"^1: its forward hook changes values"):
        check_capture(module, module, x)
    in_place = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))

    def clip(layer: nn.Module, args: Any, result: Tensor) -> None:
        result.clamp_(max=100.0)

    in_place[0].register_forward_hook(clip)
    with pytest.raises(UnsupportedLayer, match=r"^0: its forward hook changes values"):
        check_capture(in_place, in_place, x[:1])


def test_a_hook_that_only_looks_is_no_reason_to_refuse() -> None:
    seen: list[int] = []
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    module[1].register_forward_hook(lambda layer, args, result: seen.append(len(result)))
    check_capture(module, module, np.zeros((8, 1, 2, 2), np.float32))
    assert seen
