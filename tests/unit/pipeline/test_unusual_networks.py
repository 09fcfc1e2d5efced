"""Networks whose weights are computed, masked, shared or used twice, from training to integers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import prune, weight_norm

from compress.errors import UserError
from compress.genome import Distill, Prune, Quantize, Sparsify, Stage
from compress.integer import reference
from compress.integer.eliminate import eliminate
from compress.pipeline.network import Original, check_net, original_of, train_original
from compress.pipeline.pipeline import lower_network, run_stages
from compress.quantization.lower import quantize_input
from compress.training.train import predict
from compress.types import Dataset, Recipe, Split, Task
from helpers.networks import probe

torch.set_num_threads(1)

SHAPE = (1, 6, 6)
RECIPE = Recipe(epochs=8, batch=16, learning_rate=0.01)
TUNE = Recipe(epochs=1, batch=24, learning_rate=0.003)


class Twice(nn.Module):
    """One convolution that runs twice, with a batch-norm of its own each time."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.conv = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        nn.init.uniform_(self.norm1.weight, 2.0, 6.0)
        nn.init.uniform_(self.norm2.weight, 0.1, 0.3)
        self.out = nn.Linear(8 * 36, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = self.norm1(self.conv(x)).relu()
        x = self.norm2(self.conv(x)).relu()
        return self.out(x.flatten(1))


class Apart(Twice):
    """The same, with a convolution of its own for each run."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        with torch.no_grad():
            self.conv2.weight.copy_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = self.norm1(self.conv(x)).relu()
        x = self.norm2(self.conv2(x)).relu()
        return self.out(x.flatten(1))


def _normed() -> nn.Module:
    return nn.Sequential(
        weight_norm(nn.Conv2d(1, 8, 3, padding=1)), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        weight_norm(nn.Conv2d(8, 8, 3, padding=1)), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3),
    )  # fmt: skip


def _masked() -> nn.Module:
    made = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(8 * 36, 3),
    )  # fmt: skip
    prune.l1_unstructured(made[2], "weight", 0.5)
    return made


def _tied() -> nn.Module:
    made = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 3),
    )  # fmt: skip
    made[4].weight = made[2].weight
    return made


class Residual(nn.Module):
    """An activation in place at the start of a branch, and a sum in place, as torch allows them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.branch = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, padding=1))
        self.out = nn.Linear(8 * 36, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x))
        y = self.branch(x)
        y += x
        return self.out(y.flatten(1))


NETS: dict[str, Callable[[], nn.Module]] = {
    "weight_norm": _normed,
    "mask": _masked,
    "tied": _tied,
    "twice": Twice,
    "residual": Residual,
}
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")


def _task(net: Callable[[], nn.Module], data: Dataset | None = None) -> Task:
    known = data or _data()
    return Task("mine", "noise", SHAPE, ("a", "b", "c"), net, lambda: known, RECIPE, TUNE, 0.5, 8)


def _data() -> Dataset:
    """Noise, with two brighter columns whose place is the class."""
    noise = probe(SHAPE, 3, 64)
    bright = np.arange(SHAPE[2]) // 2 == noise.y[:, np.newaxis]
    split = Split(noise.x + 2 * bright[:, np.newaxis, np.newaxis].astype(np.float32), noise.y)
    return Dataset(split, split, split)


def _original(net: Callable[[], nn.Module], folder: Path) -> Original:
    task = _task(net)
    return train_original(task, task.load(), 0, folder / "original.pt")


def _sqnr_db(original: Original, *stages: Stage) -> float:
    """Of the integers' logits, against the network that the stages made, as torch runs it."""
    network = run_stages(stages, original).network
    graph = eliminate(lower_network(network, original))
    x = original.data.val.x
    wanted = predict(network.module.eval(), x).numpy()
    output = graph.output_tensor
    integers = reference.run(graph, quantize_input(graph, x)).reshape(len(x), -1).astype(float)
    noise = (integers - output.zero_point) * output.scale - wanted
    return float(10 * np.log10(np.var(wanted, axis=0).mean() / np.mean(noise**2)))


@pytest.mark.parametrize("name", NETS)
def test_a_network_runs_through_every_stage(name: str, tmp_path: Path) -> None:
    original = _original(NETS[name], tmp_path)
    assert _sqnr_db(original, Quantize()) > 25
    narrowed = (Prune((0.5,), scope="uniform", epochs=1), Quantize(granularity="tensor", epochs=1))
    assert _sqnr_db(original, *narrowed) > 20
    assert _sqnr_db(original, Sparsify(0.5, epochs=1), Distill(epochs=1), Quantize(epochs=1)) > 20
    state = (tmp_path / "original.pt").read_bytes()
    again = original_of(original.task, original.data, 0, state)
    torch.testing.assert_close(again.outputs, original.outputs, rtol=0, atol=0)
    assert again.sparse == original.sparse


def test_no_live_channel_is_eliminated(tmp_path: Path) -> None:
    original = _original(_normed, tmp_path)
    widths = [len(v) for name, v in original.lean.named_parameters() if name.endswith("weight")]
    assert sorted(widths) == [3, 8, 8]


def test_zeros_of_a_mask_stay(tmp_path: Path) -> None:
    original = _original(_masked, tmp_path)
    assert original.sparse
    zeros = original.module.get_parameter("2.weight") == 0
    assert zeros.float().mean() == 0.5
    network = run_stages((Quantize(epochs=1),), original).network
    weight = network.module.get_parameter("2.weight")
    assert torch.equal(weight == 0, zeros)
    assert not torch.equal(weight, original.module.get_parameter("2.weight"))


@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_a_layer_that_runs_twice_is_as_good_as_two(
    granularity: Any, learn: bool, tmp_path: Path
) -> None:
    spec = Quantize(granularity=granularity, learn_ranges=learn, epochs=1)
    found = {}
    for net in (Twice, Apart):
        torch.manual_seed(0)
        folder = tmp_path / net.__name__
        folder.mkdir()
        found[net] = _sqnr_db(_original(net, folder), spec)
    assert found[Twice] > found[Apart] - 3
    assert found[Twice] > 20


def test_a_network_that_works_in_place_leaves_the_data_alone(tmp_path: Path) -> None:
    def net() -> nn.Module:
        return nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(36, 3))

    data = _data()
    kept = data.val.x.copy()
    original = train_original(_task(net, data), data, 0, tmp_path / "original.pt")
    assert original.outputs.shape == (64, 3)
    _sqnr_db(original, Quantize(epochs=1))
    np.testing.assert_array_equal(data.val.x, kept)


class _Wrong(nn.Module):
    def __init__(self, how: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.out, self.how = nn.Conv2d(1, 8, 3), nn.Linear(8, 3), how

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.how(self.conv(x)).mean((2, 3)))


def _hooked() -> nn.Module:
    made = _Wrong(functional.relu)
    made.conv.register_forward_hook(lambda module, args, result: 2 * result)
    return made


class _Remembering(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.seen = _Wrong(functional.relu), {}  # type: ignore[var-annotated]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x)
        self.seen["last"] = y
        return y


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (_hooked, r"layer conv \(test_unusual_networks\.py, line \d+\): .*hooks of conv"),
        (lambda: _Wrong(functional.dropout), r"layer dropout \(.*active in evaluation"),
        (lambda: _Wrong(torch.erfc_), r"layer erfc"),
        (lambda: _Wrong(lambda h: h.exp().mul_(h.sigmoid_())), "cannot be trained"),
        (_Remembering, "or copied afterwards: Only Tensors created explicitly"),
    ],
)
def test_a_network_is_refused_before_training(
    net: Callable[[], nn.Module], words: str, tmp_path: Path
) -> None:
    state = torch.random.get_rng_state()
    with pytest.raises(UserError, match=f"^task mine: .*{words}"):
        check_net(_task(net))
    assert torch.equal(state, torch.random.get_rng_state())
    with pytest.raises(UserError, match=words):
        _original(net, tmp_path)
    assert not (tmp_path / "original.pt").exists()
