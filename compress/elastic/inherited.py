"""The accuracy that a sub-network inherits from an elastic network, without training of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from compress.elastic.pick import picked, ratios_by_name
from compress.errors import Infeasible
from compress.genome import Pick
from compress.pruning.batch_norm import reestimate
from compress.pruning.blocks import drop_blocks
from compress.pruning.groups import find_groups
from compress.splits import evenly_spaced, halves
from compress.training.train import predict

if TYPE_CHECKING:
    from compress.pipeline.network import Network, Original


def inherited_accuracies(
    network: Network, picks: Sequence[Pick], original: Original, samples: int
) -> tuple[float, ...]:
    """The accuracy of each pick of an elastic `network`, as a float network.

    It is the task's metric as a share where more is better (`compress.metrics.scale`), on at most
    `samples` of the screening half of the validation split (`compress.splits.halves`), with the
    batch-norm statistics of `Original.statistics`. The same in every process. Raises Infeasible
    for a network that no `Elastic` has made, and for picks that do not apply to it.
    """
    if not network.elastic:
        raise Infeasible("a Pick needs a network that Elastic has trained: put an Elastic before")
    screening, _ = halves(original.data.val)
    split = evenly_spaced(screening, samples)
    shape, names = original.task.input_shape, original.groups
    found = []
    for pick in picks:
        dropped = tuple(original.blocks[index] for index in pick.drop)
        module = drop_blocks(network.module, shape, dropped)
        groups = find_groups(module, shape)
        module = picked(module, groups, ratios_by_name(groups, names, pick.keep))
        outputs = predict(reestimate(module, original.statistics), split.x)
        found.append(original.judge.share(original.rules.in_numpy(outputs.numpy()), split))
    return tuple(found)
