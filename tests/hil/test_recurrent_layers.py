"""A recurrent layer of torch is trained, pruned, quantized and computed by the device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compress.genome import Genome, Prune, Quantize
from compress.ops import Recurrence
from compress.pipeline.network import train_original
from compress.pipeline.pipeline import compress
from compress.types import Dataset, Recipe, Split, Task
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.measure.measure import measure
from hil.target.target import Target
from hil.types import Board

torch.set_num_threads(1)
STEPS, UNITS = 14, 12


def _pulses(seed: int, samples: int) -> Split:
    """Series (N, 2, STEPS) of noise and a pulse in each channel: which comes first is the class."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.1, (samples, 2, STEPS))
    places = np.argsort(rng.random((samples, STEPS)), 1)[:, :2]
    for channel in range(2):
        x[np.arange(samples), channel, places[:, channel]] += 1.0
    return Split(x.astype(np.float32), (places[:, 0] > places[:, 1]).astype(np.int64))


def _load() -> Dataset:
    return Dataset(_pulses(0, 600), _pulses(1, 200), _pulses(2, 50))


class _Order(nn.Module):
    """Which pulse came first: the last state of a recurrent layer knows."""

    def __init__(self, kind: type[nn.GRU] | type[nn.LSTM]) -> None:
        super().__init__()
        self.layer = kind(2, UNITS)
        self.classify = nn.Linear(UNITS, 2)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.layer(x.permute(2, 0, 1))
        answer: Tensor = self.classify(states[-1])
        return answer


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
def test_a_trained_network_is_bit_exact(
    kind: type[nn.GRU] | type[nn.LSTM], target: Target, board: Board, tmp_path: Path
) -> None:
    task = Task(
        name="order",
        title="which pulse comes first",
        input_shape=(2, STEPS),
        classes=("first", "second"),
        net=lambda: _Order(kind),
        load=_load,
        recipe=Recipe(8, 32, 0.02),
        fine_tune=Recipe(3, 32, 0.01),
        accuracy_floor=0.9,
        device_samples=20,
    )
    original = train_original(task, _load(), 0, tmp_path / "original.pt")
    assert original.share(original.data.val) > 0.95
    genome = Genome(
        (Prune((2 / 3,), scope="uniform", criterion="taylor", epochs=2), Quantize(epochs=2))
    )
    model = compress(genome, original)
    assert model.accuracy > 0.9
    (layer,) = (op for op in model.graph.ops if isinstance(op, Recurrence))
    batch, units = model.graph.tensors[layer.output].shape  # of the last step alone
    assert (batch, units) == (1, 8)
    plan = make_plan(model.graph, board)
    image = build(render(plan, board), board, tmp_path)
    measured = measure(target, image, plan, model.samples)  # raises Mismatch for another bit
    assert measured.total == len(model.samples.labels) == 20
    assert measured.correct == (model.samples.outputs.argmax(1) == model.samples.labels).sum()
