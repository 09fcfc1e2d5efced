"""Diagnosis: what int8 loses is found before a search, and named with its reason."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from compress.genome import Genome, Quantize
from compress.pipeline.diagnose import coarse_inputs, diagnose
from compress.pipeline.diagnosis import (
    Diagnosis,
    baseline_remarks,
    binomial_error,
    early_remarks,
    gap_remarks,
    goal_remarks,
    input_remarks,
    recall_remarks,
)
from compress.pipeline.network import Original
from compress.pipeline.pipeline import compress
from compress.training.train import Schedule, fit
from compress.types import Array, Dataset, Recipe, Split, Task

torch.set_num_threads(1)
LENGTH = 64
RARE = Diagnosis(("good", "fault"), (1449, 51), (1443, 45))


def _net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, (1, 8), stride=(1, 4), bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 15, 3),
    )


def _split(offset: float, samples: int, seed: int) -> Split:
    """Waves of amplitude 30 in three frequencies around `offset`, as of a barometer in Pa."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, samples)
    phase, time = rng.uniform(0, 6.28, (samples, 1)), np.arange(LENGTH) / LENGTH
    x = offset + 30 * np.sin(2 * np.pi * (1 + 3 * y[:, np.newaxis]) * time + phase)
    x += rng.normal(0, 3, x.shape)
    return Split(x.reshape(samples, 1, 1, LENGTH).astype(np.float32), y.astype(np.int64))


@cache
def _trained(offset: float) -> Original:
    data = Dataset(_split(offset, 600, 0), _split(offset, 150, 1), _split(offset, 30, 2))
    recipe = Recipe(20, 32, 0.01)
    task = Task(
        "pressure", "waves", (1, 1, LENGTH), ("a", "b", "c"), _net, lambda: data, recipe, recipe,
        0.9, 8,
    )  # fmt: skip
    torch.manual_seed(0)
    module = _net()
    fit(module, data.train, Schedule(recipe, recipe.epochs, 0))
    return Original(task, data, module, 0)


def test_an_offset_larger_than_the_signal_is_named_with_what_to_do() -> None:
    original = _trained(101_325.0)
    found = diagnose(original)
    assert found.accuracy > 0.95
    (coarse,) = found.inputs
    assert coarse.step == pytest.approx(101_400 / 255, rel=0.002)
    assert coarse.variation == pytest.approx(21.4, rel=0.02)
    texts = [remark.text for remark in early_remarks(found, 0.9)]
    assert [remark.kind for remark in early_remarks(found, 0.9)] == ["input", "layer"]
    assert "an int8 step of the input is 398, but channel 0 varies by 21." in texts[0]
    assert "subtract the mean (10132" in texts[0]
    assert texts[1].startswith("layer 0: ")
    assert "steps of the network's input" in texts[1]
    baseline = compress(Genome((Quantize(),)), original)
    assert sum(baseline.right) / 150 == baseline.accuracy < 0.8
    kinds = [remark.kind for remark in baseline_remarks(found, baseline.right, baseline.accuracy)]
    assert kinds == ["gap", "recall"]


def test_the_same_waves_without_the_offset_need_no_remark() -> None:
    original = _trained(0.0)
    found = diagnose(original)
    assert early_remarks(found, 0.9) == ()
    baseline = compress(Genome((Quantize(),)), original)
    assert baseline_remarks(found, baseline.right, baseline.accuracy) == ()
    assert Diagnosis.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_channel_that_is_small_beside_another_is_named() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (64, 3, 4, 4)) * np.array([100.0, 1.0, 30.0]).reshape(1, 3, 1, 1)
    (coarse,) = found = coarse_inputs(x.astype(np.float32))
    assert coarse.channel == 1
    assert "scale each channel by its own range" in input_remarks(found)[0].text


def test_rare_extremes_of_an_input_are_named() -> None:
    x = np.random.default_rng(0).normal(0, 0.01, (90, 1, 1, LENGTH)).astype(np.float32)
    x[0, 0, 0, 5] = 1.0
    (remark,) = input_remarks(coarse_inputs(x))
    assert "clip its rare extremes (it reaches from -0.0" in remark.text


def test_values_of_an_8_bit_sensor_lose_nothing_however_little_they_vary() -> None:
    x = np.random.default_rng(0).integers(0, 3, (64, 1, 8, 8)).astype(np.float32)
    x[0, 0, 0, 0] = 255.0
    assert coarse_inputs(x) == ()
    assert coarse_inputs(np.full((4, 1, 2, 2), 0.1, np.float32)) == ()


def _of(net: nn.Module, x: Array) -> Original:
    """A network with the samples `x`, labeled without meaning."""
    split = Split(x.astype(np.float32), np.arange(len(x)) % 3)
    data = Dataset(split, split, split)
    task = replace(_trained(0.0).task, input_shape=split.x.shape[1:])
    return Original(task, data, net.eval(), 0)


def test_a_layer_is_named_where_the_noise_begins_and_not_behind_it() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, (1, 2), bias=False), nn.Flatten(), nn.Linear(4 * 63, 3))
    with torch.no_grad():  # differences of neighbors, small where a signal is large and slow
        net[0].weight[:, 0, 0] = torch.tensor([1.0, -1.0])
    starts = np.random.default_rng(0).uniform(0, 6.28, (90, 1, 1, 1))
    slow = 20 * np.sin(np.linspace(0, 1, LENGTH) + starts)
    (layer,) = diagnose(_of(net, slow)).layers
    assert layer.layer == "0"
    assert layer.sqnr_db < 25
    assert "large values cancel" in layer.cause


def test_a_range_that_rare_values_set_is_the_cause() -> None:
    torch.manual_seed(0)
    x = np.random.default_rng(0).normal(0, 1, (90, 2, 1, LENGTH))
    x[:, 1] = 0
    x[0, 1, 0, 5] = 4.0
    net = nn.Sequential(nn.Conv2d(2, 4, 1, bias=False), nn.Flatten(), nn.Linear(4 * LENGTH, 3))
    with torch.no_grad():
        net[0].weight[:] = torch.tensor([1.0, 40.0]).reshape(1, 2, 1, 1)
    (layer,) = diagnose(_of(net, x)).layers
    assert layer.layer == "0"
    assert "most of its values are small against the range of its output" in layer.cause


def test_a_goal_that_the_majority_reaches_is_named() -> None:
    (remark,) = goal_remarks(RARE, 0.95)
    assert "goal 95.0 % is not above the share of class 'good'" in remark.text
    assert "96.6 %" in remark.text
    assert goal_remarks(RARE, 0.97) == ()


def test_a_recall_that_falls_at_equal_accuracy_is_named() -> None:
    baseline, chosen = (1443, 44), (1447, 40)
    assert sum(baseline) == sum(chosen)
    assert baseline_remarks(RARE, baseline, sum(baseline) / 1500) == ()
    (remark,) = recall_remarks(RARE, "the chosen network", chosen)
    assert "'fault' 78.4 % instead of 88.2 %" in remark.text
    assert "good" not in remark.text


def test_a_gap_beyond_the_standard_error_is_named() -> None:
    even = Diagnosis(("a", "b"), (200, 200), (200, 200))
    assert gap_remarks(even, 399 / 400) == ()
    (remark,) = gap_remarks(even, 361 / 400)
    assert "90.2 % accuracy, the float network 100.0 %: quantization alone loses 9.8" in remark.text


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(max_examples=50)
def test_the_standard_error_is_near_that_of_a_share(pair: tuple[int, int]) -> None:
    right, total = pair
    share = right / total
    plain = np.sqrt(share * (1 - share) / total)
    assert 0 < binomial_error(right, total) <= 0.25
    assert abs(binomial_error(right, total) - plain) < 2 / total**0.5 / (total + 4) ** 0.5 + 0.02
