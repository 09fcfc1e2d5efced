"""Any genes on any network: a student that lowers to a valid graph, or a reason why not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from compress.distillation.student import student
from compress.errors import Infeasible
from compress.genome import Distill, Quantize
from compress.integer.check import check_graph
from compress.quantization.lower import lower
from compress.tasks import digits

Shape = tuple[int, int, int]


class Unit(nn.Module):
    """A skip over two convolutions: a block that can be left out."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(8, 12, 3, padding=1)
        self.second = nn.Conv2d(12, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class Residual(nn.Module):
    """Residual units, a skip that changes the map's size; functional activations."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.units = nn.ModuleList([Unit() for _ in range(3)])
        self.down = nn.Conv2d(8, 12, 5, stride=2, padding=2)
        self.skip = nn.Conv2d(8, 12, 1, stride=2)
        self.out = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu6(self.norm(self.stem(x)))
        for unit in self.units:
            x = unit(x)
        x = torch.relu(self.down(x) + self.skip(x))
        return self.out(x.mean((2, 3)))


def _separable() -> nn.Module:
    """Uneven stem, a depthwise convolution with a multiplier, a flattened map."""
    return nn.Sequential(
        nn.ZeroPad2d((1, 1, 2, 1)),
        nn.Conv2d(1, 4, (4, 2), stride=2, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, padding="same", groups=4),
        nn.ReLU(),
        nn.Conv2d(8, 8, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(8),
        nn.ReLU(),
        nn.Linear(8, 3),
    )


def _unpadded() -> nn.Module:
    """Kernels that can only grow, one of even size, a dilated one."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 2, bias=False),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, dilation=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 3, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


NETS = {
    "digits": (digits.net, (1, 8, 8)),
    "residual": (Residual, (2, 6, 7)),
    "separable": (_separable, (1, 9, 6)),
    "unpadded": (_unpadded, (3, 12, 11)),
}
genes = st.builds(
    Distill,
    width=st.sampled_from([0.0, 0.01, 0.3, 0.5, 0.75, 1.0, 1.2]),
    depth=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    kernel=st.sampled_from([0, 0, 1, 3, 5, 7]),
    separable=st.booleans(),
    fresh=st.booleans(),
)


@pytest.mark.parametrize("name", NETS)
@settings(max_examples=25, deadline=None)
@given(stage=genes, seed=st.integers(0, 99))
def test_a_student_or_a_reason(name: str, stage: Distill, seed: int) -> None:
    torch.manual_seed(seed)
    net, shape = NETS[name]
    module, x = net(), torch.randn(4, *shape)
    outputs = module.eval()(x)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    refused = ""
    try:
        made = student(module, shape, stage)
    except Infeasible as error:
        refused = str(error)
    allowed = 0 < stage.width <= 1 and 0 < stage.depth <= 1 and stage.kernel in (0, 3, 5)
    if refused:
        assert not allowed or (name == "unpadded" and "odd size" in refused)
        return
    assert allowed
    assert made(x).shape == outputs.shape
    assert made(x).isfinite().all()
    check_graph(lower(made, Quantize(), np.asarray(x), name))
    sizes = {layer.kernel_size for layer in made.modules() if isinstance(layer, nn.Conv2d)}
    if stage.kernel:
        assert sizes <= {(1, 1), (4, 2), (stage.kernel, stage.kernel)}
    after = module.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
