"""The accuracy that a sub-network inherits from an elastic network, without training of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from compress.elastic.bit_weights import BitWeights, bits_of_pick, weights_at_bits
from compress.elastic.pick import picked, shape_of_ratios
from compress.errors import Infeasible, UserError
from compress.genome import Pick
from compress.pruning.batch_norm import reestimate
from compress.pruning.blocks import drop_blocks, present_blocks
from compress.pruning.groups import Group, find_groups
from compress.pruning.prune import ratios_of
from compress.splits import evenly_spaced, halves
from compress.training.train import predict

if TYPE_CHECKING:
    from compress.pipeline.network import Network, Original


def inherited_accuracies(
    network: Network, picks: Sequence[Pick], original: Original, samples: int
) -> tuple[float, ...]:
    """The accuracy of each pick of an elastic `network`, as a float network.

    It is the task's metric as a share where more is better (`compress.metrics.scale`), on at most
    `samples` of the screening half (`compress.splits.halves`) of `Original.judged`, with the
    batch-norm statistics of `Original.statistics`, and with weights rounded to the bits of a pick
    that has some. The same in every process. Raises Infeasible for a network that no `Elastic` has
    made, and for picks that do not apply to it.
    """
    if not network.elastic:
        raise Infeasible("a Pick needs a network that Elastic has trained: put an Elastic before")
    screening, _ = halves(original.judged)
    split = evenly_spaced(screening, samples)
    sources: dict[tuple[int, ...], tuple[nn.Module, tuple[Group, ...]]] = {}
    rounded: dict[tuple[int, ...], BitWeights] = {}
    found = []
    for pick in picks:
        if pick.drop not in sources:
            sources[pick.drop] = _without_blocks(network, pick, original)
        module, groups = sources[pick.drop]
        shape = shape_of_ratios(
            groups, ratios_of([group.name for group in groups], original.groups, pick.keep)
        )
        if pick.bits:
            if pick.drop not in rounded:
                input_shape = original.task.input_shape
                rounded[pick.drop] = weights_at_bits(module, input_shape, network.steps)
            weights = rounded[pick.drop]
            module = weights.rounded_copy(bits_of_pick(pick.bits, original.layers, weights.names))
        outputs = predict(reestimate(picked(module, groups, shape), original.statistics), split.x)
        try:
            share = original.judge.share(original.rules.in_numpy(outputs.numpy()), split)
        except UserError as error:  # the original has a value: these outputs are the reason
            raise Infeasible(str(error)) from error
        found.append(share)
    return tuple(found)


def _without_blocks(
    network: Network, pick: Pick, original: Original
) -> tuple[nn.Module, tuple[Group, ...]]:
    """The network without the blocks that the pick drops, and its groups."""
    shape = original.task.input_shape
    dropped = present_blocks(network.module, shape, pick.drop, original.blocks)
    module = drop_blocks(network.module, shape, dropped)
    return module, find_groups(module, shape)
