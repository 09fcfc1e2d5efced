"""Picking: a sub-network of an elastic network as a network of its own."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from compress.elastic.bit_weights import Steps, narrowed
from compress.elastic.slices import SharedNetwork, SubNetworkShape, narrow_groups, rows_left
from compress.errors import Infeasible
from compress.pruning.groups import Group
from compress.pruning.prune import kept_channels
from compress.quantization.fake_quantize import FakeQuantized
from compress.quantization.scheme import Learned
from compress.tracing.normalize import copied
from compress.types import InputShape


def shape_of_ratios(groups: Sequence[Group], keep: Sequence[float]) -> SubNetworkShape:
    """The shape with these ratios of the channels of each group, rounded as in pruning.

    Raises Infeasible for a ratio out of range.
    """
    if not all(0 < ratio <= 1 for ratio in keep):
        raise Infeasible(f"keep ratios {tuple(keep)}: allowed are 0 < ratio <= 1")
    widths = (kept_channels(g.channels, ratio) for g, ratio in zip(groups, keep, strict=True))
    return SubNetworkShape(tuple(widths))


def picked(module: nn.Module, groups: Sequence[Group], shape: SubNetworkShape) -> nn.Module:
    """A copy of `module` of this shape, with the first channels of each of its `groups`."""
    made = copied(module).eval()
    narrow_groups(made, groups, shape)
    return made


def learned_of_pick(
    module: nn.Module,
    input_shape: InputShape,
    quantized: FakeQuantized,
    shape: SubNetworkShape,
    pick: nn.Module,
) -> Learned:
    """The learned ranges of `pick`, the sub-network of `shape` of `module` with its statistics.

    `quantized` is the fake quantization of `module`: step sizes are its own.
    """
    cuts = SharedNetwork(module, input_shape, quantized).sub_network(shape).cuts
    return quantized.narrowed(pick, rows_left(cuts)).learned()


def steps_of_pick(
    module: nn.Module, input_shape: InputShape, steps: Steps, shape: SubNetworkShape
) -> Steps:
    """The step sizes, at all widths of bits, of the sub-network of `shape` of `module`."""
    return narrowed(steps, rows_left(SharedNetwork(module, input_shape).sub_network(shape).cuts))
