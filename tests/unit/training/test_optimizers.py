"""The optimizers are torch's, bit for bit, without the import of its compiler."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import nn

from compress.training.optimizers import Adam, AdamW
from compress.training.train import seed_torch


def trained(kind: type[torch.optim.Optimizer], **options: Any) -> tuple[list[Any], Any]:
    """Parameters and state after four steps; between them the state was stored and loaded."""
    seed_torch(0)
    module, extra = nn.Linear(4, 3), nn.Parameter(torch.ones(3))
    groups = [{"params": list(module.parameters())}, {"params": [extra], "weight_decay": 0.0}]
    optimizer = kind(groups, lr=0.1, weight_decay=0.1, **options)  # type: ignore[call-arg]
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=5)
    for _ in range(4):
        optimizer.zero_grad(set_to_none=True)
        (module(torch.randn(8, 4)) * extra).square().mean().backward()
        optimizer.step()
        cycle.step()
        optimizer.load_state_dict(optimizer.state_dict())
    return [*module.parameters(), extra], optimizer.state_dict()


def test_the_seed_is_that_of_torch() -> None:
    torch.manual_seed(7)
    wanted = torch.rand(3)
    seed_torch(7)
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [(AdamW, torch.optim.AdamW, {"fused": True}), (Adam, torch.optim.Adam, {})],
)
def test_steps_are_torchs_without_its_compiler(
    ours: type[torch.optim.Optimizer],
    theirs: type[torch.optim.Optimizer],
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted, state = trained(theirs, **options)
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # now importing it raises ImportError
    got, own = trained(ours, **options)
    assert all(torch.equal(one, other) for one, other in zip(got, wanted, strict=True))
    assert own["param_groups"] == state["param_groups"]
    for place, moments in state["state"].items():
        assert all(torch.equal(own["state"][place][name], moments[name]) for name in moments)
