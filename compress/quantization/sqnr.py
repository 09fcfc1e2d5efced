"""How much of each layer's output is rounding noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.frontend.capture import trace_module
from compress.integer import reference
from compress.quantization.fake_quantize import record
from compress.quantization.lower import quantize_input
from compress.types import Array, Graph

if TYPE_CHECKING:
    from torch import Tensor, nn

_BATCH = 64


def layer_sqnr_db(graph: Graph, module: nn.Module, x: Array) -> dict[str, float]:
    """Signal to quantization noise, in dB, of each operator's output over x (N, C, H, W).

    10 log10(sum of squares of the float value / of its difference to the integer one), both made
    from the samples x by the whole network up to there: by `module`, and by the `graph` that
    `compress.quantization.lower` made of it. By the operators' names. Left out are conversions
    between types, outputs without any noise, and those of which channels have been cut since.
    """
    names = {graph.tensors[op.output].name: op.name for op in graph.ops}
    indices = {graph.tensors[op.output].name: op.output for op in graph.ops}
    traced = trace_module(module, x.shape[1:])
    signal, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for start in range(0, len(x), _BATCH):
        batch = x[start : start + _BATCH]
        whole = reference.trace(graph, quantize_input(graph, batch))

        def see(value: str, exact: Tensor, whole: dict[int, Array] = whole) -> None:
            wanted = exact.numpy()
            wanted = wanted.transpose(0, 2, 3, 1) if wanted.ndim == 4 else wanted
            tensor = graph.tensors[indices[value]]
            if tensor.shape[1:] == wanted.shape[1:]:
                real = (whole[indices[value]] - float(tensor.zero_point)) * tensor.scale
                signal[value] += float(np.sum(wanted.astype(np.float64) ** 2))
                noise[value] += float(np.sum((wanted - real) ** 2))

        record(traced, names.keys(), batch, see)
    return {
        name: float(10 * np.log10(signal[value] / noise[value]))
        for value, name in names.items()
        if signal[value] > 0 and noise[value] > 0
    }
