"""Fake quantization: a float network that computes on the integer graph's grids, with gradients.

`compress.quantization.lower` builds the integer graph from the same grids.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor as Values
from torch import fx, nn
from torch.nn import functional

from compress.frontend.capture import capture, trace_module
from compress.frontend.fuse import fuse
from compress.frontend.layers import Layer
from compress.genome import Quantize
from compress.quantization.calibrate import calibrate
from compress.quantization.fake_weights import WeightRounding
from compress.quantization.grids import WEIGHTED, Grids, calibrated_values, weighted_layer_names
from compress.quantization.lsq import StepSize, straight_through
from compress.quantization.scheme import Grid, Learned, Scheme
from compress.types import Array

# Kinds of layer that fusing may merge into others.
_MERGED = ("batch_norm", "pad", "activation")
Rounding = Callable[[Values], Values]


def weighted_layers(module: nn.Module, input_shape: tuple[int, ...]) -> tuple[str, ...]:
    """Names of the weighted layers (conv, depthwise, linear) in the order of execution.

    `input_shape` is (C, H, W). Raises UnsupportedLayer.
    """
    layers, _, _ = capture(trace_module(module, input_shape))
    return weighted_layer_names(layers)


class FakeQuantized(fx.Interpreter):
    """Fake-quantized `module`: computes in float what its integer graph computes, with gradients.

    The weights of Conv2d and Linear, and the values that the integer graph stores, are rounded to
    their grids. Gradients use the straight-through estimator inside the range (arXiv:1308.3432).
    The module's parameters are shared: training this trains the module.

    With `spec.learn_ranges` the step sizes of the grids are trained too, if the optimizer is given
    `parameters_to_learn`. They start from `learned` ones where those fit, else from calibration on
    x float32 (N, C, H, W). `layers` as in `compress.quantization.lower.lower`.
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
        histograms = calibrate(traced, calibrated_values(fused, source), x, spec)
        self.grids = Grids(fused, source, scheme, histograms, known)
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
        """The parameters of all learned step sizes; none without `learn_ranges`."""
        sizes = (*self.steps.values(), *self.weight_steps.values())
        return tuple(size.log_ratio for size in sizes)

    def learned(self) -> Learned:
        """The present learned step sizes, for `lower`; empty without `learn_ranges`."""
        grids = {
            value: Grid(size.step.item(), size.zero_point, self.grids.bits[value])
            for value, size in self.steps.items()
        }
        return Learned(grids, {name: self.weights[name].peaks() for name in self.weight_steps})

    def _roundings(self) -> dict[str, Rounding]:
        """Fake quantizers by value name.

        Values that share a grid share its step size. The output of a max pool needs no rounding,
        as its elements are on the grid already.
        """
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
        """Fake quantizers of the weights, by layer name."""
        norms = {layer.inputs[0]: layer.name for layer in layers if layer.kind == "batch_norm"}
        roundings = {}
        for layer in layers:
            if layer.kind in WEIGHTED:
                norm: Any = self._submodule(norms[layer.output]) if layer.output in norms else None
                roundings[layer.name] = WeightRounding(layer, self.grids.scheme, norm)
        return roundings

    def _narrowings(self, layers: tuple[Layer, ...], output: str) -> dict[str, Rounding]:
        """Fake quantizers of inputs, by the traced operation that converts them to fewer bits."""
        bits, fused = self.grids.bits, self.grids.layers
        narrowings = (
            {"output": fake_quantizer(self.grids.of(output, 8))} if bits[output] > 8 else {}
        )
        # Fusing keeps the order of the layers and merges only the kinds in _MERGED, so that both
        # lists pair each traced operation with the fused layer that it starts.
        traced = [layer for layer in layers if layer.kind not in _MERGED]
        whole = [layer for layer in fused if layer.kind not in _MERGED]
        for operation, layer in zip(traced, whole, strict=True):
            for value in layer.inputs:
                if bits[value] > bits[layer.output]:
                    narrowings[operation.output] = fake_quantizer(
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
            raise TypeError(f"{target}: input is a {type(x).__name__}, not a tensor")
        if isinstance(module, nn.Conv2d):
            return module._conv_forward(x, self.weights[name](module.weight), module.bias)
        if isinstance(module, nn.Linear):
            return functional.linear(x, self.weights[name](module.weight), module.bias)
        return super().call_module(target, args, kwargs)

    def _submodule(self, name: str) -> nn.Module:
        found: nn.Module = self.fetch_attr(name)
        return found


class _FakeQuantize(torch.autograd.Function):
    """scale * clip(round(x / scale), low, high), with a straight-through gradient inside the range.

    Computes what torch.fake_quantize_per_tensor_affine does, in fewer and vectorized passes.
    """

    @staticmethod
    def forward(ctx: Any, x: Values, scale: float, low: int, high: int) -> Values:
        integers = (x * (1.0 / scale)).round_()
        ctx.save_for_backward(integers)
        ctx.ends = low, high
        return integers.clamp(low, high).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Values) -> Any:
        return straight_through(grads[0], *ctx.saved_tensors, *ctx.ends), None, None, None


def fake_quantizer(grid: Grid) -> Rounding:
    """A function that rounds values to `grid`, with gradient 1 inside its range and 0 outside."""
    low, high = grid.lowest - grid.zero_point, grid.highest - grid.zero_point

    def rounding(x: Values) -> Values:
        rounded: Values = _FakeQuantize.apply(x, grid.scale, low, high)  # type: ignore[no-untyped-call]
        return rounded

    return rounding
