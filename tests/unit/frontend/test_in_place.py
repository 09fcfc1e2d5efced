"""Layers are captured as torch executes in-place operations, or these are refused by line."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.errors import UnsupportedLayer
from compress.frontend.capture import capture, trace_module
from compress.frontend.execute import run_layers
from compress.frontend.fuse import fuse

SHAPE = (3, 6, 6)
How = Callable[["Net", Tensor], Tensor]


class Net(nn.Module):
    """A convolution, what `how` does with its output, and a Linear."""

    def __init__(self, how: How) -> None:
        super().__init__()
        self.how = how
        self.a = nn.Conv2d(3, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.same = nn.Identity()
        self.drop = nn.Dropout(0.5, inplace=True)
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.how(self, self.a(x)).mean((2, 3)))


def residual(net: Net, h: Tensor) -> Tensor:
    return net.b(net.relu(h)) + h


def keyword(net: Net, h: Tensor) -> Tensor:
    return net.b(functional.relu(h, inplace=True)) + h


def positional(net: Net, h: Tensor) -> Tensor:
    return net.b(functional.relu6(h, True)) + h


def statement(net: Net, h: Tensor) -> Tensor:
    h.relu_()
    torch.relu_(h)
    return net.b(h) + h


def unused(net: Net, h: Tensor) -> Tensor:
    net.relu(h)
    return net.b(h)


def two_names(net: Net, h: Tensor) -> Tensor:
    g = h
    h += net.b(h)
    return h + g


def method(net: Net, h: Tensor) -> Tensor:
    h.add_(net.b(h))
    return h


def out(net: Net, h: Tensor) -> Tensor:
    torch.add(h, net.b(h), out=h)
    return h


def of_identities(net: Net, h: Tensor) -> Tensor:
    k = functional.dropout(net.drop(net.same(h).contiguous()), 0.5, net.training)
    net.relu(k)
    return net.b(h) + h


def many(net: Net, h: Tensor) -> Tensor:
    g = h
    net.relu(h)
    k = net.b(h)
    h += k
    net.relu(g)
    return g + k


FORMS = (
    residual, keyword, positional, statement, unused, two_names, method, out, of_identities, many,
)  # fmt: skip


@pytest.mark.parametrize("how", FORMS)
@pytest.mark.parametrize("fused", [True, False])
def test_layers_compute_what_torch_computes(how: How, fused: bool) -> None:
    torch.manual_seed(0)
    module, x = Net(how).eval(), torch.randn(4, *SHAPE)
    traced = trace_module(module, SHAPE)
    layers, (source,), outputs = capture(traced)
    with torch.no_grad():
        ran = run_layers(fuse(layers, outputs) if fused else layers, {source: x})
        made = {layer.output: value for layer, value in ran}
        torch.testing.assert_close(made[outputs[0]], module(x.clone()))
        kept = x.clone()
        torch.testing.assert_close(traced(x), made[outputs[0]])
    torch.testing.assert_close(x, kept, rtol=0, atol=0)


def test_a_network_that_changes_its_input_leaves_it_alone_when_traced() -> None:
    module = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3))
    x = torch.randn(2, *SHAPE)
    kept = x.clone()
    trace_module(module, SHAPE)(x)
    torch.testing.assert_close(x, kept, rtol=0, atol=0)
    assert module[0].inplace  # the network itself stays as it is


def test_dropout_in_place_follows_the_network_into_training() -> None:
    module = nn.Sequential(nn.Conv2d(3, 64, 1), nn.Dropout(0.5, inplace=True))
    traced, x = trace_module(module, SHAPE), torch.ones(1, *SHAPE)
    assert (traced(x) != 0).all()
    module.train()
    assert (traced(x) == 0).any()


def partly(net: Net, h: Tensor) -> Tensor:
    g = torch.flatten(h, 1)
    net.relu(h)
    return net.b(h) + g.sum()


def _parameter(net: Net, h: Tensor) -> Tensor:
    net.b.weight.data.mul_(0.5)
    return net.b(h)


def active(net: Net, h: Tensor) -> Tensor:
    return net.b(functional.dropout(h, 0.1))


def doubled(net: Net, h: Tensor) -> Tensor:
    return nn.ReLU()(h)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (partly, r"^relu \(test_in_place\.py, line \d+\): .*flatten is another view"),
        (_parameter, r"^mul_ \(test_in_place\.py, line \d+\): changes the parameter .* b\.weight"),
        (active, r"^dropout \(test_in_place\.py, line \d+\): dropout that is active in evaluation"),
        (doubled, "layers that are made in forward"),
    ],
)
def test_what_cannot_be_made_functional_is_refused_by_line(how: How, words: str) -> None:
    with pytest.raises(UnsupportedLayer, match=words):
        trace_module(Net(how), SHAPE)


def test_a_dropout_layer_left_in_training_is_refused() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout(0.5))
    module[1].train = lambda mode=True: module[1]  # type: ignore[method-assign]
    with pytest.raises(UnsupportedLayer, match=r"^_1: dropout that is active in evaluation"):
        trace_module(module, SHAPE)


def test_random_values_do_not_hide_a_change() -> None:
    """An in-place operation that leaves these values as they are is one nevertheless."""

    class Positive(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = torch.softmax(x, 1)
            z = y
            y.relu_()
            return z.mean((2, 3))

    layers, _, _ = capture(trace_module(Positive(), SHAPE))
    assert [layer.kind for layer in layers] == ["softmax", "activation", "average_pool", "reshape"]
    assert layers[2].inputs == (layers[1].output,)
    assert np.prod(layers[-1].shape) == 3
