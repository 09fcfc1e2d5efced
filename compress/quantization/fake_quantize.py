"""Ranges and grids: what each value of a network spans, and how training feels integer rounding.

`compress.quantization.lower` turns the same grids into the integer graph.
"""

import math
from collections.abc import Callable, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor as Values
from torch import fx, nn
from torch.nn import functional

from compress.errors import Infeasible
from compress.frontend.capture import capture, trace_module
from compress.frontend.fuse import fuse
from compress.frontend.layers import Layer
from compress.genome import Quantize
from compress.quantization.fake_weights import WeightRounding
from compress.quantization.grids import WEIGHTED, Grids, calibrated_values, weighted_layer_names
from compress.quantization.lsq import StepSize, inside
from compress.quantization.ranges import BINS, Histogram
from compress.quantization.scheme import Grid, Learned, Scheme
from compress.types import Array

_BATCH = 64
# Kinds of layer that fusing may join to others.
_MERGED = ("batch_norm", "pad", "activation")
Rounding = Callable[[Values], Values]


def weighted_layers(module: nn.Module, input_shape: tuple[int, ...]) -> tuple[str, ...]:
    """Names of the weighted layers (conv, depthwise, linear) in the order of execution.

    `input_shape` is (C, H, W). Raises UnsupportedLayer.
    """
    layers, _, _ = capture(trace_module(module, input_shape))
    return weighted_layer_names(layers)


class _Recorder(fx.Interpreter):
    """Runs a traced network and shows each of the `values` (names) to `see`."""

    def __init__(
        self, traced: fx.GraphModule, values: Set[str], see: Callable[[str, Values], None]
    ) -> None:
        super().__init__(traced)
        self.values = values
        self.see = see

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        if n.name in self.values and isinstance(value, Values):
            self.see(n.name, value)
        return value


def calibrate(
    traced: fx.GraphModule, values: Set[str], x: Array, spec: Quantize
) -> dict[str, Histogram]:
    """What the traced `values` (names) were over the samples x (N, C, H, W).

    The bins stay empty where `spec.calibration` looks at the ends only. Raises Infeasible for
    values that are not finite.
    """
    ends: dict[str, tuple[float, float]] = {}
    zeros = dict.fromkeys(values, 0)
    counts = {name: np.zeros(BINS, np.int64) for name in values}

    def see_ends(name: str, value: Values) -> None:
        low, high = ends.get(name, (np.inf, -np.inf))
        ends[name] = float(np.minimum(low, value.min())), float(np.maximum(high, value.max()))

    def see_all(name: str, value: Values) -> None:
        others = value[value != 0]
        low, high = ends[name]
        zeros[name] += value.numel() - others.numel()
        if low < high:
            counts[name] += torch.histc(others, BINS, low, high).numpy().astype(np.int64)

    record(traced, values, x, see_ends)
    for name, seen in ends.items():
        if not np.isfinite(seen).all():
            raise Infeasible(f"{name}: values from {seen[0]:g} to {seen[1]:g}; training diverged")
    if spec.calibration != "minmax":
        record(traced, values, x, see_all)
    return {name: Histogram(*ends[name], zeros[name], counts[name]) for name in ends}


def record(
    traced: fx.GraphModule, values: Set[str], x: Array, see: Callable[[str, Values], None]
) -> None:
    """Run the samples x (N, C, H, W) and show each of the traced `values` (names) to `see`.

    In batches, without gradients; of a value that a batch makes, `see` gets all elements.
    """
    recorder = _Recorder(traced, values, see)
    traced.eval()
    with torch.no_grad():
        for start in range(0, len(x), _BATCH):
            recorder.run(torch.from_numpy(x[start : start + _BATCH]))


class FakeQuantized(fx.Interpreter):
    """Runs `module` as its integer graph will compute, in float and with gradients.

    Weights of Conv2d and Linear and the values that the integer graph keeps are rounded to their
    grids; gradients pass straight through inside the range (arXiv:1308.3432). Shares the module's
    parameters: training it trains the module. With `learn_ranges` the steps of the grids train
    along, if `parameters_to_learn` are given to the optimizer; they start from `learned` ones where
    those fit, else from calibration on x (N, C, H, W). `layers` as in
    `compress.quantization.lower.lower`.
    """

    def __init__(
        self,
        module: nn.Module,
        spec: Quantize,
        x: Array,
        layers: tuple[str, ...] = (),
        learned: Learned | None = None,
    ) -> None:
        traced = trace_module(module, x.shape[1:])
        super().__init__(traced)
        captured, source, output = capture(traced)
        fused = fuse(captured, output)
        scheme = Scheme(spec, layers or weighted_layer_names(captured))
        known = learned if learned is not None and spec.learn_ranges else Learned()
        seen = calibrate(traced, calibrated_values(fused, source), x, spec)
        self.grids = Grids(fused, source, scheme, seen, known)
        self.learns = spec.learn_ranges
        self.input_elements = math.prod(x.shape[1:])
        self.steps: dict[str, StepSize] = {}
        self.roundings = self._roundings()
        self.narrowings = self._narrowings(captured, output)
        self.weights = self._weight_roundings(captured)
        self.weight_steps: dict[str, StepSize] = {}
        if self.learns:
            for name, rounding in self.weights.items():
                weight: Any = self._submodule(name).weight
                self.weight_steps[name] = rounding.learn(weight, known.peaks.get(name))

    def __call__(self, x: Values) -> Values:
        result: Values = self.run(x)
        return result

    @property
    def parameters_to_learn(self) -> tuple[nn.Parameter, ...]:
        """The logarithms of all steps; none without `learn_ranges`."""
        sizes = (*self.steps.values(), *self.weight_steps.values())
        return tuple(size.change for size in sizes)

    def learned(self) -> Learned:
        """The steps as they are now, for `lower`; nothing without `learn_ranges`."""
        grids = {
            value: Grid(size.step.item(), size.zero_point, self.grids.bits[value])
            for value, size in self.steps.items()
        }
        return Learned(grids, {name: self.weights[name].peaks() for name in self.weight_steps})

    def _roundings(self) -> dict[str, Rounding]:
        """By value; what shares its input's grid shares its step. A maximum is on it already."""
        source, layers = self.grids.source, self.grids.layers
        sizes = {layer.output: math.prod(layer.shape) for layer in layers}
        kinds = {source: "input", **{layer.output: layer.kind for layer in layers}}
        roundings: dict[str, Rounding] = {}
        for value, kind in kinds.items():
            root = self.grids.root(value)
            if root == value:
                grid = self.grids.of(value)
                roundings[value] = fake_quantizer(grid)
                if self.learns and kind != "softmax":
                    features = sizes.get(value, self.input_elements)
                    step, ends = torch.tensor(grid.scale), (grid.lowest, grid.highest)
                    self.steps[value] = StepSize(step, grid.zero_point, ends, features)
                    roundings[value] = self.steps[value]
            elif kind != "max_pool":
                roundings[value] = roundings[root]
        return roundings

    def _weight_roundings(self, layers: tuple[Layer, ...]) -> dict[str, WeightRounding]:
        norms = {layer.inputs[0]: layer.name for layer in layers if layer.kind == "batch_norm"}
        roundings = {}
        for layer in layers:
            if layer.kind in WEIGHTED:
                norm: Any = self._submodule(norms[layer.output]) if layer.output in norms else None
                roundings[layer.name] = WeightRounding(layer, self.grids.scheme, norm)
        return roundings

    def _narrowings(self, layers: tuple[Layer, ...], output: str) -> dict[str, Rounding]:
        """By the traced operation that reads a value in fewer bits than the value has."""
        bits, fused = self.grids.bits, self.grids.layers
        narrowings = (
            {"output": fake_quantizer(self.grids.of(output, 8))} if bits[output] > 8 else {}
        )
        first = [layer for layer in layers if layer.kind not in _MERGED]
        whole = [layer for layer in fused if layer.kind not in _MERGED]
        for begun, layer in zip(first, whole, strict=True):
            for value in layer.inputs:
                if bits[value] > bits[layer.output]:
                    narrowings[begun.output] = fake_quantizer(
                        self.grids.of(value, bits[layer.output])
                    )
        return narrowings

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        rounding = self.roundings.get(n.name)
        return value if rounding is None or not isinstance(value, Values) else rounding(value)

    def fetch_args_kwargs_from_env(self, n: fx.Node) -> Any:
        args, kwargs = super().fetch_args_kwargs_from_env(n)
        narrowed = self.narrowings.get(n.name)
        if narrowed is not None:
            args = tuple(narrowed(a) if isinstance(a, Values) else a for a in args)
        return args, kwargs

    def call_module(
        self, target: fx.node.Target, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        name = str(target)
        module = self._submodule(name)
        x = args[0]
        if not isinstance(x, Values):
            raise TypeError(f"{target}: {type(x).__name__} instead of a tensor")
        if isinstance(module, nn.Conv2d):
            return module._conv_forward(x, self.weights[name](module.weight), module.bias)
        if isinstance(module, nn.Linear):
            return functional.linear(x, self.weights[name](module.weight), module.bias)
        return super().call_module(target, args, kwargs)

    def _submodule(self, name: str) -> nn.Module:
        found: nn.Module = self.fetch_attr(name)
        return found


class _OnGrid(torch.autograd.Function):
    """torch.fake_quantize_per_tensor_affine, in few passes that the compiler could vectorize."""

    @staticmethod
    def forward(ctx: Any, x: Values, scale: float, low: int, high: int) -> Values:
        whole = (x * (1.0 / scale)).round_()
        ctx.save_for_backward(whole)
        ctx.ends = low, high
        return whole.clamp(low, high).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Values) -> Any:
        return inside(grads[0], *ctx.saved_tensors, *ctx.ends), None, None, None


def fake_quantizer(grid: Grid) -> Rounding:
    """What rounds values to `grid`, with a gradient of 1 inside its range and 0 outside."""
    low, high = grid.lowest - grid.zero_point, grid.highest - grid.zero_point

    def rounding(x: Values) -> Values:
        rounded: Values = _OnGrid.apply(x, grid.scale, low, high)  # type: ignore[no-untyped-call]
        return rounded

    return rounding
