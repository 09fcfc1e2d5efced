"""The quantization noise of each layer's output, and its ratio to the signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compress.arithmetic.fixedpoint import value_range
from compress.frontend.capture import capture, trace_module
from compress.inputs import shape_of_samples
from compress.integer import reference
from compress.ops import outputs_of
from compress.quantization.calibrate import record_values
from compress.quantization.lower import quantize_input
from compress.types import Array, Graph, Tensor

if TYPE_CHECKING:
    from torch import Tensor as Values
    from torch import nn

_BATCH = 64


@dataclass(slots=True)
class Noise:
    """Sums of squares over samples of one operator's output.

    `signal` is that of the float output, `noise` that of the difference between the integer and
    the float output. `rounding` is the part of the noise that rounding the float output to the
    output's own grid makes; the rest comes from inputs and weights.
    """

    signal: float = 0.0
    noise: float = 0.0
    rounding: float = 0.0


def decibels(signal: float, noise: float) -> float:
    """The ratio of two sums of squares in dB; infinite without noise."""
    return float(10 * np.log10(signal / noise)) if noise > 0 else float("inf")


def layer_noise(graph: Graph, module: nn.Module, x: Array) -> dict[str, Noise]:
    """The noise of each operator's output, by operator name.

    The float output is that of `module`, the integer one that of the `graph` lowered from it, on
    the samples x float32 (N, C, H, W). Both networks run from the input, so the noise of earlier
    layers is included. Left out are conversions between types, and outputs that have lost channels
    since lowering.
    """
    written = [(op, index) for op in graph.ops for index in outputs_of(op)]
    names = {graph.tensors[index].name: op.name for op, index in written}
    indices = {graph.tensors[index].name: index for _, index in written}
    traced = trace_module(module, shape_of_samples(x))
    capture(traced)
    orders = {node.name: node.meta.get("order") for node in traced.graph.nodes}
    found: dict[str, Noise] = {}
    for start in range(0, len(x), _BATCH):
        batch = x[start : start + _BATCH]
        integers = reference.trace(graph, quantize_input(graph, batch))

        def observe(value: str, exact: Values, integers: dict[int, Array] = integers) -> None:
            index, tensor = indices[value], graph.tensors[indices[value]]
            if orders[value] is not None and exact[0].numel() == tensor.elements:
                target = exact.numpy().reshape(len(exact), -1)[:, orders[value]]
                target = target.reshape(len(exact), *tensor.shape[1:])
                real = (integers[index] - float(tensor.zero_point)) * tensor.scale
                sums = found.setdefault(names[value], Noise())
                sums.signal += float(np.sum(target.astype(np.float64) ** 2))
                sums.noise += float(np.sum((target - real) ** 2))
                sums.rounding += float(np.sum((target - _on_grid(target, tensor)) ** 2))

        record_values(traced, names.keys(), batch, observe)
    return {name: found[name] for name in names.values() if name in found}


def _on_grid(real: Array, tensor: Tensor) -> Array:
    """`real` rounded to the values that the tensor can hold."""
    low, high = value_range(tensor.dtype)
    integers = np.clip(np.round(real / tensor.scale) + tensor.zero_point, low, high)
    rounded: Array = (integers - float(tensor.zero_point)) * tensor.scale
    return rounded


def layer_sqnr_db(graph: Graph, module: nn.Module, x: Array) -> dict[str, float]:
    """The signal-to-quantization-noise ratio in dB of each operator's output, by operator name.

    10 log10(sum of squares of the float output / sum of squares of float minus integer output), see
    `layer_noise`. Left out are outputs without signal or without noise.
    """
    return {
        name: decibels(sums.signal, sums.noise)
        for name, sums in layer_noise(graph, module, x).items()
        if sums.signal > 0 and sums.noise > 0
    }
