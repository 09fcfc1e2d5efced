"""Training of an elastic network: all widths at once, by the sandwich rule (arXiv:1903.05134)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from torch import Tensor, nn

from compress.elastic.bit_weights import BitsByLayer, BitWeights
from compress.elastic.slices import SharedNetwork, SubNetwork, SubNetworkShape
from compress.pruning.prune import CHANNEL_MULTIPLE
from compress.tracing.answers import joined
from compress.tracing.batches import Batch
from compress.training.checkpoint import Checkpoint
from compress.training.train import Forward, Loss, Schedule, descend
from compress.types import Split

# Random sub-networks of a step, beside the widest and the narrowest one.
RANDOM_PER_STEP = 2
# The widths of half of the random sub-networks lie so many steps of `CHANNEL_MULTIPLE` around a
# common share: with independent widths nearly all would be of medium size.
_STEPS_AROUND = (-2, -1, -1, 0, 0, 1, 1, 2)


def train_elastic(
    shared: SharedNetwork,
    forward: Forward,
    split: Split,
    schedule: Schedule,
    loss: Loss,
    narrowest: float,
    blocks: Sequence[str] = (),
    extra: Sequence[nn.Parameter] = (),
    keep_zeros: bool = False,
    checkpoint: Checkpoint | None = None,
) -> None:
    """Train the network of `shared` in place for all shapes down to the share `narrowest`.

    `forward` runs the widest one, `blocks` are those that random sub-networks may leave out; the
    other arguments are those of `compress.training.train.fit`. Each step adds the gradients of the
    widest, the narrowest and `RANDOM_PER_STEP` random sub-networks. The batch-norm statistics are
    those of the widest one. Where `shared` has weights at several bit widths, the widest one has
    the most bits, the narrowest one the fewest, and random ones have bits of their own for each
    layer; `extra` should then hold the step sizes.
    """
    least = shared.narrowest(narrowest)
    most_bits, fewest_bits = uniform_bits(shared.weights, max), uniform_bits(shared.weights, min)
    narrow = shared.sub_network(least, fewest_bits)
    widest = forward if most_bits is None else shared.whole(most_bits)

    def random_one(rng: Random) -> SubNetwork:
        shape = random_shape(rng, shared.widest, least, blocks)
        return shared.sub_network(shape, random_bits(rng, shared.weights))

    def backward(x: Batch, targets: Tensor, indices: Tensor, step: int) -> None:
        rng = Random(f"{schedule.seed} {step}")
        narrow.renew()  # a resumed training has the same statistics at each step
        random = (random_one(rng) for _ in range(RANDOM_PER_STEP))
        runs: tuple[Forward, ...] = (widest, *random, narrow)
        for run in runs:
            loss(joined(run(*x)), targets, indices).backward()

    shared.module.train()
    narrow.layers.train()
    descend(
        shared.module,
        split,
        schedule,
        backward,
        extra=extra,
        keep_zeros=keep_zeros,
        checkpoint=checkpoint,
    )


def random_shape(
    rng: Random, widest: SubNetworkShape, least: SubNetworkShape, blocks: Sequence[str] = ()
) -> SubNetworkShape:
    """A random shape between two: half of the time with independent widths, else similar ones.

    Widths are multiples of `CHANNEL_MULTIPLE`, or those of `widest`. Each of `blocks` is left out
    with a probability of 1 / (blocks + 1), so that on average less than one is.
    """
    pick = _independent if rng.random() < 0.5 else _similar(rng)
    ends = zip(least.widths, widest.widths, strict=True)
    widths = tuple(pick(rng, low, high) for low, high in ends)
    return SubNetworkShape(
        widths, tuple(name for name in blocks if rng.random() < 1 / (len(blocks) + 1))
    )


def random_bits(rng: Random, weights: BitWeights | None) -> BitsByLayer | None:
    """Random bits for each layer: half of the time independent ones, else the same for all.

    None, without a draw, for a network that is trained for one width of bits.
    """
    if weights is None:
        return None
    if rng.random() < 0.5:
        return dict.fromkeys(weights.names, rng.choice(weights.bits))
    return {name: rng.choice(weights.bits) for name in weights.names}


def uniform_bits(
    weights: BitWeights | None, choose: Callable[[Sequence[int]], int]
) -> BitsByLayer | None:
    """The same bits for all layers, those of the network's that `choose` returns."""
    return None if weights is None else dict.fromkeys(weights.names, choose(weights.bits))


def _independent(rng: Random, low: int, high: int) -> int:
    widths: list[int] = [*range(low, high, CHANNEL_MULTIPLE), high]
    return rng.choice(widths)


def _similar(rng: Random) -> Callable[[Random, int, int], int]:
    share = rng.random()

    def pick(rng: Random, low: int, high: int) -> int:
        steps = round((low + share * (high - low)) / CHANNEL_MULTIPLE) + rng.choice(_STEPS_AROUND)
        width: int = min(high, max(low, CHANNEL_MULTIPLE * steps))
        return width

    return pick
