"""GRU and LSTM of torch: capture, integers against torch, training, pruning, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compress.errors import UnsupportedLayer, UserError
from compress.genome import Quantize
from compress.integer import reference
from compress.ops import Recurrence
from compress.pipeline.network import check_net
from compress.pruning.prune import group_names, prune
from compress.quantization.fake_quantize import FakeQuantized
from compress.quantization.lower import lower, quantize_input
from compress.tracing.normalize import normalized
from compress.types import Array, Dataset, Recipe, Split, Task

torch.set_num_threads(1)
STEPS, FEATURES, UNITS = 49, 10, 24
Use = Callable[[Any, Any], Tensor]


class Net(nn.Module):
    """A recurrent layer on (N, steps, features) and a classifier of what `use` takes of it."""

    def __init__(self, layer: nn.Module, use: Use, series: bool = False, units: int = UNITS):
        super().__init__()
        self.layer, self.use, self.series = layer, use, series
        self.conv = nn.Conv1d(FEATURES, FEATURES, 3, padding=1) if series else nn.Identity()
        self.classify = nn.Linear(units, 4)

    def forward(self, x: Tensor) -> Tensor:
        if self.series:
            x = torch.relu(self.conv(x)).permute(0, 2, 1)
        if not getattr(self.layer, "batch_first", True):
            x = x.permute(1, 0, 2)
        return self.classify(self.use(*self.layer(x)))


def last(out: Any, state: Any) -> Tensor:
    return out[:, -1]  # type: ignore[no-any-return]


def last_in_time(out: Any, state: Any) -> Tensor:
    return out[-1]  # type: ignore[no-any-return]


def half(out: Any, state: Any) -> Tensor:
    """The last step of one direction of two."""
    return out[:, -1, :UNITS]  # type: ignore[no-any-return]


def third_selected(out: Any, state: Any) -> Tensor:
    """Of a sequence (L, N, C)."""
    return torch.nn.functional.dropout(out, 0.1, training=False).select(0, 2)


def mean_of_steps(out: Any, state: Any) -> Tensor:
    """Of a sequence (L, N, C) whose axes are moved back."""
    return out.permute(1, 2, 0).mean(2)  # type: ignore[no-any-return]


def state_of_gru(out: Any, state: Any) -> Tensor:
    return state[-1]  # type: ignore[no-any-return]


def state_of_lstm(out: Any, state: Any) -> Tensor:
    return state[0][-1]  # type: ignore[no-any-return]


def fourth(out: Any, state: Any) -> Tensor:
    return out[:, 3]  # type: ignore[no-any-return]


def samples(series: bool = False, count: int = 48) -> Array:
    shape = (count, FEATURES, STEPS) if series else (count, STEPS, FEATURES)
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def gru(layers: int = 1, **options: Any) -> nn.GRU:
    return nn.GRU(FEATURES, UNITS, layers, **options)


def lstm(layers: int = 1, **options: Any) -> nn.LSTM:
    return nn.LSTM(FEATURES, UNITS, layers, **options)


CASES: dict[str, Callable[[], tuple[nn.Module, Use, bool]]] = {
    "gru": lambda: (gru(batch_first=True), last, False),
    "gru, time first": lambda: (gru(2, dropout=0.2), last_in_time, False),
    "gru, state": lambda: (gru(2, batch_first=True, bias=False), state_of_gru, True),
    "gru, a step": lambda: (gru(batch_first=True), fourth, True),
    "gru, a step, time first": lambda: (gru(), third_selected, True),
    "lstm, all steps, time first": lambda: (lstm(), mean_of_steps, False),
    "lstm": lambda: (lstm(batch_first=True), last, True),
    "lstm, state": lambda: (lstm(2), state_of_lstm, False),
    "lstm, a step": lambda: (lstm(batch_first=True, bias=False), fourth, False),
}


def made(case: str) -> tuple[Net, Array]:
    torch.manual_seed(0)
    layer, use, series = CASES[case]()
    return Net(layer, use, series).eval(), samples(series)


@pytest.mark.parametrize("case", CASES)
def test_integers_are_close_to_torch(case: str) -> None:
    net, x = made(case)
    graph = lower(net, Quantize(), x, "net")
    count = net.layer.num_layers
    assert sum(isinstance(op, Recurrence) for op in graph.ops) == count
    with torch.no_grad():
        wanted = net(torch.from_numpy(x)).numpy()
    out = graph.output_tensor
    found = (reference.run(graph, quantize_input(graph, x)) - float(out.zero_point)) * out.scale
    decibels = 10 * np.log10((wanted**2).sum() / ((found - wanted) ** 2).sum())
    assert decibels > 30


@pytest.mark.parametrize("case", ["gru", "lstm"])
def test_fake_quantization_computes_the_integer_network(case: str) -> None:
    net, x = made(case)
    plain = normalized(net)
    fake = FakeQuantized(plain, Quantize(), x)
    graph = lower(plain, Quantize(), x, "net")
    out = graph.output_tensor
    found = (reference.run(graph, quantize_input(graph, x)) - float(out.zero_point)) * out.scale
    answer = fake(torch.from_numpy(x))
    assert np.abs(answer.detach().numpy() - found).max() <= 2.01 * out.scale
    answer.sum().backward()
    weights = [v for name, v in plain.named_parameters() if "weight_hh" in name]
    assert weights
    assert all(v.grad is not None and bool(v.grad.any()) for v in weights)


@pytest.mark.parametrize("case", ["gru, state", "lstm"])
def test_units_that_are_pruned_leave_a_smaller_layer_that_torch_computes_alike(case: str) -> None:
    net, x = made(case)
    plain, shape = normalized(net), x.shape[1:]
    assert "conv" in group_names(plain, shape)
    smaller = prune(plain, shape, [0.5], "l2", "uniform")
    graph = lower(smaller, Quantize(), x, "net")
    units = [graph.tensors[op.output].shape[-1] for op in graph.ops if isinstance(op, Recurrence)]
    assert set(units) == {UNITS // 2}


def test_a_unit_without_weights_can_go_without_a_change() -> None:
    """What torch computes without it is what it computed with it."""
    net, x = made("gru")
    net.layer.weight_ih_l0.data.reshape(3, UNITS, -1)[:, 5:] = 0
    for name in ("weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        getattr(net.layer, name).data.reshape(3, UNITS, -1)[:, 5:] = 0
    plain = normalized(net)
    layer = plain.get_submodule("layer.l0")
    layer.keep("out", torch.arange(5))  # type: ignore[operator]
    plain.classify.weight = nn.Parameter(plain.classify.weight[:, :5].detach())  # type: ignore
    given = torch.from_numpy(x)
    torch.testing.assert_close(plain(given), net(given), rtol=1e-4, atol=1e-5)


REFUSED: dict[str, tuple[Callable[[], nn.Module], Use, str]] = {
    "both directions": (
        lambda: gru(batch_first=True, bidirectional=True),
        last,
        "layer: a GRU in both directions has no integer kernel; use bidirectional=False",
    ),
    "projection": (
        lambda: lstm(batch_first=True, proj_size=8),
        last,
        "layer: LSTM with proj_size=8 has no integer kernel; leave it at 0",
    ),
    "cell state": (
        lambda: lstm(batch_first=True),
        lambda out, state: state[1][-1],
        "layer: the cell state c_n as a value",
    ),
    "tanh alone": (
        lambda: nn.RNN(FEATURES, UNITS, batch_first=True),
        last,
        "layer: RNN has no integer kernel; use GRU or LSTM",
    ),
    "samples that are not first": (
        lambda: gru(),
        lambda out, state: torch.relu(out)[-1],
        "relu: reads transpose_1, whose axis 1 has the samples of the batch",
    ),
    "all states": (
        lambda: gru(2, batch_first=True),
        lambda out, state: state.permute(1, 0, 2).flatten(1),
        "layer: h_n.permute has no integer form; use h_n",
    ),
}


class Steps(nn.Module):
    """A cell that a loop over the steps calls."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.classify = nn.GRUCell(FEATURES, UNITS), nn.Linear(UNITS, 4)

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(x.shape[0], UNITS)
        for step in range(3):
            state = self.cell(x[:, step], state)
        answer: Tensor = self.classify(state)
        return answer


class Packed(nn.Module):
    """A GRU of a packed sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.classify = gru(batch_first=True), nn.Linear(UNITS, 4)

    def forward(self, x: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, [STEPS, STEPS], batch_first=True)
        answer: Tensor = self.classify(self.layer(packed)[1][-1])
        return answer


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_integer_form_is_refused_by_name(case: str) -> None:
    layer, use, message = REFUSED[case]
    with pytest.raises(UnsupportedLayer, match=message):
        lower(Net(layer(), use), Quantize(), samples(), "net")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Net(gru(batch_first=True, bidirectional=True), half),
            "layer layer: a GRU in both",
        ),
        (lambda: Net(lstm(batch_first=True, proj_size=8), last, units=8), "layer layer: LSTM with"),
        (lambda: Net(nn.RNN(FEATURES, UNITS, batch_first=True), last), "layer layer: RNN has no"),
        (Steps, "layer cell: GRUCell has no integer kernel; use GRU on the whole sequence"),
        (Packed, "layer Packed: packs sequences; give recurrent layers tensors of a fixed number"),
    ],
    ids=["both directions", "projection", "tanh alone", "cell", "packed"],
)
def test_a_task_is_refused_in_one_line_that_names_it(
    make: Callable[[], nn.Module], message: str
) -> None:
    x = samples(count=2)
    task = Task(
        name="mine",
        title="mine",
        input_shape=x.shape[1:],
        classes=tuple("abcd"),
        net=make,
        load=lambda: Dataset(*[Split(x, np.zeros(2, np.int64))] * 3),
        recipe=Recipe(1, 2, 0.01),
        fine_tune=Recipe(1, 2, 0.01),
        accuracy_floor=0.5,
        device_samples=2,
    )
    with pytest.raises(UserError, match=f"^task mine: {message}"):
        check_net(task)
