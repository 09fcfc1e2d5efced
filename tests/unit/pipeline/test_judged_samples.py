"""Which samples candidates are judged on, and how their drop is compared with the float network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from compress.genome import Genome, Quantize
from compress.integer import reference
from compress.pipeline import samples
from compress.pipeline.diagnose import diagnose
from compress.pipeline.network import Original
from compress.pipeline.pipeline import compress
from compress.quantization.lower import quantize_input
from compress.space.recipes import baseline
from compress.types import Dataset, Split
from helpers.networks import original


def with_validation(count: int) -> Original:
    """A network whose validation split has `count` samples of noise."""
    start = original("mobile")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, *start.data.val.x.shape[1:])).astype(np.float32)
    val = Split(x, rng.integers(0, 3, count))
    return replace(start, data=Dataset(start.data.train, val, start.data.test))


def test_a_part_of_many_samples_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "JUDGED_SAMPLES", 40)
    start = with_validation(100)
    few = start.judged
    assert len(few) == 40
    assert np.array_equal(few.x[[0, -1]], start.data.val.x[[0, -1]])
    model = compress(baseline(), start)
    assert sum(np.bincount(few.y)) == 40
    assert model.accuracy == pytest.approx(sum(model.right) / 40)
    found = diagnose(start)
    assert (sum(found.samples), found.count) == (40, 40)
    assert found.accuracy == pytest.approx(start.judged_share)


def test_few_samples_are_all_judged() -> None:
    start = with_validation(50)
    assert start.judged is start.data.val


def test_the_drop_is_paired_with_the_float_network() -> None:
    """By hand: the samples that only one of float network and integer reference has right."""
    start = with_validation(200)
    with torch.no_grad():
        before = start.module(torch.from_numpy(start.data.val.x)).argmax(1).numpy()
    right = before == start.data.val.y
    for genome in (baseline(), Genome((Quantize((2,)),))):
        model = compress(genome, start)
        inputs = quantize_input(model.graph, start.data.val.x)
        after = reference.run(model.graph, inputs).reshape(200, -1).argmax(1) == start.data.val.y
        lost, won = (np.sum(right & ~after) + 1) / 202, (np.sum(after & ~right) + 1) / 202
        assert model.drop_error == pytest.approx(((lost + won - (lost - won) ** 2) / 202) ** 0.5)
    assert compress(baseline(), start, fidelity=0.0).drop_error is None
