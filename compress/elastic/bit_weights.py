"""Weights of an elastic network at several bit widths, each with step sizes of its own.

A sub-network has bits for each of its layers. The weights are shared; each width of bits rounds
them with step sizes that are learned for it (LSQ, arXiv:1902.08153), as in AdaBits
(arXiv:1912.09666). Activations stay float. Whole weights are rounded, then sliced: with a step per
channel, or one per tensor, that is the same as the other way around.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from compress.errors import Infeasible
from compress.frontend.capture import capture, trace_module
from compress.frontend.fuse import fuse
from compress.frontend.layers import Layer
from compress.genome import Quantize
from compress.quantization.fake_weights import (
    Factor,
    WeightRounding,
    norm_factor,
    outputs_first,
    weight_roundings,
)
from compress.quantization.grids import call_names, weighted_layer_names
from compress.quantization.lsq import StepSize
from compress.quantization.scheme import WEIGHT_BITS, Scheme
from compress.tracing.normalize import copied
from compress.types import Array, InputShape

# Step sizes by bits and name of the layer, float32 (channels,), or (1,) where a layer has one for
# the whole tensor: then it is that of the weights with the batch-norm folded in.
Steps = Mapping[int, Mapping[str, Array]]
# The bits of each weighted layer, by name.
BitsByLayer = Mapping[str, int]


def check_widths(bits: Sequence[int]) -> None:
    """Raises Infeasible for bits that an elastic network cannot be trained for."""
    if len(set(bits)) != len(bits) or not set(bits) <= set(WEIGHT_BITS):
        allowed = ", ".join(map(str, WEIGHT_BITS))
        raise Infeasible(f"elastic bits {tuple(bits)}: allowed are {allowed}, each once")


def bits_of_pick(bits: Sequence[int], layers: tuple[str, ...], names: Sequence[str]) -> BitsByLayer:
    """The bits of the present layers `names`; `bits` are one, or one per original layer `layers`.

    Raises Infeasible for another number of them, and for bits that weights cannot have.
    """
    scheme = Scheme(Quantize(tuple(bits)), layers)
    return {name: scheme.of(name).weights for name in names}


class BitWeights:
    """The weights of `module` for each of the widths `bits`, with the step sizes to learn.

    These start from `known` ones, or from the steps of least squared error. Raises Infeasible where
    known ones are not those of this network. The mode (training or evaluation) stays as it is.
    """

    def __init__(
        self,
        module: nn.Module,
        input_shape: InputShape,
        bits: Sequence[int],
        known: Steps | None = None,
    ) -> None:
        training = module.training
        captured, _, outputs = capture(trace_module(module, input_shape))
        module.train(training)
        self.module = module
        self.bits = tuple(bits)
        self.names = weighted_layer_names(captured)
        self._kinds = {layer.name: layer.kind for layer in captured}
        self._calls = call_names(captured)
        self._runs: dict[int, dict[str, WeightRounding]] = {}
        self._first: dict[int, dict[str, WeightRounding]] = {}
        fused = fuse(captured, outputs)
        for width in self.bits:
            scheme = Scheme(Quantize((width,)), self.names)
            runs = weight_roundings(captured, fused, scheme, self._factor)
            self._runs[width], self._first[width] = runs, {}
            for layer in captured:
                if layer.output in runs:
                    self._share_step(layer, runs[layer.output], width, known)

    @property
    def parameters_to_learn(self) -> tuple[nn.Parameter, ...]:
        """The parameters of all step sizes."""
        return tuple(
            self._step(width, name).log_ratio for width in self.bits for name in self.names
        )

    def steps(self) -> Steps:
        """The present step sizes."""
        return {
            width: {
                name: self._step(width, name).step.detach().reshape(-1).numpy().copy()
                for name in self.names
            }
            for width in self.bits
        }

    def rounded(self, bits: BitsByLayer) -> dict[str, Tensor]:
        """The weights at these bits, by the name of the parameter, with gradients."""
        made: dict[str, Tensor] = {}
        for name in self.names:
            rounding = self._first[bits[name]][name]
            weight = rounding(outputs_first(self.module.get_submodule(name)))
            moved = self._kinds[name] == "transposed"
            made.setdefault(self._parameter(name), weight.swapaxes(0, 1) if moved else weight)
        return made

    def rounded_copy(self, bits: BitsByLayer) -> nn.Module:
        """A copy of the network with the weights at these bits.

        Raises Infeasible for bits that it was not trained for.
        """
        wrong = sorted(set(bits.values()) - set(self.bits))
        if wrong:
            raise Infeasible(
                f"a Pick with {', '.join(map(str, wrong))} bits of an Elastic with bits {self.bits}"
            )
        made = copied(self.module)
        with torch.no_grad():
            for name, value in self.rounded(bits).items():
                made.get_parameter(name).copy_(value)
        return made

    def peaks(self, bits: BitsByLayer) -> dict[str, Array]:
        """The magnitudes of the largest integers, as in `compress.quantization.scheme.Learned`."""
        names = {call: call.partition(":")[0] for call in self._calls.values()}
        return {
            call: self._runs[bits[names[call]]][output].peaks()
            for output, call in self._calls.items()
        }

    def _share_step(
        self, layer: Layer, rounding: WeightRounding, width: int, known: Steps | None
    ) -> None:
        """Give a run of a layer its step size: that of the layer's first run."""
        first = self._first[width].setdefault(layer.name, rounding)
        if first is not rounding:
            rounding.step_size = first.step_size
            return
        weight = outputs_first(self.module.get_submodule(layer.name))
        if known is None:
            rounding.learn(weight, None)
            return
        steps = known.get(width, {}).get(layer.name)
        if steps is None or len(steps) != (len(weight) if rounding.per_channel else 1):
            raise Infeasible(
                f"{layer.name} has other channels than the step sizes that Elastic has trained: "
                "put the Pick with bits right after the Elastic"
            )
        rounding.start(weight, torch.from_numpy(steps))

    def _parameter(self, layer: str) -> str:
        """The name of a layer's weight; a layer may have several."""
        weight = self.module.get_submodule(layer).weight
        return next(name for name, value in self.module.named_parameters() if value is weight)

    def _step(self, width: int, name: str) -> StepSize:
        step = self._first[width][name].step_size
        if not isinstance(step, StepSize):
            raise TypeError(f"{name}: no step size")
        return step

    def _factor(self, norm: Layer, layer: Layer) -> Factor:
        if norm.kind == "batch_norm":
            module = self.module.get_submodule(norm.name)
            if not isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                raise TypeError(f"{norm.name}: {type(module).__name__} is no batch-norm")
            return lambda: norm_factor(module)
        constant = torch.from_numpy(norm.weight)
        return lambda: constant


def narrowed(steps: Steps, rows: Mapping[str, Tensor]) -> Steps:
    """The step sizes of a sub-network; `rows` are the outputs left of layers that lost some."""
    return {
        width: {
            name: values[rows[name].numpy()] if name in rows and len(values) > 1 else values
            for name, values in by_name.items()
        }
        for width, by_name in steps.items()
    }


def weights_at_bits(module: nn.Module, input_shape: InputShape, steps: Steps) -> BitWeights:
    """The weights of `module`, or of a sub-network, with step sizes that `Elastic` has trained.

    Raises Infeasible if there are none, or those of other channels.
    """
    if not steps:
        raise Infeasible("a Pick with bits needs an Elastic with these bits right before it")
    return BitWeights(module, input_shape, tuple(steps), steps)
