"""Ranges and grids: what each value of a network spans, and how training feels int8 rounding.

`compress.lower` turns the same ranges into the integer graph.
"""

from collections.abc import Set
from typing import Any

import numpy as np
import torch
from torch import Tensor as Values
from torch import fx, nn
from torch.nn import functional

from compress.capture import capture, trace
from compress.fuse import fuse
from compress.genome import Quantize
from compress.types import Array

Range = tuple[float, float]

# Kinds of layer whose output has the input's scale and zero point.
SAME_SCALE = ("average_pool", "max_pool", "reshape")
MAX_WEIGHT = 127


class _Recorder(fx.Interpreter):
    """Runs a traced network and keeps a range per value, covering `percentile` % of its elements.

    100 is min/max. Below, the same share is cut from either tail of the non-zero values' ends, as
    the mean over batches (arXiv:2106.08295, section 3.1, "percentile").
    """

    def __init__(self, traced: fx.GraphModule, values: Set[str], percentile: float) -> None:
        super().__init__(traced)
        self.values = values
        self.percentile = percentile
        self.ranges: dict[str, list[Range]] = {}

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        if n.name in self.values and isinstance(value, Values):
            self.ranges.setdefault(n.name, []).append(self._range(value))
        return value

    def _range(self, value: Values) -> Range:
        if self.percentile >= 100.0:
            return float(value.min()), float(value.max())
        tail = (100.0 - self.percentile) / 200.0
        low, high = np.quantile(value.numpy(), (tail, 1.0 - tail))
        return float(low), float(high)

    def result(self) -> dict[str, Range]:
        merged = {}
        for name, seen in self.ranges.items():
            low, high = np.array(seen).T
            whole = self.percentile >= 100.0
            ends = (low.min(), high.max()) if whole else (low.mean(), high.mean())
            merged[name] = (float(ends[0]), float(ends[1]))
        return merged


def calibrate(
    traced: fx.GraphModule, values: Set[str], x: Array, percentile: float, batch: int = 64
) -> dict[str, Range]:
    """Ranges of the traced `values` (names) over the samples x (N, C, H, W)."""
    recorder = _Recorder(traced, values, percentile)
    traced.eval()
    with torch.no_grad():
        for start in range(0, len(x), batch):
            recorder.run(torch.from_numpy(x[start : start + batch]))
    return recorder.result()


def covered(spec: Quantize) -> float:
    """The share in percent of calibration values that an activation range covers."""
    return spec.percentile if spec.calibration == "percentile" else 100.0


def affine(low: float, high: float) -> tuple[float, int]:
    """Scale (a float32 value) and zero point of int8 that represent [low, high] and zero.

    Equations 7-8 of arXiv:2106.08295.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / 255.0)) or 1.0 / 255.0
    return scale, int(np.clip(round(-128 - low / scale), -128, 127))


class FakeQuantized(fx.Interpreter):
    """Runs `module` as its integer graph will compute, in float and with gradients.

    Weights of Conv2d and Linear and the values that the integer graph keeps are rounded to their
    int8 grid; gradients pass straight through inside the range (arXiv:1308.3432). Scaling a channel
    by its batch-norm scales its symmetric grid alike, so rounding the unfolded weights equals
    rounding the folded ones. Shares the module's parameters: training it trains the module.
    """

    def __init__(self, module: nn.Module, spec: Quantize, x: Array) -> None:
        traced = trace(module, x.shape[1:])
        super().__init__(traced)
        layers, source, output = capture(traced)
        kept = {layer.output for layer in fuse(layers, output) if layer.kind not in SAME_SCALE}
        ranges = calibrate(traced, kept | {source}, x, covered(spec))
        self.grids = {name: affine(*ends) for name, ends in ranges.items()}

    def __call__(self, x: Values) -> Values:
        result: Values = self.run(x)
        return result

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        grid = self.grids.get(n.name)
        if grid is None or not isinstance(value, Values):
            return value
        return torch.fake_quantize_per_tensor_affine(value, *grid, -128, 127)

    def call_module(
        self, target: fx.node.Target, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        module = self.fetch_attr(str(target))
        x = args[0]
        if not isinstance(x, Values):
            raise TypeError(f"{target}: {type(x).__name__} instead of a tensor")
        if isinstance(module, nn.Conv2d):
            return module._conv_forward(x, _round_weight(module.weight, 0), module.bias)
        if isinstance(module, nn.Linear):
            return functional.linear(x, _round_weight(module.weight, None), module.bias)
        return super().call_module(target, args, kwargs)


def _round_weight(weight: Values, axis: int | None) -> Values:
    """Weights on their symmetric int8 grid, with a straight-through gradient."""
    with torch.no_grad():
        peak = weight.abs().max() if axis is None else weight.abs().amax((1, 2, 3), keepdim=True)
        scale = torch.where(peak > 0, peak / MAX_WEIGHT, torch.ones_like(peak))
        rounded = torch.round(weight / scale) * scale
    return weight + (rounded - weight).detach()
