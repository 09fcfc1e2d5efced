"""Parameters become plain ones with the same function, whatever computes or shares them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from compress.tracing.normalize import computed_with_zeros, copied, hooked, normalized

X = torch.linspace(-1, 1, 60).reshape(3, 20)


class Upper(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight.triu()


def _masked(layer: Any) -> Any:
    prune.l1_unstructured(layer, "weight", 0.5)
    prune.random_unstructured(layer, "bias", 0.5)
    return layer


def _masked_twice(layer: Any) -> Any:
    prune.ln_structured(layer, "weight", 0.25, 2, 0)
    prune.l1_unstructured(layer, "weight", 0.3)
    return layer


def _upper(layer: Any) -> Any:
    parametrize.register_parametrization(layer, "weight", Upper())
    return layer


def _masked_norm(layer: Any) -> Any:
    prune.l1_unstructured(weight_norm(layer), "weight_v", 0.5)
    return layer


WRAPPED: dict[str, tuple[Callable[[Any], Any], bool]] = {
    "plain": (lambda layer: layer, False),
    "weight_norm": (weight_norm, False),
    "parametrized weight_norm": (parametrizations.weight_norm, False),
    "spectral_norm": (spectral_norm, False),
    "parametrized spectral_norm": (parametrizations.spectral_norm, False),
    "orthogonal": (parametrizations.orthogonal, False),
    "upper": (_upper, True),
    "upper of weight_norm": (lambda layer: _upper(parametrizations.weight_norm(layer)), True),
    "mask": (_masked, True),
    "masks": (_masked_twice, True),
    "mask of weight_norm": (_masked_norm, True),
}


def _step(module: nn.Module) -> None:
    """One step of training, which computed weights have to follow."""
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    module(X).square().sum().backward()
    optimizer.step()
    module.eval()


@pytest.mark.parametrize("kind", WRAPPED)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_a_computed_weight_becomes_a_plain_one(kind: str) -> None:
    torch.manual_seed(0)
    wrap, zeros = WRAPPED[kind]
    module = nn.Sequential(wrap(nn.Linear(20, 8)), nn.ReLU(), nn.Linear(8, 2))
    _step(module)
    plain = normalized(module)
    assert {name for name, _ in plain[0].named_parameters()} == {"weight", "bias"}  # type: ignore[index]
    assert not dict(plain.named_buffers())
    assert type(plain[0]) is nn.Linear  # type: ignore[index]
    torch.testing.assert_close(plain(X), module(X), rtol=0, atol=0)
    assert computed_with_zeros(module) is zeros
    assert hooked(module) == ()
    before = plain(X)
    _step(copy.deepcopy(plain))
    _step(module)  # the network itself is as it was, and has nothing in common with the copy
    torch.testing.assert_close(plain(X), before, rtol=0, atol=0)


def test_shared_parameters_become_one_each() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = (nn.Linear(20, 20) for _ in range(3))
            self.b.weight = self.a.weight
            self.c.weight = nn.Parameter(self.a.weight.data)  # the same memory
            for layer in (self.a, self.b):
                parametrize.register_parametrization(layer, "weight", Upper())

        def forward(self, x: Tensor) -> Tensor:
            return self.c(self.b(self.a(x)))

    module = Tied().eval()
    plain = normalized(module)
    torch.testing.assert_close(plain(X), module(X), rtol=0, atol=0)
    memory = {value.untyped_storage().data_ptr() for value in plain.parameters()}
    assert len(memory) == 6
    with torch.no_grad():
        plain.get_parameter("a.weight").zero_()
    assert all(plain.get_parameter(f"{name}.weight").any() for name in "bc")


def test_a_layer_that_is_used_twice_stays_one() -> None:
    layer = nn.Linear(20, 20)
    plain = normalized(nn.Sequential(layer, nn.ReLU(), layer))
    assert plain[0] is plain[2]  # type: ignore[index]


def test_hooks_are_gone_and_named() -> None:
    module = nn.Sequential(nn.Linear(20, 4), nn.ReLU())
    module[0].register_forward_hook(lambda *_: None)
    module.register_forward_pre_hook(lambda *_: None)
    assert hooked(module) == ("Sequential", "0")
    plain = normalized(module)
    assert hooked(plain) == ()
    assert hooked(module) == ("Sequential", "0")


def test_a_network_that_keeps_values_of_its_forward_pass_is_copied() -> None:
    class Keeping(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            self.last = super().forward(x)
            self.all = [self.last]
            return self.last

    module = Keeping(20, 4)
    module(X)
    made = copied(module)
    torch.testing.assert_close(made.last, module.last)  # type: ignore[arg-type]
    assert made.last.grad_fn is None  # type: ignore[union-attr]
