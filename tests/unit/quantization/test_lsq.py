"""Learned step sizes: gradients as in the paper, and lower loss than with calibrated ones."""

import copy
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from compress.genome import Quantize
from compress.integer import reference
from compress.quantization.fake_quantize import FakeQuantized
from compress.quantization.lower import lower, quantize_input
from compress.quantization.lsq import StepSize
from compress.quantization.scheme import Grid, Learned
from compress.tasks.digits import TASK
from compress.training.train import Schedule, fit, seed_torch
from compress.types import Graph


def test_gradients_are_those_of_the_paper() -> None:
    # Step 0.5, integers -2 .. 1; values inside the range, at both ends, and outside.
    size = StepSize(torch.tensor(0.5), 0, (-2, 1), features=9)
    x = torch.tensor([0.2, -0.35, 0.5, 0.9, -1.0, -1.7], requires_grad=True)
    rounded = size(x)
    np.testing.assert_allclose(rounded.detach(), [0.0, -0.5, 0.5, 0.5, -1.0, -1.0])
    slopes = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    (rounded * slopes).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad, [1.0, 2.0, 4.0, 0.0, 16.0, 0.0])
    # Equation 3: round(v / s) - v / s inside, the end outside; times 1 / sqrt(features * highest).
    by_step = 1 * (0 - 0.4) + 2 * (-1 + 0.7) + 4 * 0.0 + 8 * 1 + 16 * 0.0 + 32 * -2
    assert size.log_ratio.grad is not None
    # The parameter is a logarithm: d step = step * d log(step).
    assert size.log_ratio.grad.item() == pytest.approx(by_step / math.sqrt(9 * 1) * 0.5)


def test_a_zero_point_stays_on_the_grid() -> None:
    size = StepSize(torch.tensor(0.1), -128, (-128, 127), features=1)
    made = size(torch.tensor([-3.0, 0.0, 0.26, 99.0])).detach()
    np.testing.assert_allclose(made, [0.0, 0.0, 0.3, 25.5], atol=1e-6)


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    seed_torch(0)
    module = TASK.net()
    fit(module, TASK.load().train, Schedule(TASK.recipe, 8, 0))
    return module


def _validation_loss(graph: Graph) -> float:
    split = TASK.load().val
    outputs = reference.run(graph, quantize_input(graph, split.x)).reshape(len(split), -1)
    real = (outputs - float(graph.output_tensor.zero_point)) * graph.output_tensor.scale
    return functional.cross_entropy(torch.from_numpy(real), torch.from_numpy(split.y)).item()


def _learned(module: nn.Module, spec: Quantize, epochs: float) -> tuple[nn.Module, Learned]:
    train, module = TASK.load().train, copy.deepcopy(module)
    faked = FakeQuantized(module, spec, train.x[:256])
    schedule = Schedule(TASK.fine_tune, epochs, 1)
    fit(module, train, schedule, forward=faked, extra=faked.parameters_to_learn)
    return module, faked.learned()


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_training_with_learned_steps_beats_calibration(
    trained: nn.Module, bits: int, granularity: str
) -> None:
    calibration = TASK.load().train.x[:256]
    spec = Quantize(weight_bits=(bits,), granularity=granularity, weight_range="mse")  # type: ignore[arg-type]
    calibrated = _validation_loss(lower(trained, spec, calibration, "test"))
    spec = replace(spec, learn_ranges=True)
    module, learned = _learned(trained, spec, 4)
    graph = lower(module, spec, calibration, "test", learned=learned)
    assert _validation_loss(graph) < calibrated * 0.8
    if bits == 2:  # the best step size for training is then far from the calibrated one
        unlearned = replace(spec, learn_ranges=False)
        other, _ = _learned(trained, unlearned, 4)
        assert _validation_loss(graph) < _validation_loss(lower(other, unlearned, calibration, ""))
    # The graph uses the learned step sizes.
    step = learned.peaks["conv2.conv"] / {4: 7, 2: 1}[bits]
    weight = next(t for t in graph.tensors if t.name == "conv2.conv.weight")
    np.testing.assert_allclose(weight.scales, step, rtol=1e-5)
    assert learned.grids["conv1_relu"].scale in {t.scales[0] for t in graph.tensors}


def test_the_integers_are_those_that_training_has_seen(trained: nn.Module) -> None:
    x = TASK.load().train.x[:256]
    spec = Quantize(weight_bits=(8, 4, 2, 4), activation_bits=(8, 16, 8, 8), learn_ranges=True)
    module, learned = _learned(trained, spec, 1)
    graph = lower(module, spec, x, "test", learned=learned)
    with torch.no_grad():
        faked = FakeQuantized(module, spec, x, learned=learned)(torch.from_numpy(x)).numpy()
    outputs = reference.run(graph, quantize_input(graph, x)).reshape(len(x), -1)
    real = (outputs - float(graph.output_tensor.zero_point)) * graph.output_tensor.scale
    assert np.mean(np.abs(real - faked)) < 0.6 * graph.output_tensor.scale


def test_learned_grids_that_do_not_fit_are_ignored(trained: nn.Module) -> None:
    x, spec = TASK.load().train.x[:256], Quantize(weight_bits=(4,))
    strange = Learned(
        {"gone": Grid(1.0, 0, 8), "conv1_relu": Grid(1.0, 0, 16)},
        {"gone": np.ones(16, np.float32), "conv2.conv": np.ones(5, np.float32)},
    )
    plain, same = lower(trained, spec, x, "test"), lower(trained, spec, x, "test", learned=strange)
    assert [t.scales for t in plain.tensors] == [t.scales for t in same.tensors]
    fitting = Learned({"conv1_relu": Grid(0.125, -128, 8)})
    other = lower(trained, spec, x, "test", learned=fitting)
    assert [
        a.name for a, b in zip(plain.tensors, other.tensors, strict=True) if a.scales != b.scales
    ] == [
        "conv1_relu",
        "conv2.conv.bias",
    ]


def test_without_learned_ranges_there_is_nothing_to_learn(trained: nn.Module) -> None:
    faked = FakeQuantized(trained, Quantize(), TASK.load().train.x[:64])
    assert faked.parameters_to_learn == ()
    learned = faked.learned()
    assert not learned.grids
    assert not learned.peaks


def test_learned_values_hold_no_torch(trained: nn.Module) -> None:
    spec = Quantize(weight_bits=(4,), learn_ranges=True)
    learned = FakeQuantized(trained, spec, TASK.load().train.x[:64]).learned()
    assert b"torch" not in pickle.dumps(learned)
