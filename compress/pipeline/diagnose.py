"""The diagnosis of a task's data and of its trained network, before a search or a measurement."""

from __future__ import annotations

import math
from collections.abc import Set
from typing import TYPE_CHECKING

import numpy as np

from compress.inputs import names_of, parts_of, shape_of_samples
from compress.metrics.classification import CLASSIFICATION
from compress.metrics.judge import standard_error
from compress.ops import AveragePool2D, Op, Weighted, inputs_of, outputs_of
from compress.pipeline.diagnosis import LEAST_SQNR_DB, CoarseInput, Diagnosis, NoisyLayer
from compress.pipeline.network import Network, Original
from compress.pipeline.pipeline import lower_network
from compress.quantization.ranges import grid_for_range
from compress.quantization.sqnr import Noise, decibels, layer_noise
from compress.types import Array, Graph

if TYPE_CHECKING:
    from torch import nn

_ACCURACY = CLASSIFICATION[0]  # its standard error has a formula
# Calibration samples on which the noise of layers is measured.
_SAMPLES = 128
# A part of a layer's noise is named as its cause if it alone brings the layer this near to the
# limit, in dB: then it is at least half of the noise that the limit allows.
_NEAR_DB = 3.0


def diagnose(original: Original) -> Diagnosis:
    """The diagnosis of a trained network and its int8 baseline; takes seconds.

    Raises Infeasible (UnsupportedLayer included) for a network that cannot be lowered.
    """
    val, judge = original.judged, original.judge
    outputs = original.judged_answers
    inputs = coarse_inputs(original.calibration)
    error = None
    if judge.metric != _ACCURACY:
        error = standard_error(judge.metric, outputs, val.y, val.x)
    graph = lower_network(Network(original.lean), original)
    samples = original.calibration[:_SAMPLES]
    return Diagnosis(
        classes=original.task.classes,
        samples=judge.rules.by_class(val.y),
        right=judge.rules.right(val.y, outputs),
        inputs=inputs,
        layers=noisy_layers(graph, original.lean, samples, {one.input for one in inputs}),
        metric=judge.scale,
        value=judge.value(outputs, val),
        error=error,
        constant=judge.constant,
        others=judge.other_values(outputs, val),
        judged=len(val),
    )


def coarse_inputs(x: Array) -> tuple[CoarseInput, ...]:
    """The channels of the calibration samples x, (N, C, H, W) of each input, that int8 loses.

    A channel's variance is compared with the mean squared error of rounding it to the int8 grid
    over the range of all channels of its input. Values that lie on the grid, as those of an 8-bit
    sensor do, lose nothing.
    """
    names = names_of(shape_of_samples(x)) or ("",)
    pairs = zip(names, parts_of(x), strict=True)
    return tuple(one for name, part in pairs for one in _coarse_channels(part, name))


def _coarse_channels(x: Array, name: str) -> list[CoarseInput]:
    grid = grid_for_range((float(x.min()), float(x.max())), 8, symmetric=False)
    found = []
    for channel in range(x.shape[1]):
        values = x[:, channel].astype(np.float64)
        lost = float(np.mean((np.round(values / grid.scale) * grid.scale - values) ** 2))
        variance = float(np.var(values))
        if variance > 0 and decibels(variance, lost) < LEAST_SQNR_DB:
            ends = float(values.min()), float(values.max())
            facts = (grid.scale, math.sqrt(variance), float(np.mean(values)), *ends)
            found.append(CoarseInput(channel, *facts, name))
    return found


def noisy_layers(
    graph: Graph, module: nn.Module, x: Array, coarse: Set[str]
) -> tuple[NoisyLayer, ...]:
    """The layers at which the noise begins of the `graph` lowered from `module`, in order.

    It is measured on the samples x float32 (N, C, H, W). `coarse` are the names of the inputs that
    lose their variation in int8; the name of an only input is empty.
    """
    names = names_of(shape_of_samples(x)) or ("",)
    lost = {i for i, name in zip(graph.inputs, names, strict=True) if name in coarse}
    noise = layer_noise(graph, module, x)
    noisy: set[int] = set()
    found = []
    for op in graph.ops:
        sums, inherited = noise.get(op.name), not noisy.isdisjoint(inputs_of(op))
        # Without figures of its own (a conversion of type) an operator passes on its input's noise.
        low = inherited if sums is None else _low(sums)
        if low:
            noisy.update(outputs_of(op))
        if low and not inherited and sums is not None:
            sqnr_db = decibels(sums.signal, sums.noise)
            cause = _cause(graph, op, sums, not lost.isdisjoint(inputs_of(op)))
            found.append(NoisyLayer(op.name, round(sqnr_db, 1), cause))
    return tuple(found)


def _low(sums: Noise) -> bool:
    return sums.signal > 0 and decibels(sums.signal, sums.noise) < LEAST_SQNR_DB


def _cause(graph: Graph, op: Op, sums: Noise, coarse: bool) -> str:
    """The likely reason for a layer's noise, in words."""
    near = LEAST_SQNR_DB + _NEAR_DB
    step = graph.tensors[outputs_of(op)[0]].scale
    if coarse:
        return "the int8 steps of the network's input are larger than what varies in it"
    if decibels(sums.signal, sums.rounding) < near:
        where = "its input's, which it keeps" if isinstance(op, AveragePool2D) else "its own"
        return (
            f"most of its values are small against the range of its output, whose int8 step of "
            f"{step:.3g} is {where}; calibration by percentile or mse, ReLU6 or int16 activations "
            "help"
        )
    if isinstance(op, Weighted) and _weight_sqnr_db(graph, op) < near:
        return (
            "most of its weights are small against the largest, which sets their int8 step; "
            "equalization, weight decay or smaller weights in training help"
        )
    return (
        "the rounding of its inputs and weights adds up, or large values cancel in it; int16 "
        "activations or quantization-aware training help"
    )


def _weight_sqnr_db(graph: Graph, op: Weighted) -> float:
    """The signal-to-noise ratio of integer weights: rounding errors are uniform over a step."""
    tensor = graph.tensors[op.weights]
    if tensor.data is None:
        raise TypeError(f"{op.name}: its weights are not constant")
    scales = np.array(tensor.scales)
    if tensor.axis is not None:
        scales = scales.reshape([-1 if i == tensor.axis else 1 for i in range(tensor.data.ndim)])
    real = tensor.data * np.broadcast_to(scales, tensor.data.shape)
    steps = np.broadcast_to(scales, tensor.data.shape)
    return decibels(float(np.sum(real**2)), float(np.sum(steps**2)) / 12)
