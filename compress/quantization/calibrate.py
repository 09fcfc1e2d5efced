"""Calibration: histograms of a float network's activations over samples."""

from collections.abc import Callable, Set

import numpy as np
import torch
from torch import Tensor as Values
from torch import fx

from compress.errors import Infeasible
from compress.genome import Quantize
from compress.quantization.ranges import BINS, Histogram
from compress.tracing.batches import tensors_of
from compress.types import Array

_BATCH = 64
Observer = Callable[[str, Values], None]


class _Recorder(fx.Interpreter):
    """Runs a traced network and calls `observe` with each of the `values` (names)."""

    def __init__(self, traced: fx.GraphModule, values: Set[str], observe: Observer) -> None:
        super().__init__(traced)
        self.values = values
        self.observe = observe

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        if n.name in self.values and isinstance(value, Values):
            self.observe(n.name, value)
        return value


def calibrate(
    traced: fx.GraphModule, values: Set[str], x: Array, spec: Quantize
) -> dict[str, Histogram]:
    """Histograms of the traced `values` (names) over the samples x float32 (N, C, H, W).

    With "minmax" calibration, which needs only the ends of the range, the bins are left at zero.
    Raises Infeasible for values that are not finite.
    """
    ends: dict[str, tuple[float, float]] = {}
    zeros = dict.fromkeys(values, 0)
    counts = {name: np.zeros(BINS, np.int64) for name in values}

    def observe_ends(name: str, value: Values) -> None:
        low, high = ends.get(name, (np.inf, -np.inf))
        # NumPy's minimum and maximum propagate NaN, which min and max may drop.
        smallest, largest = value.min().item(), value.max().item()
        ends[name] = float(np.minimum(low, smallest)), float(np.maximum(high, largest))

    def count(name: str, value: Values) -> None:
        nonzero = value[value != 0]
        low, high = ends[name]
        zeros[name] += value.numel() - nonzero.numel()
        if low < high:
            counts[name] += torch.histc(nonzero, BINS, low, high).numpy().astype(np.int64)

    record_values(traced, values, x, observe_ends)
    for name, (low, high) in ends.items():
        if not np.isfinite((low, high)).all():
            raise Infeasible(f"{name}: values from {low:g} to {high:g}; training diverged")
    if spec.calibration != "minmax":
        record_values(traced, values, x, count)
    return {name: Histogram(*ends[name], zeros[name], counts[name]) for name in ends}


def record_values(traced: fx.GraphModule, values: Set[str], x: Array, observe: Observer) -> None:
    """Run the samples x (N, C, H, W) and call `observe` with each of the traced `values` (names).

    `observe` gets a value's name and its tensor for one batch. Sets evaluation mode.
    """
    recorder = _Recorder(traced, values, observe)
    traced.eval()
    with torch.no_grad():
        for start in range(0, len(x), _BATCH):
            recorder.run(*tensors_of(x[start : start + _BATCH]))
