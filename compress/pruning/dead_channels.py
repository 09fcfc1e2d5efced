"""Elimination of dead channels from a float network: constant ones and ones that nothing reads.

`compress.integer.eliminate` does the same bit-exactly on the integer graph. Doing it on the float
network first keeps dead channels from costing training time. Constants are found by one forward
pass with NaN as input: a value that is not NaN does not depend on the input.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.nn import functional

from compress.frontend.capture import trace_module
from compress.pruning.groups import Group, find_groups, is_depthwise, remove_channels
from compress.recurrent_layers.layer import RecurrentLayer
from compress.tracing.batches import made_batch
from compress.tracing.normalize import normalized
from compress.tracing.trace import SAMPLES
from compress.types import InputShape

_CONVOLUTIONS = (nn.Conv2d, nn.Conv1d)
_READERS = (*_CONVOLUTIONS, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
# Channels that each group keeps. A depthwise convolution with a single channel could not be told
# from an ordinary one.
MIN_CHANNELS = 2


def eliminate_dead_channels(module: nn.Module, input_shape: InputShape) -> nn.Module:
    """A copy of `module` without dead channels: the same function, up to rounding.

    The copy is normalized (`compress.tracing.normalize`).

    A channel is removed from all layers of its dependency group (`compress.pruning.groups`) if, for
    every convolution or Linear that reads it, the weights for it are all zero or its value is
    constant. A constant is folded into the reader's bias; one other than zero only where the reader
    does not pad with zeros. Each group keeps at least two channels. The copy is in evaluation mode,
    and constants are those of evaluation mode: batch-norm with batch statistics has others.

    Raises UnsupportedLayer for a network that torch.fx cannot trace.
    """
    smaller = normalized(module)
    while _narrow(smaller, input_shape):
        pass
    return smaller


@torch.no_grad()
def _narrow(module: nn.Module, input_shape: InputShape) -> bool:
    """Remove the dead channels found in one pass, in place; True if there were any.

    Their removal can leave channels of earlier layers unread, for the next pass to find.
    """
    groups = find_groups(module, input_shape)
    inputs = _Constants(trace_module(module, input_shape)).inputs_for(input_shape)
    gone: dict[str, list[int]] = {}
    biases: dict[str, Tensor] = {}
    for group in groups:
        shares = _shares(module, group, inputs)
        dead = [channel for channel, share in enumerate(shares) if share is not None]
        dead = dead[max(0, MIN_CHANNELS - (group.channels - len(dead))) :]
        for channel in dead:
            for layer, share in (shares[channel] or {}).items():
                biases[layer] = biases.get(layer, torch.zeros_like(share)) + share
        if dead:
            gone[group.name] = dead
    for name, share in biases.items():
        _add_to_bias(module.get_submodule(name), share)
    remove_channels(module, groups, gone)
    return bool(gone)


class _Constants(fx.Interpreter):
    """Runs a network on NaN: values that depend on the input are NaN, constants are numbers.

    Unlike in IEEE arithmetic, the product of NaN and a weight of zero is zero here.
    """

    def inputs_for(self, input_shape: InputShape) -> dict[str, list[Tensor]]:
        """The inputs (2, C, ...) of each convolution and Linear, one per run, by layer name."""
        self.inputs: dict[str, list[Tensor]] = {}
        self.run(*made_batch(_unknown, SAMPLES, input_shape))
        return self.inputs

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        layer = self.fetch_attr(target)
        if isinstance(layer, _READERS):
            self.inputs.setdefault(target, []).append(args[0].clone())
            return _weighted(layer, args[0])
        values = super().call_module(target, args, kwargs)
        if isinstance(layer, _NORMS) and layer.affine:
            along = (-1, *[1] * (values.dim() - 2))
            scale, shift = layer.weight.reshape(along), layer.bias.reshape(along)
            values = torch.where(scale == 0, shift, values)
        return values


def _unknown(shape: tuple[int, ...]) -> Tensor:
    return torch.full(shape, torch.nan)


def _weighted(layer: nn.Conv2d | nn.Conv1d | nn.Linear, x: Tensor) -> Tensor:
    """The layer's output for x, NaN where a NaN of x meets a nonzero weight."""
    unknown = x.isnan()
    # The same layer with 0/1 weights, on a 0/1 input, counts the NaNs that each output depends on.
    nonzero = {"weight": (layer.weight != 0).to(x.dtype)}
    if layer.bias is not None:
        nonzero["bias"] = torch.zeros_like(layer.bias)
    count: Tensor = functional_call(layer, nonzero, unknown.to(x.dtype))
    values: Tensor = layer(x.masked_fill(unknown, 0.0))
    return values.masked_fill(count > 0, torch.nan)


def _shares(
    module: nn.Module, group: Group, inputs: dict[str, list[Tensor]]
) -> list[dict[str, Tensor] | None]:
    """For each channel of `group`, its contributions to the biases of the layers that read it.

    By layer name; None for a channel that is not dead.
    """
    shares: list[dict[str, Tensor] | None] = [{} for _ in range(group.channels)]
    for member in group.members:
        layer = module.get_submodule(member.layer)
        if isinstance(layer, RecurrentLayer):
            # Its units read each other; a constant input has no single bias to be folded into.
            shares = [None] * group.channels
            continue
        if member.side == "out" or not isinstance(layer, _READERS) or is_depthwise(layer):
            continue
        seen = inputs.get(member.layer, [])
        for channel, slices in enumerate(member.slices):
            share = _share(layer, seen[0], slices.tolist()) if len(seen) == 1 else None
            known = shares[channel]
            if share is None or known is None:
                shares[channel] = None
            else:
                known[member.layer] = share
    return shares


def _share(layer: nn.Conv2d | nn.Conv1d | nn.Linear, x: Tensor, slices: list[int]) -> Tensor | None:
    """The constant (outputs,) that these slices of x (2, C, ...) add to the sums of `layer`.

    None if they add no constant.
    """
    if isinstance(layer, nn.Linear):
        weight = layer.weight[:, slices]
        read, rows = weight.any(dim=0), x[0].reshape(-1, x.shape[-1])[:, slices]
        values = rows[0, read]
        # NaN equals nothing; on a sequence, the same has to be added everywhere.
        return weight[:, read] @ values if (rows[:, read] == values).all() else None
    weight, values = layer.weight[:, slices], x[0, slices]
    window = tuple(range(1, weight.dim()))
    if not weight.any():
        return weight.sum(dim=window)
    value = values.flatten()[0]
    if not (values == value).all():  # NaN equals nothing
        return None
    nonzero = (weight != 0).to(x.dtype)
    # Zero padding replaces the constant at the borders, if a nonzero tap falls on it there.
    convolve: Any = functional.conv2d if isinstance(layer, nn.Conv2d) else functional.conv1d
    taps_inside = convolve(
        torch.ones_like(x[:, slices]), nonzero, None, layer.stride, layer.padding, layer.dilation
    )
    inside = nonzero.sum(dim=window).reshape(-1, *[1] * (x.dim() - 2))
    everywhere = (taps_inside == inside).all()
    return weight.sum(dim=window) * value if value == 0 or everywhere else None


def _add_to_bias(layer: nn.Module, share: Tensor) -> None:
    """Add `share` (outputs,) to the layer's bias in place; create a bias only if it is nonzero."""
    if isinstance(layer, _READERS) and share.any():
        bias = share if layer.bias is None else layer.bias + share
        layer.bias = nn.Parameter(bias)
