"""Application of a genome's stages, in order, to a task's trained network, and its lowering.

A network carries its quantization scheme: `Quantize` sets it, later stages train with fake
quantization under it, a student inherits it, and whatever the order, the pipeline ends by lowering
to the integer graph with it. A stage is a pure function of (network, stage, seed), and its seed
depends only on the stages up to it: equal prefixes give equal networks, which `PrefixCache` keeps.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace

from compress.errors import Infeasible, UserError
from compress.genome import Genome, Pick, Quantize, Stage
from compress.integer import reference
from compress.integer.eliminate import eliminate
from compress.pipeline.judge import Judge
from compress.pipeline.network import Network, Original
from compress.pipeline.prefix_cache import PrefixCache, Snapshot, identity_of, prefix_folder
from compress.pipeline.samples import SCREENING_SAMPLES
from compress.pipeline.samples import evenly_spaced as evenly_spaced
from compress.pipeline.stages import apply_stage
from compress.pruning.batch_norm import reestimate
from compress.quantization.lower import dequantize_outputs, lower, quantize_input
from compress.types import Array, Graph, QuantizedModel, Samples, Split, StageCost


def compress(
    genome: Genome,
    original: Original,
    cache: PrefixCache | None = None,
    fidelity: float = 1.0,
    repeat: int = 0,
) -> QuantizedModel:
    """Apply the genome's stages, lower the network and evaluate it on validation samples.

    They are those of `Original.judged`. With a `fidelity` below 1 the stages get that share of
    their training (`Genome.with_effort`: an elastic network is trained in full), and accuracy is
    evaluated on `SCREENING_SAMPLES`; with 0 they get no training and no AdaRound, and batch-norm
    statistics are estimated again instead. Another `repeat` trains with other seeds (`run_stages`).
    Raises Infeasible (UnsupportedLayer included) for a genome that does not apply.
    """
    snapshot = run_stages(genome.with_effort(fidelity).stages, original, cache, repeat)
    started = time.monotonic()
    network, val, known = snapshot.network, original.data.val, None
    if fidelity < 1.0:
        val = evenly_spaced(val, SCREENING_SAMPLES)
    else:
        val, known = original.judged, original.judged_answers
    if fidelity == 0.0:
        network = replace(network, spec=_rounded_to_nearest(network.spec))
        if network.picked_steps is None:  # else they are those of a pick, and so are step sizes
            module = reestimate(network.module, original.calibration)
            network = replace(network, module=module)
    graph = eliminate(lower_network(network, original))
    lowered = StageCost("lower", 0, time.monotonic() - started)
    found = evaluate(graph, val, original.judge, original.task.device_samples, known)
    return QuantizedModel(
        genome=genome,
        graph=graph,
        accuracy=found.accuracy,
        samples=found.samples,
        costs=(*snapshot.costs, lowered),
        right=found.right,
        device_value=found.device_value,
        others=found.others,
        drop_error=found.drop_error,
        answers=found.answers,
    )


def run_stages(
    stages: tuple[Stage, ...],
    original: Original,
    cache: PrefixCache | None = None,
    repeat: int = 0,
) -> Snapshot:
    """Apply all stages, starting after the longest prefix that is in the cache.

    With a `repeat` above 0 the stages after the last `Pick` (all without one) train with other
    seeds, and are not kept in the cache: an elastic network is shared by all repeats.
    """
    picks = [i + 1 for i, stage in enumerate(stages) if isinstance(stage, Pick)]
    shared = max(picks, default=0) if repeat else len(stages)
    snapshot = _longest(stages[:shared], cache) or Snapshot(
        Network(original.lean, sparse=original.sparse), ()
    )
    for length in range(len(snapshot.costs) + 1, len(stages) + 1):
        own = repeat if length > shared else 0
        stage, seed = stages[length - 1], stage_seed(original.seed, stages[:length], own)
        started = time.monotonic()
        if length > shared:
            cache = None
        checkpoint = None if cache is None else cache.checkpoint(stages[:length])
        network = apply_stage(snapshot.network, stage, original, seed, checkpoint)
        cost = StageCost(type(stage).__name__.lower(), stage.epochs, time.monotonic() - started)
        snapshot = Snapshot(network, (*snapshot.costs, cost))
        if cache is not None and stage.epochs > 0:
            cache.keep(stages[:length], snapshot)
    return snapshot


def _longest(stages: tuple[Stage, ...], cache: PrefixCache | None) -> Snapshot | None:
    """The snapshot of the longest cached prefix of these stages; None if there is none."""
    if cache is None:
        return None
    found = (cache.find(stages[:length]) for length in range(len(stages), 0, -1))
    snapshot = next((one for one in found if one is not None), None)
    if snapshot is None:
        return None
    return Snapshot(snapshot.network, tuple(replace(cost, cached=True) for cost in snapshot.costs))


def lower_network(network: Network, original: Original) -> Graph:
    """The integer graph of a network under its quantization scheme, dead channels included."""
    spec = network.spec or Quantize()
    return lower(
        network.module,
        spec,
        original.calibration,
        name=original.task.name,
        layers=original.layers,
        learned=network.learned if network.spec else None,
        seed=original.seed,
    )


def preview(genome: Genome, original: Original) -> Graph:
    """The graph of `genome` without any training, made in seconds to compute its cost.

    Its shapes, and so MACs, bytes and bit operations (`compress.integer.cost`), are exact except
    where they depend on trained weights: a global ranking of channels, the share of zeros, and
    channels that become constant in training and are eliminated. Raises Infeasible as `compress`.
    """
    network = run_stages(genome.untrained.stages, original).network
    return lower_network(replace(network, spec=_rounded_to_nearest(network.spec)), original)


def prefix_cache(original: Original) -> PrefixCache:
    """The prefix cache in the user's cache folder, for candidates of this original."""
    task = original.task
    types = (task.type, *map(repr, task.outputs))
    facts = (task.name, task.source, *types, repr(task.fine_tune), str(original.seed))
    return PrefixCache(prefix_folder(), identity_of(original.module.state_dict(), facts))


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The result of the integer reference on a split, and the samples of it for the device.

    `accuracy` is the metric as a share where more is better, `right` the number of right answers by
    class, `device_value` the metric of `samples` in its unit; None if these few do not define it.
    `others` are the other metrics of several outputs on the split, in their units. `drop_error` is
    the standard error of the accuracy's difference to the float network's, None if it was not asked
    for or is not known. `answers` are the outputs as metrics get them.
    """

    accuracy: float
    right: tuple[int, ...]
    samples: Samples
    device_value: float | None
    others: tuple[tuple[str, float], ...] = ()
    drop_error: float | None = None
    answers: Array | None = None


def evaluate(
    graph: Graph,
    split: Split,
    judge: Judge,
    device_samples: int,
    original_answers: Array | None = None,
) -> Evaluation:
    """Evaluate the graph by the integer reference on the whole split.

    The device gets at most `device_samples`, evenly spaced, because samples of one class may be
    next to each other in the split. With the float network's answers for the split the result is
    compared with them. Raises Infeasible if the metric is not a finite number.
    """
    inputs = quantize_input(graph, split.x)
    real = judge.rules.of_graph(dequantize_outputs(graph, reference.run(graph, inputs)))
    try:
        accuracy = judge.share(real, split)
    except UserError as error:  # the float network has a value: these outputs are the reason
        raise Infeasible(str(error)) from error
    samples, value = samples_for_device(graph, evenly_spaced(split, device_samples), judge)
    right, others = judge.rules.right(split.y, real), judge.other_values(real, split)
    known = original_answers
    drop_error = None if known is None else judge.drop_error(real, known, split)
    return Evaluation(accuracy, right, samples, value, others, drop_error, real)


def samples_for_device(graph: Graph, split: Split, judge: Judge) -> tuple[Samples, float | None]:
    """All samples of a split for the device, and the metric of their outputs in its unit.

    The metric is None if so few samples do not define it, as an AUC without anomalous ones.
    """
    inputs = quantize_input(graph, split.x)
    outputs = reference.run(graph, inputs)
    flat = outputs.reshape(len(split), -1)
    samples = Samples(inputs, judge.rules.device_labels(split.y, flat), flat)
    try:
        return samples, judge.value(judge.rules.of_graph(dequantize_outputs(graph, outputs)), split)
    except UserError:
        return samples, None


def stage_seed(seed: int, prefix: tuple[Stage, ...], repeat: int = 0) -> int:
    """The seed of the last stage of `prefix`, a function of the run's seed, prefix and repeat."""
    text = f"{seed}:{Genome(prefix).key}" + (f":{repeat}" if repeat else "")
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "little")


def _rounded_to_nearest(spec: Quantize | None) -> Quantize | None:
    """The scheme without AdaRound, which takes as long as some training."""
    return None if spec is None else replace(spec, rounding="nearest")
