"""Recurrent layers on integers: weights of 8 bits with one scale per gate, scales of inner values.

Inside of a layer, values have 16 bits and scales that are powers of two: fine enough that training
only needs to know the weights as they are rounded (`rounded_gates`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor as Values
from torch import fx

from compress.arithmetic.recurrence import GATE_NAMES, STATE_LOG2, wide_scale
from compress.errors import Infeasible
from compress.frontend.layers import Layer
from compress.ops import Recurrence
from compress.quantization.calibrate import record_values
from compress.quantization.weight_grids import (
    WEIGHT_LIMITS,
    LayerWeights,
    WeightRange,
    integer_bias,
    safe_scales,
    weight_peaks,
)
from compress.recurrent.recurrence import CELL_LOG2, SUM_LOG2
from compress.recurrent_layers.layer import RecurrentLayer, run_recurrent
from compress.types import Array, Tensor

_LIMIT = WEIGHT_LIMITS[8]


@dataclass(slots=True)
class InnerPeaks:
    """The largest magnitudes inside of a recurrent layer: of what is added up, of cell states."""

    sums: float = 0.0
    cell: float = 0.0


def inner_peaks(traced: fx.GraphModule, x: Array) -> dict[str, InnerPeaks]:
    """The peaks of each recurrent layer, by name, over the samples x float32 (N, ...)."""
    peaks = {
        str(node.target): InnerPeaks()
        for node in traced.graph.nodes
        if node.op == "call_module"
        and isinstance(traced.get_submodule(str(node.target)), RecurrentLayer)
    }
    if peaks:
        with _watched(traced, peaks):
            record_values(traced, set(), x, lambda name, value: None)
    return peaks


@contextmanager
def _watched(traced: fx.GraphModule, peaks: dict[str, InnerPeaks]) -> Iterator[None]:
    def watch(name: str) -> Any:
        def see(layer: RecurrentLayer, inputs: tuple[Values, ...]) -> None:
            _note_peaks(layer, inputs[0], peaks[name])

        return traced.get_submodule(name).register_forward_pre_hook(see)

    handles = [watch(name) for name in peaks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _note_peaks(layer: RecurrentLayer, x: Values, peaks: InnerPeaks) -> None:
    """Run the layer step by step on x (N, L, I): torch's own does not show what is inside."""
    gates, units = layer.gates, layer.units
    input_bias, hidden_bias = layer.biases or (x.new_zeros(()), x.new_zeros(()))
    own = x @ layer.weight_ih.T + input_bias
    h = c = x.new_zeros(len(x), units)
    for step in range(x.shape[1]):
        from_x = own[:, step].reshape(-1, gates, units)
        from_h = (h @ layer.weight_hh.T + hidden_bias).reshape(-1, gates, units)
        total = from_x + from_h
        largest = max(float(part.abs().max()) for part in (from_x, from_h, total))
        peaks.sums = max(peaks.sums, largest)
        if layer.kind == "gru":
            r, z = torch.sigmoid(total[:, 0]), torch.sigmoid(total[:, 1])
            n = torch.tanh(from_x[:, 2] + r * from_h[:, 2])
            h = n + z * (h - n)
        else:
            i, f, o = (torch.sigmoid(total[:, gate]) for gate in (0, 1, 3))
            c = f * c + i * torch.tanh(total[:, 2])
            h = o * torch.tanh(c)
            peaks.cell = max(peaks.cell, float(c.abs().max()))


def rounded_gates(weight: Values, gates: int, weight_range: WeightRange) -> Values:
    """Weights (gates * U, depth) on their integer grids, one per gate; the gradient passes."""
    with torch.no_grad():
        rows = weight.reshape(gates, -1)
        peaks = torch.from_numpy(weight_peaks(rows.numpy(), _LIMIT, weight_range))
        steps = torch.where(peaks > 0, peaks / _LIMIT, 1.0)[:, None]
        rounded = (rows / steps).round().clamp(-_LIMIT, _LIMIT) * steps
    return weight + (rounded.reshape(weight.shape) - weight).detach()


def run_rounded(layer: RecurrentLayer, x: Values, weight_range: WeightRange) -> Values:
    """The states (N, L, U) of the layer with the weights that integers represent."""
    weights = tuple(
        rounded_gates(weight, layer.gates, weight_range)
        for weight in (layer.weight_ih, layer.weight_hh)
    )
    return run_recurrent(layer.kind, x, (weights[0], weights[1]), layer.biases)


@dataclass(frozen=True, slots=True, eq=False)
class RecurrentConstants:
    """The constant tensors of a recurrent layer by gate, and the exponents of its inner scales."""

    input_weights: tuple[Tensor, ...]
    recurrent_weights: tuple[Tensor, ...]
    input_biases: tuple[Tensor, ...]
    recurrent_biases: tuple[Tensor, ...]
    sum_log2: int
    cell_log2: int

    def operator(self, layer: Layer, source: int, output: int, indices: list[int]) -> Recurrence:
        """The operator whose constants, in the order of the fields, have these indices."""
        if layer.gates is None:
            raise TypeError(f"{layer.name}: not a recurrent layer")
        count = len(self.input_weights)
        own, other, own_bias, other_bias = (
            tuple(indices[start : start + count]) for start in range(0, 4 * count, count)
        )
        return Recurrence(
            layer.name,
            source,
            own,
            other,
            own_bias,
            other_bias,
            output,
            layer.gates.kind,
            self.sum_log2,
            self.cell_log2,
        )


def recurrent_constants(
    layer: Layer, x: Tensor, peaks: InnerPeaks, weight_range: WeightRange
) -> RecurrentConstants:
    """The constants of the recurrent `layer` that reads the tensor `x`.

    Both biases of a gate are added up with the input's, but for the last gate of a GRU, where the
    reset gate multiplies one of them. Raises Infeasible for values that are not finite.
    """
    if layer.gates is None:
        raise TypeError(f"{layer.name}: not a recurrent layer")
    if not math.isfinite(peaks.sums + peaks.cell):
        raise Infeasible(f"{layer.name}: values that are not finite; training diverged")
    g, input_biases, recurrent_biases = layer.gates, [], []
    for gate, name in enumerate(GATE_NAMES[g.kind]):
        own, other = g.input_biases[gate], g.recurrent_biases[gate]
        joined = (own, other) if name == "new" else (own + other, np.zeros_like(other))
        input_biases.append(joined[0])
        recurrent_biases.append(joined[1])
    sides = (
        ("input", wide_scale(x), g.input_weights, input_biases),
        ("recurrent", 2.0**STATE_LOG2, g.recurrent_weights, recurrent_biases),
    )
    weights: dict[str, tuple[Tensor, ...]] = {}
    biases: dict[str, tuple[Tensor, ...]] = {}
    for side, scale, values, added in sides:
        pairs = [
            _pair(f"{layer.name}.{gate}.{side}", weight, bias, scale, weight_range)
            for gate, weight, bias in zip(GATE_NAMES[g.kind], values, added, strict=True)
        ]
        weights[side], biases[side] = zip(*pairs, strict=True)
    return RecurrentConstants(
        weights["input"],
        weights["recurrent"],
        biases["input"],
        biases["recurrent"],
        sum_log2=_finest(peaks.sums, SUM_LOG2),
        cell_log2=_finest(peaks.cell, CELL_LOG2) if g.kind == "lstm" else 0,
    )


def _pair(
    name: str, weight: Array, bias: Array, input_scale: float, weight_range: WeightRange
) -> tuple[Tensor, Tensor]:
    """The weight and bias tensors of one side of a gate."""
    peaks = weight_peaks(weight.reshape(1, -1), _LIMIT, weight_range)
    scales = safe_scales(peaks / _LIMIT, bias, input_scale)
    values = np.clip(np.round(weight / scales.astype(np.float64)), -_LIMIT, _LIMIT).astype(np.int8)
    held = LayerWeights(weight, scales, values, bias, bits=8, axis=None)
    integers, bias_scales = integer_bias(held, input_scale)
    return (
        Tensor(f"{name}.weight", values.shape, "int8", tuple(map(float, scales)), data=values),
        Tensor(f"{name}.bias", bias.shape, "int32", tuple(map(float, bias_scales)), data=integers),
    )


def _finest(peak: float, allowed: range) -> int:
    """The exponent of the smallest allowed scale at which an int16 holds `peak`.

    Values beyond the coarsest are clamped, where both functions are saturated long since.
    """
    return next((log2 for log2 in allowed if peak <= 2.0 ** (log2 + 15)), allowed[-1])
