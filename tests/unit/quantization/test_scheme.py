"""Bit widths by layer name, also for layers that the original network does not have."""

import pytest

from compress.errors import Infeasible
from compress.genome import Quantize
from compress.quantization.scheme import LayerBits, Scheme

LAYERS = ("stem", "block.conv", "block.conv.inner", "head")


def test_one_width_is_for_all_layers() -> None:
    scheme = Scheme(Quantize(weight_bits=(4,), activation_bits=(16,)), LAYERS)
    assert {scheme.of(name) for name in (*LAYERS, "new")} == {LayerBits(4, 16)}


def test_layers_are_found_by_name_and_new_ones_by_the_layer_they_replace() -> None:
    spec = Quantize(weight_bits=(8, 4, 2, 8), activation_bits=(8, 16, 8, 8))
    scheme = Scheme(spec, LAYERS)
    assert [scheme.of(name) for name in ("head", "block.conv", "stem")] == [
        LayerBits(8, 8),
        LayerBits(4, 16),
        LayerBits(8, 8),
    ]
    assert scheme.of("block.conv.pointwise") == LayerBits(4, 16)
    assert scheme.of("block.conv.inner.depthwise") == LayerBits(2, 8)
    # A common prefix without a dot does not count: such a layer takes the first layer's bits.
    assert scheme.of("block.conv2") == LayerBits(8, 8)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (Quantize(weight_bits=(8, 4)), "2 bit widths of weights for 4 layers: stem, block.conv"),
        (Quantize(activation_bits=()), "0 bit widths of activations for 4 layers"),
        (Quantize(weight_bits=(8, 3, 4, 16)), "block.conv: 3, head: 16; allowed are 8, 4, 2"),
        (Quantize(activation_bits=(4,)), "all layers: 4; allowed are 8, 16"),
    ],
)
def test_what_is_not_allowed_is_named(spec: Quantize, message: str) -> None:
    with pytest.raises(Infeasible, match=message):
        Scheme(spec, LAYERS)
