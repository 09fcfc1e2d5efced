"""Signal-to-quantization-noise ratio by layer, compared with theory (6 dB per bit)."""

import numpy as np
import torch
from torch import nn

from compress.genome import Quantize
from compress.quantization.lower import lower
from compress.quantization.sqnr import layer_noise, layer_sqnr_db
from compress.types import Array


def _net() -> nn.Sequential:
    torch.manual_seed(11)
    return nn.Sequential(
        nn.Conv2d(2, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 5),
    )


def _samples() -> Array:
    return np.random.default_rng(0).normal(0, 1, (100, 2, 6, 5)).astype(np.float32)


def _sqnr_db(spec: Quantize) -> dict[str, float]:
    module = _net()
    return layer_sqnr_db(lower(module, spec, _samples(), "test"), module, _samples())


def test_each_operator_has_its_noise() -> None:
    found = _sqnr_db(Quantize())
    assert list(found) == ["0", "2", "4", "5", "6"]
    assert all(25 < value < 60 for value in found.values())


def test_four_bits_in_one_layer_add_noise_from_that_layer_on() -> None:
    all_eight, one_four = _sqnr_db(Quantize()), _sqnr_db(Quantize(weight_bits=(8, 4, 8)))
    assert one_four["0"] == all_eight["0"]
    # 4 bits fewer: 4 * 6.02 dB more weight noise. Other noise, which stays, makes the loss smaller.
    assert 10 < all_eight["2"] - one_four["2"] < 24
    assert one_four["6"] < all_eight["6"] - 5


def test_wider_activations_have_less_noise_and_conversions_are_left_out() -> None:
    eight, sixteen = _sqnr_db(Quantize()), _sqnr_db(Quantize(activation_bits=(16,)))
    assert list(sixteen) == ["0", "2", "4", "5", "6"]
    assert all(sixteen[name] > eight[name] for name in ("0", "2"))


def test_the_ratio_follows_its_definition() -> None:
    # With scale 1, y = x is exact except for rounding 0.3 and 10.4.
    identity = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False)).eval()
    identity[0].weight.data[:] = 1.0
    x = np.array([0.0, 255.0, 0.3, 10.4], np.float32).reshape(4, 1, 1, 1)
    graph = lower(identity, Quantize(), x, "test")
    (found,) = layer_sqnr_db(graph, identity, x).values()
    wanted = 10 * np.log10(np.sum(x.astype(float) ** 2) / (0.3**2 + 0.4**2))
    assert abs(found - wanted) < 1e-3


def test_a_flattened_map_is_compared_in_one_order() -> None:
    torch.manual_seed(1)
    parts = (nn.Conv2d(2, 4, 3), nn.Flatten(), nn.ReLU(), nn.Linear(4 * 4 * 3, 5))
    module = nn.Sequential(*parts).eval()
    found = layer_sqnr_db(lower(module, Quantize(), _samples(), "test"), module, _samples())
    assert list(found) == ["0", "1", "2", "3"]
    assert all(value > 30 for value in found.values())


def test_the_noise_of_rounding_alone_is_a_part_of_the_noise() -> None:
    module = _net()
    graph = lower(module, Quantize(weight_bits=(8, 4, 8)), _samples(), "test")
    noise = layer_noise(graph, module, _samples())
    assert noise["0"].rounding > 0.2 * noise["0"].noise  # weights of 8 bits: rounding the output
    assert noise["2"].rounding < 0.1 * noise["2"].noise  # weights of 4 bits
