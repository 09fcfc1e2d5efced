"""Removal of whole blocks: submodules whose output has the shape of their input.

A depthwise-separable block is one, and so is a residual unit that contains its addition. The branch
of an addition x + branch(x) is not: without it the sum would be x + x instead of x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compress.errors import Infeasible, UnsupportedLayer
from compress.frontend.capture import capture, trace_module
from compress.tracing.batches import made_batch
from compress.tracing.normalize import copied
from compress.types import InputShape

_WEIGHTED = (nn.Conv2d, nn.Conv1d, nn.Linear)
_WEIGHTED_KINDS = ("conv", "depthwise", "linear")


@dataclass(frozen=True, slots=True)
class _Unit:
    """A submodule that contains weighted layers, with its shapes for one sample.

    A shape is None where the module has not exactly one input tensor, or one output tensor.
    """

    name: str
    input: tuple[int, ...] | None
    output: tuple[int, ...] | None

    @property
    def keeps_shape(self) -> bool:
        return self.input is not None and self.input == self.output


def block_names(module: nn.Module, input_shape: InputShape) -> tuple[str, ...]:
    """Names of the removable units, in the order of execution.

    A submodule is removable if it contains a convolution or Linear, but not the network's last one;
    if it runs once, from one tensor to one of the same shape; and if without it no addition,
    product or concatenation combines a value with itself. Of nested removable units only the
    outermost is named.

    Raises UnsupportedLayer if the network cannot be lowered to integers.
    """
    whole = copied(module).eval()
    doubled = _doubled(whole, input_shape)
    units = {unit.name: unit for unit in _units(whole, input_shape)}
    found: set[str] = set()
    for name, _ in whole.named_modules():  # outer modules come before inner ones
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if name not in units or inside or not units[name].keeps_shape:
            continue
        try:
            clean = _doubled(_without(whole, (name,)), input_shape) == doubled
        except UnsupportedLayer:
            continue  # the rest of the network cannot be lowered without it
        if clean:
            found.add(name)
    return tuple(name for name in units if name in found)


def present_blocks(
    module: nn.Module, input_shape: InputShape, indices: Sequence[int], names: Sequence[str]
) -> tuple[str, ...]:
    """Those of the original's removable blocks `names` with these indices that are still there.

    Raises Infeasible for an index out of range.
    """
    unknown = [index for index in indices if not 0 <= index < len(names)]
    if unknown:
        raise Infeasible(
            f"blocks {unknown}: the network has {len(names)} removable blocks: "
            f"{', '.join(names) or 'none'}"
        )
    wanted = {names[index] for index in indices}
    if not wanted:
        return ()
    return tuple(name for name in block_names(module, input_shape) if name in wanted)


def drop_blocks(module: nn.Module, input_shape: InputShape, names: Sequence[str]) -> nn.Module:
    """A copy of `module` with the blocks of these names replaced by `nn.Identity`.

    Raises Infeasible for a name that is not a removable unit, for a unit whose input and output
    differ in shape (channels may have been pruned since `block_names`), and if an addition would
    add a value to itself.
    """
    whole = copied(module).eval()
    if not names:
        return whole
    units = {unit.name: unit for unit in _units(whole, input_shape)}
    for name in names:
        if name not in units:
            known = ", ".join(unit.name for unit in units.values() if unit.keeps_shape)
            raise Infeasible(f"block {name!r} cannot be dropped; {known or 'none'} can")
        if not units[name].keeps_shape:
            shapes = f"{units[name].input} to {units[name].output}"
            raise Infeasible(f"block {name} cannot be dropped: it changes the shape from {shapes}")
    dropped = _without(whole, names)
    if _doubled(dropped, input_shape) != _doubled(whole, input_shape):
        raise Infeasible(f"blocks {', '.join(names)}: an addition would add a value to itself")
    return dropped


def _without(module: nn.Module, names: Sequence[str]) -> nn.Module:
    """A copy of `module` with `nn.Identity` in place of the submodules of these names."""
    made = copied(module)
    for name in names:
        if not any(name.startswith(f"{outer}.") for outer in names):
            made.set_submodule(name, nn.Identity())
    return made


def _units(module: nn.Module, input_shape: InputShape) -> tuple[_Unit, ...]:
    """Submodules that run once and contain weighted layers, but not the network's last one.

    Of several outputs, not the last ones of each (`_last_layers`). In the order in which they
    finish.
    """
    ran: list[tuple[nn.Module, _Unit]] = []
    names = {layer: name for name, layer in module.named_modules()}

    def see(layer: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        source = inputs[0] if len(inputs) == 1 else None
        ran.append((layer, _Unit(names[layer], _shape(source), _shape(output))))

    hooks = [layer.register_forward_hook(see) for layer in names]
    with torch.no_grad():
        answer = module(*made_batch(torch.zeros, 1, input_shape))
    for hook in hooks:
        hook.remove()
    runs = [layer for layer, _ in ran]
    last: set[nn.Module] = set([one for one in runs if isinstance(one, _WEIGHTED)][-1:])
    if not isinstance(answer, Tensor):
        last.update(map(module.get_submodule, _last_layers(module, input_shape)))
    units = []
    for layer, unit in ran:
        held = [part for part in layer.modules() if part is not layer]
        weighted = any(isinstance(part, _WEIGHTED) for part in held)
        if weighted and last.isdisjoint(held) and runs.count(layer) == 1:
            units.append(unit)
    return tuple(units)


def _last_layers(module: nn.Module, input_shape: InputShape) -> set[str]:
    """Names of the weighted layers between which and an output there is no other."""
    layers, _, outputs = capture(trace_module(module, input_shape))
    makers = {layer.output: layer for layer in layers}
    pending, found = list(outputs), set[str]()
    while pending:
        layer = makers.get(pending.pop())
        if layer is not None and layer.kind in _WEIGHTED_KINDS:
            found.add(layer.name)
        elif layer is not None:
            pending += layer.inputs
    return found


def _shape(value: object) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, Tensor) else None


def _doubled(module: nn.Module, input_shape: InputShape) -> int:
    """The number of layers that combine a value with itself. Raises UnsupportedLayer."""
    layers, _, _ = capture(trace_module(module, input_shape))
    return sum(len(set(layer.inputs)) < len(layer.inputs) for layer in layers)
