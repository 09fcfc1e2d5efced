"""The networks of benchmarks/sqnr_operators.py: every captured form has some, and they differ."""

import importlib
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from compress.frontend.capture_calls import CALLS
from compress.frontend.capture_modules import MODULES
from compress.pipeline.diagnosis import LEAST_SQNR_DB
from compress.recurrent_layers.layer import RecurrentLayer
from compress.recurrent_layers.replace import REPLACED
from compress.tracing import decompose
from helpers.checkout import ROOT

torch.set_num_threads(1)


@pytest.fixture
def forms(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("operator_forms.networks")


@pytest.fixture
def benchmark(forms: ModuleType) -> ModuleType:
    return importlib.import_module("sqnr_operators")


def test_every_captured_form_is_in_one_family(forms: ModuleType) -> None:
    found = [form for family in forms.families().values() for form in family]
    captured = {*MODULES, *CALLS, *decompose.REPLACED_MODULES, *decompose.REPLACED_CALLS}
    captured = (captured | set(REPLACED)) - {RecurrentLayer}
    assert len(found) == len(captured)
    assert set(found) == captured


def test_every_form_has_a_network(forms: ModuleType) -> None:
    for family, members in forms.families().items():
        for form in members:
            made = forms.random_network(family, form, 0)
            with torch.no_grad():
                answers = made.whole(torch.from_numpy(made.x))
            assert answers.shape == (forms.SAMPLES, forms.CLASSES), forms.form_name(form)
            assert answers.isfinite().all(), forms.form_name(form)


def test_a_network_is_made_again_by_its_seed(forms: ModuleType) -> None:
    made = [forms.random_network("relu", "relu_", seed) for seed in (3, 3, 4)]
    answers = [one.whole(torch.from_numpy(one.x)).detach().numpy() for one in made]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert made[0].x.shape != made[2].x.shape or not np.array_equal(made[0].x, made[2].x)


@pytest.mark.parametrize(
    ("family", "form"),
    [
        ("mean", "mean"),
        ("multiply", "mul"),
        ("softmax", torch.softmax),
        ("permute", "permute"),
        ("gelu", nn.GELU),
        ("layer_norm", nn.LayerNorm),
        ("attention", functional.scaled_dot_product_attention),
        ("resize", functional.interpolate),
        ("split", "split"),
        ("recurrent", nn.GRU),
    ],
)
def test_noise_is_small_or_its_layer_is_named(
    benchmark: ModuleType, family: str, form: object
) -> None:
    for seed in range(2):
        found = benchmark.measured(family, form, seed)
        for ratio in (found.layer, found.network):
            assert ratio is None or ratio.sqnr_db >= LEAST_SQNR_DB or ratio.named
        assert found.network_before.sqnr_db > 0
