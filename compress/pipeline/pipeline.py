"""Apply a genome's stages, in its order, to a task's trained network; end in integers.

A network carries its quantization: `Quantize` sets it, later stages train under it, a student
inherits it, and whatever the order, the pipeline ends by lowering to the integer graph with it.
Every stage is a pure function of (network, stage, seed), and its seed depends on the stages so
far only: equal prefixes give equal networks, which `PrefixCache` keeps.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from compress.genome import Genome, Quantize, Stage
from compress.integer import reference
from compress.integer.eliminate import eliminate
from compress.pipeline.network import Network, Original
from compress.pipeline.prefix_cache import PrefixCache, Snapshot, identity_of, prefix_folder
from compress.pipeline.stages import apply
from compress.pruning.batch_norm import reestimate
from compress.quantization.lower import lower, quantize_input
from compress.types import Graph, QuantizedModel, Samples, Split, StageCost

# What accuracy below fidelity 1 is judged on: +-2 points at 90 %, in a third of the time.
SCREENING_SAMPLES = 480


def compress(
    genome: Genome,
    original: Original,
    cache: PrefixCache | None = None,
    fidelity: float = 1.0,
) -> QuantizedModel:
    """Run the genome's stages and lower the result.

    With a `fidelity` below 1 the stages get that share of their training, and accuracy is judged
    on part of the validation split; with 0 they get none, and batch-norm statistics are measured
    anew instead. Raises Infeasible (UnsupportedLayer among it) where the genome cannot be applied.
    """
    snapshot = run_stages(_with_effort(genome, fidelity), original, cache)
    started = time.monotonic()
    network, val = snapshot.network, original.data.val
    if fidelity < 1.0:
        val = evenly(val, SCREENING_SAMPLES)
    if fidelity == 0.0:
        network = replace(network, module=reestimate(network.module, original.calibration))
    graph = eliminate(to_integers(network, original))
    lowered = StageCost("lower", 0, time.monotonic() - started)
    accuracy, samples = examine(graph, val, original.task.device_samples)
    return QuantizedModel(genome, graph, accuracy, samples, (*snapshot.costs, lowered))


def run_stages(
    stages: tuple[Stage, ...], original: Original, cache: PrefixCache | None = None
) -> Snapshot:
    """The network after all stages, from the longest prefix that the cache has."""
    snapshot = _longest(stages, cache) or Snapshot(Network(original.lean), ())
    for length in range(len(snapshot.costs) + 1, len(stages) + 1):
        stage, seed = stages[length - 1], stage_seed(original.seed, stages[:length])
        started = time.monotonic()
        checkpoint = None if cache is None else cache.checkpoint(stages[:length])
        network = apply(snapshot.network, stage, original, seed, checkpoint)
        cost = StageCost(type(stage).__name__.lower(), stage.epochs, time.monotonic() - started)
        snapshot = Snapshot(network, (*snapshot.costs, cost))
        if cache is not None and stage.epochs > 0:
            cache.keep(stages[:length], snapshot)
    return snapshot


def _longest(stages: tuple[Stage, ...], cache: PrefixCache | None) -> Snapshot | None:
    """What the cache has of the longest prefix of these stages, if it has any."""
    if cache is None:
        return None
    found = (cache.find(stages[:length]) for length in range(len(stages), 0, -1))
    snapshot = next((one for one in found if one is not None), None)
    if snapshot is None:
        return None
    return Snapshot(snapshot.network, tuple(replace(cost, cached=True) for cost in snapshot.costs))


def to_integers(network: Network, original: Original) -> Graph:
    """The integer graph of a network under its quantization, dead channels included."""
    spec = network.spec or Quantize()
    return lower(
        network.module,
        spec,
        original.calibration,
        original.task.name,
        original.layers,
        network.learned,
        original.seed,
    )


def preview(genome: Genome, original: Original) -> Graph:
    """The graph that `genome` will have, with untrained values: what it costs is known in seconds.

    Shapes, and so MACs, bytes and bit operations (`compress.integer.cost`), are exact but for what
    depends on trained weights: a global ranking, a share of zeros, and channels that die in
    training, which make it smaller. Raises Infeasible as `compress` does.
    """
    snapshot = run_stages(_with_effort(genome, 0.0), original)
    return to_integers(snapshot.network, original)


def prefix_cache(original: Original) -> PrefixCache:
    """The user's cache of trained prefixes, for what starts from this original."""
    task = original.task
    facts = (task.name, task.source, repr(task.fine_tune), str(original.seed))
    return PrefixCache(prefix_folder(), identity_of(original.module.state_dict(), facts))


def examine(graph: Graph, split: Split, device_samples: int) -> tuple[float, Samples]:
    """Accuracy of the integer reference on the whole split, and the samples for the device.

    The device gets an evenly spaced choice of at most `device_samples`, so that every part of the
    split (and so every class) is among them.
    """
    inputs = quantize_input(graph, split.x)
    outputs = reference.run(graph, inputs).reshape(len(split), -1)
    accuracy = float(np.mean(outputs.argmax(1) == split.y))
    chosen = spread(len(split), device_samples)
    return accuracy, Samples(inputs[chosen], split.y[chosen], outputs[chosen])


def evenly(split: Split, samples: int) -> Split:
    """At most `samples` of the split, evenly spaced."""
    chosen = spread(len(split), samples)
    return Split(split.x[chosen], split.y[chosen])


def spread(count: int, most: int) -> npt.NDArray[np.int64]:
    """Indices of at most `most` of `count` things, evenly spaced from the first to the last."""
    indices: npt.NDArray[np.int64] = (
        np.linspace(0, count - 1, min(most, count)).round().astype(np.int64)
    )
    return indices


def stage_seed(seed: int, prefix: tuple[Stage, ...]) -> int:
    """Seed of a prefix's last stage: equal prefixes of equal runs draw equal numbers."""
    digest = hashlib.sha256(f"{seed}:{Genome(prefix).key}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def _with_effort(genome: Genome, fidelity: float) -> tuple[Stage, ...]:
    """The stages with that share of their training; with none, not even AdaRound's."""
    stages = genome.with_effort(fidelity).stages
    if fidelity > 0.0:
        return stages
    return tuple(replace(s, rounding="nearest") if isinstance(s, Quantize) else s for s in stages)
