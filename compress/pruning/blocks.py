"""Whole blocks: units of a network that can be left out because shapes stay as they are.

A depthwise-separable block or a residual unit with its addition inside is one; the branch of an
addition x + branch(x) is none, as leaving it out would double x instead of passing it on.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compress.errors import Infeasible, UnsupportedLayer
from compress.frontend.capture import capture, trace_module
from compress.frontend.fuse import fuse

_WEIGHTED = (nn.Conv2d, nn.Linear)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A module with weighted layers inside: shapes for one sample, None where not one tensor."""

    name: str
    input: tuple[int, ...] | None
    output: tuple[int, ...] | None

    @property
    def keeps_shape(self) -> bool:
        return self.input is not None and self.input == self.output


def block_names(module: nn.Module, input_shape: tuple[int, int, int]) -> tuple[str, ...]:
    """Names of the removable units, in the order of execution.

    Removable is a submodule that holds layers, a Conv2d or Linear among them, but not the
    network's last one; that runs once, from one tensor to one of the same shape; and without
    which no addition adds a value to itself. Of nested ones the outermost counts.

    Raises UnsupportedLayer where the network itself has no integer form.
    """
    whole = copy.deepcopy(module).eval()
    doubled = _doubled(whole, input_shape)
    units = {unit.name: unit for unit in _units(whole, input_shape)}
    found: set[str] = set()
    for name, _ in whole.named_modules():  # outer ones before what is in them
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if name not in units or inside or not units[name].keeps_shape:
            continue
        try:
            clean = _doubled(_without(whole, (name,)), input_shape) == doubled
        except UnsupportedLayer:
            continue  # what is around it has no integer form without it
        if clean:
            found.add(name)
    return tuple(name for name in units if name in found)


def drop_blocks(
    module: nn.Module, input_shape: tuple[int, int, int], names: Sequence[str]
) -> nn.Module:
    """A copy of `module` with the blocks of these names replaced by `nn.Identity`.

    Raises Infeasible for a name that is no unit of the network, for one whose input and output
    differ in shape (in this network: channels may have been pruned since `block_names`), and
    where an addition is left with one and the same value on both sides.
    """
    whole = copy.deepcopy(module).eval()
    if not names:
        return whole
    units = {unit.name: unit for unit in _units(whole, input_shape)}
    for name in names:
        if name not in units:
            known = ", ".join(unit.name for unit in units.values() if unit.keeps_shape)
            raise Infeasible(f"block {name!r}: no unit that can be dropped; {known or 'none'} can")
        if not units[name].keeps_shape:
            shapes = f"{units[name].input} to {units[name].output}"
            raise Infeasible(f"block {name}: cannot be dropped, as it goes from shape {shapes}")
    dropped = _without(whole, names)
    if _doubled(dropped, input_shape) != _doubled(whole, input_shape):
        raise Infeasible(f"blocks {', '.join(names)}: an addition would add a value to itself")
    return dropped


def _without(module: nn.Module, names: Sequence[str]) -> nn.Module:
    copied = copy.deepcopy(module)
    for name in names:
        if not any(name.startswith(f"{outer}.") for outer in names):
            copied.set_submodule(name, nn.Identity())
    return copied


def _units(module: nn.Module, input_shape: tuple[int, int, int]) -> tuple[_Unit, ...]:
    """Modules that run once and hold weighted layers, but not the last one, as they finish."""
    ran: list[tuple[nn.Module, _Unit]] = []
    names = {layer: name for name, layer in module.named_modules()}

    def see(layer: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        source = inputs[0] if len(inputs) == 1 else None
        ran.append((layer, _Unit(names[layer], _shape(source), _shape(output))))

    hooks = [layer.register_forward_hook(see) for layer in names]
    with torch.no_grad():
        module(torch.zeros(1, *input_shape))
    for hook in hooks:
        hook.remove()
    runs = [layer for layer, _ in ran]
    last = next((layer for layer in reversed(runs) if isinstance(layer, _WEIGHTED)), None)
    units = []
    for layer, unit in ran:
        held = [part for part in layer.modules() if part is not layer]
        weighted = any(isinstance(part, _WEIGHTED) for part in held)
        if weighted and last not in held and runs.count(layer) == 1:
            units.append(unit)
    return tuple(units)


def _shape(value: object) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, Tensor) else None


def _doubled(module: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """How many additions add a value to itself. Raises UnsupportedLayer as lowering would."""
    layers, _, output = capture(trace_module(module, input_shape))
    return sum(
        layer.kind == "add" and layer.inputs[0] == layer.inputs[1] for layer in fuse(layers, output)
    )
