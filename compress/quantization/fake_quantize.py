"""Fake quantization: a float network that computes on the integer graph's grids, with gradients.

`compress.quantization.lower` builds the integer graph from the same grids.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor as Values
from torch import fx, nn
from torch.nn import functional

from compress.frontend.capture import capture, trace_module
from compress.frontend.fuse import fuse
from compress.frontend.layers import Layer
from compress.genome import Quantize
from compress.inputs import shape_of_samples, shapes_of
from compress.quantization.calibrate import calibrate
from compress.quantization.fake_weights import (
    Factor,
    WeightRounding,
    norm_factor,
    outputs_first,
    weight_roundings,
)
from compress.quantization.grids import (
    MOVES,
    Grids,
    calibrated_values,
    call_names,
    weighted_layer_names,
)
from compress.quantization.lsq import PartOfSteps, StepSize, straight_through
from compress.quantization.recurrent_weights import run_rounded
from compress.quantization.scheme import Grid, Learned, Scheme
from compress.quantization.weight_grids import constant_grid
from compress.recurrent_layers.layer import RecurrentLayer
from compress.tracing.answers import Answer, joined
from compress.types import Array, InputShape

Rounding = Callable[[Values], Values]


def weighted_layers(module: nn.Module, input_shape: InputShape) -> tuple[str, ...]:
    """Names of the weighted layers (conv, depthwise, linear) in the order of execution.

    Raises UnsupportedLayer.
    """
    layers, _, _ = capture(trace_module(module, input_shape))
    return weighted_layer_names(layers)


class FakeQuantized(fx.Interpreter):
    """Fake-quantized `module`: computes in float what its integer graph computes, with gradients.

    The weights of Conv2d, Linear and recurrent layers, and the values that the integer graph
    stores, are rounded to their grids; values inside of a recurrent layer, of 16 bits, are not.
    Gradients use the straight-through estimator inside the range (arXiv:1308.3432).
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
        shape = shape_of_samples(x)
        traced = trace_module(module, shape)
        super().__init__(traced)
        captured, sources, outputs = capture(traced)
        fused = fuse(captured, outputs)
        scheme = Scheme(spec, layers or weighted_layer_names(captured))
        known = learned if learned is not None and spec.learn_ranges else Learned()
        histograms = calibrate(traced, calibrated_values(fused, sources), x, spec)
        self.grids = Grids(fused, sources, scheme, histograms, known, outputs)
        self.learns = spec.learn_ranges
        self.input_elements = dict(zip(sources, map(math.prod, shapes_of(shape)), strict=True))
        self.steps: dict[str, StepSize] = {}
        self._moved = {
            layer.output: layer.inputs[0]
            for layer in fused
            if layer.kind in ("reshape", "transpose")
        }
        self.roundings = self._roundings()
        self.narrowings = self._narrowings(outputs)
        self.calls = call_names(captured)
        self._captured = captured
        self._narrow: nn.Module | None = None
        self.weights = self._weight_roundings({})
        self.weight_steps: dict[str, StepSize] = {}
        if self.learns:
            names = {layer.output: layer.name for layer in captured}
            for value, rounding in self.weights.items():
                weight = outputs_first(self._submodule(names[value]))
                self.weight_steps[value] = rounding.learn(
                    weight, known.peaks.get(self.calls[value])
                )
        self._running = ""  # the name of the traced operation that runs

    def __call__(self, *x: Values) -> Values:
        result: Answer = self.run(*x)
        return joined(result)

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
        peaks = {self.calls[value]: self.weights[value].peaks() for value in self.weight_steps}
        return Learned(grids, peaks)

    def _roundings(self) -> dict[str, Rounding]:
        """Fake quantizers by value name.

        Values that share a grid share its step size. What only moves elements, as a max pool,
        needs no rounding: they are on the grid already. Constant operands of sums and products are
        values, too, by the name of the traced operation that makes them.
        """
        layers = self.grids.layers
        sizes = self.input_elements | {layer.output: math.prod(layer.shape) for layer in layers}
        kinds = {
            **dict.fromkeys(self.grids.sources, "input"),
            **{layer.output: layer.kind for layer in layers},
        }
        roundings: dict[str, Rounding] = {}
        for value in kinds:
            if self.grids.root(value) == value:
                grid = self.grids.of(value)
                roundings[value] = fake_quantizer(grid)
                if self.learns and not self.grids.is_fixed(value):
                    step, ends = torch.tensor(grid.scale), (grid.lowest, grid.highest)
                    self.steps[value] = StepSize(step, grid.zero_point, ends, sizes[value])
                    roundings[value] = self.steps[value]
        for value, kind in kinds.items():
            if value not in roundings and (kind == "pad" or kind not in MOVES):
                roundings[value] = roundings[self.grids.root(value)]
        constants = {layer.constant for layer in layers if layer.kind in ("add", "mul")} - {""}
        compared = {
            layer.constant: roundings[self.grids.root(layer.output)]
            for layer in layers
            if layer.kind in ("minimum", "maximum") and layer.constant
        }
        return {**roundings, **dict.fromkeys(constants, _rounded_constant), **compared}

    def narrowed(self, layers: nn.Module, rows: Mapping[str, Values]) -> FakeQuantized:
        """This fake quantization of narrower `layers`, which have the names of the traced ones.

        Grids of activations and learned step sizes are those of this one, shared: training one
        trains both. `rows` has the indices of the outputs that are left of a layer, by name, where
        not all are.
        """
        made = copy.copy(self)
        made.env, made._narrow = {}, layers
        made.weights = made._weight_roundings(rows)
        for layer in self._captured:
            step = self.weight_steps.get(layer.output)
            if step is not None:
                rounding, left = made.weights[layer.output], rows.get(layer.name)
                if left is None or not rounding.per_channel:
                    rounding.step_size = step
                else:
                    rounding.step_size = PartOfSteps(step, left)
        return made

    def fetch_attr(self, target: str) -> Any:
        """What the traced network has at this name, or the narrower layers if they have it."""
        if self._narrow is not None:
            with suppress(AttributeError):
                return attrgetter(target)(self._narrow)
        return super().fetch_attr(target)

    def _weight_roundings(self, rows: Mapping[str, Values]) -> dict[str, WeightRounding]:
        """Fake quantizers of the weights, by output value: a layer that runs twice has two.

        Another batch-norm may follow each run, and the inputs may differ in bits.
        """

        def factor(norm: Layer, layer: Layer) -> Factor:
            return self._factor(norm, rows.get(layer.name))

        return weight_roundings(self._captured, self.grids.layers, self.grids.scheme, factor)

    def _factor(self, layer: Layer, rows: Values | None) -> Factor:
        """What a folded batch-norm, or a constant, multiplies each channel's weights by.

        Of the channels `rows`, if these alone are left.
        """
        if layer.kind == "batch_norm":
            norm: Any = self._submodule(layer.name)
            return lambda: norm_factor(norm)
        constant = torch.from_numpy(layer.weight)
        constant = constant if rows is None else constant[rows]
        return lambda: constant

    def _narrowings(self, outputs: tuple[str, ...]) -> dict[tuple[str, str], Rounding]:
        """Fake quantizers of values that an operation converts to fewer bits.

        By the names of the traced operation and of the value.
        """
        bits, narrowings = self.grids.bits, dict[tuple[str, str], Rounding]()
        for output in outputs:
            if bits[output] > 8:
                narrow = fake_quantizer(self.grids.of(output, 8))
                narrowings["output", self._unmoved(output)] = narrow
        for layer in self.grids.layers:
            for value in layer.inputs:
                grid = self.grids.read_by(layer, value)
                if bits[value] > grid.bits:
                    narrowings[layer.node, self._unmoved(value)] = fake_quantizer(grid)
        return narrowings

    def _unmoved(self, value: str) -> str:
        """The value that `value` is a reshape or transposition of: what is traced may be either."""
        while value in self._moved:
            value = self._moved[value]
        return value

    def run_node(self, n: fx.Node) -> object:
        self._running = n.name
        value = super().run_node(n)
        rounding = self.roundings.get(n.name)
        return value if rounding is None or not isinstance(value, Values) else rounding(value)

    def fetch_args_kwargs_from_env(self, n: fx.Node) -> Any:
        def fetch(operand: fx.Node) -> Any:
            value = self.env[operand]
            read = self._unmoved(operand.meta.get("value", ""))
            narrowed = self.narrowings.get((n.name, read))
            return value if narrowed is None else narrowed(value)

        return fx.node.map_arg(n.args, fetch), fx.node.map_arg(n.kwargs, fetch)

    def call_module(
        self, target: fx.node.Target, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        module = self._submodule(str(target))
        x = args[0]
        if not isinstance(x, Values):
            raise TypeError(f"{target}: input is a {type(x).__name__}, not a tensor")
        if isinstance(module, RecurrentLayer):
            return run_rounded(module, x, self.grids.scheme.spec.weight_range)
        # None for a layer that the output does not depend on.
        rounding = self.weights.get(self._running)
        if rounding is not None and isinstance(module, nn.Conv2d | nn.Conv1d):
            return module._conv_forward(x, rounding(module.weight), module.bias)
        if rounding is not None and isinstance(module, nn.Linear):
            return functional.linear(x, rounding(module.weight), module.bias)
        if rounding is not None and isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d):
            weight = rounding(outputs_first(module)).swapaxes(0, 1)
            convolve: Any = functional.conv_transpose2d
            if isinstance(module, nn.ConvTranspose1d):
                convolve = functional.conv_transpose1d
            geometry = (module.stride, module.padding, module.output_padding)
            return convolve(x, weight, module.bias, *geometry)
        if isinstance(module, nn.PReLU) and module.weight.numel() > 1:
            return functional.prelu(x, _rounded_constant(module.weight))
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


def _rounded_constant(x: Values) -> Values:
    """A constant operand on the grid that it has in the integer graph; it may be in training."""
    return fake_quantizer(constant_grid(x.detach().numpy()))(x)


def fake_quantizer(grid: Grid) -> Rounding:
    """A function that rounds values to `grid`, with gradient 1 inside its range and 0 outside."""
    low, high = grid.lowest - grid.zero_point, grid.highest - grid.zero_point

    def rounding(x: Values) -> Values:
        rounded: Values = _FakeQuantize.apply(x, grid.scale, low, high)  # type: ignore[no-untyped-call]
        return rounded

    return rounding
