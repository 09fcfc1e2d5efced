"""Each form of layer or function is captured as layers that compute what the module does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.errors import UnsupportedLayer
from compress.frontend.capture import capture, trace_module
from compress.frontend.capture_calls import CALLS, supported_calls
from compress.frontend.capture_modules import MODULES, supported_modules
from compress.frontend.fuse import fuse
from compress.recurrent_layers.layer import RecurrentLayer
from compress.recurrent_layers.replace import REPLACED
from helpers.forms import FORMS, Form, conv, end, made, run_layers


@pytest.mark.parametrize("name", FORMS)
def test_layers_compute_what_the_module_does(name: str) -> None:
    module, x = made(name)
    captured, (source,), outputs = capture(trace_module(module, x.shape[1:]))
    with torch.no_grad():
        wanted = module(x)
        for layers in (captured, fuse(captured, outputs)):
            found = run_layers(layers, source, outputs[0], x).reshape(wanted.shape)
            np.testing.assert_allclose(found, wanted, atol=3e-6)


def _kinds(module: nn.Module, shape: tuple[int, ...] = (3, 8, 8)) -> list[str]:
    captured, _, outputs = capture(trace_module(module, shape))
    return [layer.kind for layer in fuse(captured, outputs)]


def test_constants_and_norms_are_folded_where_something_can_take_them() -> None:
    class Norms(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.out = conv(), nn.BatchNorm2d(8), end(512)

        def forward(self, x: Tensor) -> Tensor:
            x = self.norm(self.conv((x - 0.5) / 0.2)) * 3 + 1
            return self.out(functional.hardsigmoid(x))

    assert _kinds(Norms().eval()) == ["affine", "conv", "reshape", "linear"]


def test_a_value_that_two_layers_read_keeps_its_norm_apart() -> None:
    module = Form(lambda s, x: s.norm(s.conv(x)) + s.conv(x), conv=nn.Conv2d(3, 8, 1),
                  norm=nn.BatchNorm2d(8))  # fmt: skip
    shared = Form(lambda s, x: (lambda y: s.norm(y) + y)(s.conv(x)), conv=nn.Conv2d(3, 8, 1),
                  norm=nn.BatchNorm2d(8))  # fmt: skip
    assert _kinds(module) == ["conv", "conv", "add"]
    assert _kinds(shared) == ["conv", "affine", "add"]


def test_what_the_output_does_not_depend_on_is_left_out() -> None:
    assert _kinds(made("an unused branch")[0]) == ["conv", "reshape", "linear"]


def test_messages_name_all_that_is_supported() -> None:
    with pytest.raises(UnsupportedLayer, match=r"^0: Fold has no integer kernel") as refused:
        _kinds(nn.Sequential(nn.Fold(8, 1)), (3, 64))
    for kind in MODULES.keys() - {RecurrentLayer} | REPLACED.keys():
        assert f"{kind.__name__}," in f"{refused.value},"
    assert "SiLU" in supported_modules()
    assert "Hardsigmoid" in supported_modules()
    with pytest.raises(UnsupportedLayer, match="erfc has no integer kernel") as refused:
        _kinds(Form(lambda _, x: torch.erfc(x)))
    assert supported_calls() in str(refused.value)
    for name in ("max_pool2d", "relu", "flatten", "cat", "adaptive_max_pool1d", "silu"):
        assert f" {name}," in f" {supported_calls()},"
    assert len(CALLS) > 60


REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "reflected": (nn.Conv2d(4, 8, 3, padding=1, padding_mode="reflect"), "use zeros"),
    "mean of a border": (
        nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), "use count_include_pad=True"),
    "mean beyond the end": (nn.AvgPool2d(4, 2, ceil_mode=True), "use ceil_mode=False"),
    "divisor": (nn.AvgPool2d(2, divisor_override=3), "divisor_override"),
    "dilated pool": (nn.MaxPool2d(2, dilation=2), "dilation"),
    "adaptive": (nn.AdaptiveAvgPool2d(3), "pools 7x8 to 3x3.*divides the input's"),
    "softmax of rows": (nn.Softmax(2), "softmax over axis 2; allowed are axis 1 and the last"),
    "batch first": (lambda x: x.transpose(0, 1), "axis 1 has the samples of the batch"),
    "mixed samples": (lambda x: x.reshape(-1, 14), "mixes the samples"),
    "joined batches": (lambda x: torch.cat([x, x]), "joins the samples of batches"),
    "groups of a norm": (nn.GroupNorm(2, 4), "GroupNorm has no integer kernel .use one group"),
    "samples": (lambda x: x[:1], "samples out of a batch"),
    "a mask": (lambda x: x * (x > 0), "gt has no integer kernel"),
    "parts": (lambda x: torch.cat(x.split(2, 1)[:1], 1), "takes several parts"),
    "positions of a maximum": (lambda x: x.max(1)[0], "use torch.amax"),
    "bicubic": (nn.Upsample(scale_factor=2, mode="bicubic"), "'bicubic' of .*; allowed are"),
    "a factor of 1.3": (nn.Upsample(scale_factor=1.3), "give the size"),
    "grouped transposed": (nn.ConvTranspose2d(4, 4, 2, 2, groups=2), "groups or dilation"),
    "cut transposed": (
        nn.ConvTranspose2d(4, 4, 5, 2, 1), "padding 0, and kernel_size - 2 [*] padding [+] output"),
    "softmax of five axes": (
        lambda x: torch.softmax(x.reshape(x.size(0), 2, 2, 7, 8), 1), "a tensor of 5 axes"),
    "elements mixed": (lambda x: x.flatten(1)[:, ::3].softmax(1).mean(0), "samples of a batch"),
    "a quotient": (lambda x: x / (x + 1), "allowed is division by a constant"),
    "two factors": (lambda x: x * x.mean((1, 2), True), "do not combine"),
    "alpha": (lambda x: torch.add(x, x, alpha=2), "alpha=2; multiply"),
    "mirrored": (
        lambda x: functional.pad(x, (1, 1, 1, 1), "reflect"), "allowed is 'constant'"),
    "cropped": (lambda x: functional.pad(x, (-1, 0)), "allowed are widths from 0 on"),
    "unknown argument": (lambda x: torch.mean(x, (2, 3), out=None), "unexpected keyword"),
    "weights computed": (
        Form(lambda s, x: functional.conv2d(x, s.w * 2), w=nn.Parameter(torch.ones(2, 4, 1, 1))),
        "must be parameters"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_captured_is_refused_with_what_can(name: str) -> None:
    function, words = REFUSED[name]
    module = function if isinstance(function, nn.Module) else Form(lambda _, x: function(x))
    with pytest.raises(UnsupportedLayer, match=words):
        _kinds(nn.Sequential(module), (4, 7, 8))


def test_the_advice_for_pools_works() -> None:
    for pool in (nn.AvgPool2d(3, 2, padding=1), nn.AvgPool2d(4, 2), nn.AdaptiveAvgPool2d(1)):
        assert _kinds(pool, (4, 7, 8))[-1] == "average_pool"


def test_a_network_that_cannot_take_two_samples_is_refused() -> None:
    with pytest.raises(UnsupportedLayer, match="cannot take 2 samples"):
        trace_module(Form(lambda _, x: x.view(1, -1) + torch.zeros(1, 12)), (12,))
