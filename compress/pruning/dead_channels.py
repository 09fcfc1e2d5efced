"""Channels of a float network that are always the same, or that nobody reads, taken out of it.

`compress.integer.eliminate` does so on integers, where each bit counts; here it is done before
anything is trained, so that dead channels cost no epoch. What is always the same is found by one
pass in which the input is NaN: what comes out as a number does not depend on it.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.nn import functional

from compress.frontend.capture import trace_module
from compress.pruning.groups import Group, find_groups, is_depthwise, remove

_READERS = (nn.Conv2d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
MIN_CHANNELS = 2  # with a single channel a depthwise convolution would be one like any other


def eliminate_dead_channels(module: nn.Module, input_shape: tuple[int, int, int]) -> nn.Module:
    """A copy of `module` without its dead channels: the same function, up to rounding.

    A channel goes, with all of its dependency group (`compress.pruning.groups`), if every
    convolution or Linear that reads it has only zero weights for it, or always gets the same
    number, which then goes into its bias: zero anywhere, another only where no zero padding stands
    in for it. Each group keeps two channels at least. The copy is in evaluation mode, and of that
    mode all is said: batch-norm of a batch's own statistics has other constants.

    Raises UnsupportedLayer for a network that torch.fx cannot trace.
    """
    smaller = copy.deepcopy(module).eval()
    while _narrow(smaller, input_shape):
        pass
    return smaller


@torch.no_grad()
def _narrow(module: nn.Module, input_shape: tuple[int, int, int]) -> bool:
    """One round, in place; False where nothing could go. The next may find more, further up."""
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
    remove(module, groups, gone)
    return bool(gone)


class _Constants(fx.Interpreter):
    """Runs a network on NaN: values that depend on the input are NaN, constants are numbers.

    torch's operations hand NaN on but for a product with a weight of zero, which is zero here.
    """

    def inputs_for(self, input_shape: tuple[int, int, int]) -> dict[str, list[Tensor]]:
        """What each convolution and Linear reads, every time it runs, by the layer's name."""
        self.inputs: dict[str, list[Tensor]] = {}
        self.run(torch.full((1, *input_shape), torch.nan))
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


def _weighted(layer: nn.Conv2d | nn.Linear, x: Tensor) -> Tensor:
    unknown = x.isnan()
    counted = {"weight": (layer.weight != 0).to(x.dtype)}
    if layer.bias is not None:
        counted["bias"] = torch.zeros_like(layer.bias)
    met: Tensor = functional_call(layer, counted, unknown.to(x.dtype))
    values: Tensor = layer(x.masked_fill(unknown, 0.0))
    return values.masked_fill(met > 0, torch.nan)


def _shares(
    module: nn.Module, group: Group, inputs: dict[str, list[Tensor]]
) -> list[dict[str, Tensor] | None]:
    """Per channel of `group`, what it adds to the biases of the layers that read it.

    None for a channel that some layer needs.
    """
    shares: list[dict[str, Tensor] | None] = [{} for _ in range(group.channels)]
    for member in group.members:
        layer = module.get_submodule(member.layer)
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


def _share(layer: nn.Conv2d | nn.Linear, x: Tensor, slices: list[int]) -> Tensor | None:
    """What these slices of x (1, C, ...) add to every sum of `layer`, (outputs,); or None."""
    weight, values = layer.weight[:, slices], x[0, slices]
    if isinstance(layer, nn.Linear):
        read = weight.any(dim=0)
        return None if values[read].isnan().any() else weight[:, read] @ values[read]
    if not weight.any():
        return weight.sum(dim=(1, 2, 3))
    value = values.flatten()[0]
    if not (values == value).all():  # NaN equals nothing
        return None
    nonzero = (weight != 0).to(x.dtype)
    met = functional.conv2d(
        torch.ones_like(x[:, slices]), nonzero, None, layer.stride, layer.padding, layer.dilation
    )
    everywhere = (met == nonzero.sum(dim=(1, 2, 3)).reshape(-1, 1, 1)).all()
    return weight.sum(dim=(1, 2, 3)) * value if value == 0 or everywhere else None


def _add_to_bias(layer: nn.Module, share: Tensor) -> None:
    """A layer without a bias gets one only where there is something to add."""
    if isinstance(layer, _READERS) and share.any():
        bias = share if layer.bias is None else layer.bias + share
        layer.bias = nn.Parameter(bias)
