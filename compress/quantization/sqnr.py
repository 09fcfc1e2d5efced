"""Signal-to-quantization-noise ratio of each layer's output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.frontend.capture import trace_module
from compress.integer import reference
from compress.ops import outputs_of
from compress.quantization.calibrate import record_values
from compress.quantization.lower import quantize_input
from compress.types import Array, Graph

if TYPE_CHECKING:
    from torch import Tensor, nn

_BATCH = 64


def layer_sqnr_db(graph: Graph, module: nn.Module, x: Array) -> dict[str, float]:
    """The signal-to-quantization-noise ratio in dB of each operator's output, by operator name.

    10 log10(sum of squares of the float output / sum of squares of float minus integer output)
    over the samples x float32 (N, C, H, W). The float output is that of `module`, the integer one
    that of the `graph` lowered from it; both networks run from the input, so the noise of earlier
    layers is included. Left out are conversions between types, outputs without noise, and outputs
    that have lost channels since lowering.
    """
    written = [(op, index) for op in graph.ops for index in outputs_of(op)]
    names = {graph.tensors[index].name: op.name for op, index in written}
    indices = {graph.tensors[index].name: index for _, index in written}
    traced = trace_module(module, x.shape[1:])
    signal, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for start in range(0, len(x), _BATCH):
        batch = x[start : start + _BATCH]
        integers = reference.trace(graph, quantize_input(graph, batch))

        def observe(value: str, exact: Tensor, integers: dict[int, Array] = integers) -> None:
            target = exact.numpy()
            target = target.transpose(0, 2, 3, 1) if target.ndim == 4 else target
            tensor = graph.tensors[indices[value]]
            if tensor.shape[1:] == target.shape[1:]:
                real = (integers[indices[value]] - float(tensor.zero_point)) * tensor.scale
                signal[value] += float(np.sum(target.astype(np.float64) ** 2))
                noise[value] += float(np.sum((target - real) ** 2))

        record_values(traced, names.keys(), batch, observe)
    return {
        name: float(10 * np.log10(signal[value] / noise[value]))
        for value, name in names.items()
        if signal[value] > 0 and noise[value] > 0
    }
