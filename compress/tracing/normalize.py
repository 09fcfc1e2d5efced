"""The network with plain parameters: one tensor per layer, read by nothing else.

Everything behind this step changes and replaces the parameters of layers: it trains, rounds, scales
and narrows them. GRU and LSTM become a layer of plain parameters for each of theirs
(`compress.recurrent_layers`). So whatever stands between a layer and its weight is folded here:
weight norm, spectral norm, other parametrizations of `torch.nn.utils.parametrize`, and the masks of
`torch.nn.utils.prune`. Layers that share a parameter get one of their own each. Hooks are removed:
`compress.frontend.check_capture` compares the network without them to the one with them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor as Values
from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from compress.recurrent_layers.replace import replace_recurrent

# Hooks that compute a parameter before each forward pass.
FOLDED_HOOKS = (WeightNorm, SpectralNorm, BasePruningMethod)
_WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear)
# Of a module: the hooks around its forward and backward passes.
_HOOKS = (
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
    "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_backward_hooks",
    "_backward_pre_hooks",
)  # fmt: skip


def copied(module: nn.Module) -> nn.Module:
    """A deep copy of `module`, which may hold tensors of its last forward pass.

    Those have a history, which torch refuses to copy: the copy holds their values.
    """
    known: dict[int, Any] = {}
    for layer in module.modules():
        for held in vars(layer).values():
            values = held if isinstance(held, list | tuple) else (held,)
            for value in values:
                if isinstance(value, Values) and not value.is_leaf:
                    known[id(value)] = value.detach().clone()
    return copy.deepcopy(module, known)


def normalized(module: nn.Module) -> nn.Module:
    """A copy of `module` with plain, unshared parameters and no hooks, in evaluation mode.

    Raises UnsupportedLayer for a GRU or LSTM without an integer form.

    It computes the same as `module` does in evaluation mode, unless a hook of the user's takes part
    in that. Tensors that the module has kept from a forward pass are detached. A parameter that is
    computed from others is replaced by its present value; what it was computed from is gone.
    """
    plain = copied(module).eval()
    with torch.no_grad():
        # All values first: parametrizations of layers that share a parameter read the same one.
        values = [(layer, name, _value(layer, name)) for layer, name in _computed(plain)]
        gone: set[tuple[nn.Module, str]] = set()
        for layer in plain.modules():
            if parametrize.is_parametrized(layer):
                _drop_parametrizations(layer)
            gone.update((layer, name) for name in _drop_hooks(layer))
        for layer, name, value in values:
            if (layer, name) not in gone:
                _replace(layer, name, value)
        for layer in plain.modules():
            for hooks in _HOOKS:
                getattr(layer, hooks).clear()
        plain = replace_recurrent(plain)
        _separate(plain)
    return plain


def computed_with_zeros(module: nn.Module) -> bool:
    """True if a weight that is computed from other tensors, as by a mask, has zeros.

    These zeros are meant to stay: `Network.sparse`.
    """
    with torch.no_grad():
        return any(
            isinstance(layer, _WEIGHTED)
            and name == "weight"
            and bool((_value(layer, name) == 0).any())
            for layer, name in _computed(module)
        )


def hooked(module: nn.Module) -> tuple[str, ...]:
    """Names of the modules with forward hooks that `normalized` drops without folding them."""
    names = []
    for name, layer in module.named_modules():
        own = [*layer._forward_hooks.values(), *layer._forward_pre_hooks.values()]
        if any(not isinstance(hook, FOLDED_HOOKS) for hook in own):
            names.append(name or type(layer).__name__)
    return tuple(names)


def _computed(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Each (layer, name) of a parameter or buffer that is computed from others before it is read.

    One that both a mask and a norm compute appears once.
    """
    for layer in module.modules():
        names: dict[str, None] = {}
        if parametrize.is_parametrized(layer):
            names.update(dict.fromkeys(layer.parametrizations))  # type: ignore[arg-type]
        for hook in layer._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm | SpectralNorm):
                names[hook.name] = None
            elif isinstance(hook, BasePruningMethod):
                names[hook._tensor_name] = None
        for name in names:
            yield layer, name


def _value(layer: nn.Module, name: str) -> Values:
    """The present value of a computed parameter, as a forward pass in evaluation mode has it."""
    training = layer.training
    layer.eval()  # spectral norm's estimate moves in training
    if parametrize.is_parametrized(layer, name):
        value = getattr(layer, name)
    else:
        for hook in layer._forward_pre_hooks.values():
            if isinstance(hook, FOLDED_HOOKS):
                hook(layer, ())  # sets the attribute from its present sources
        value = getattr(layer, name)
    layer.train(training)
    made: Values = value.detach().clone()
    return made


def _drop_parametrizations(layer: nn.Module) -> None:
    """Remove all parametrizations of the layer; their values have to be set by `_replace`.

    Not by `remove_parametrizations`, which changes the layer's class: copies of a layer share it.
    """
    buffers = {name for name, held in layer.parametrizations.items() if _is_buffer(held)}  # type: ignore[union-attr,operator]
    layer.__class__ = type(layer).__bases__[0]
    del layer.parametrizations
    for name in buffers:
        layer.register_buffer(name, None)


def _is_buffer(held: nn.Module) -> bool:
    """True if a list of parametrizations is that of a buffer."""
    return not any(True for _ in held.parameters(recurse=False))


def _drop_hooks(layer: nn.Module) -> set[str]:
    """Remove the hooks that compute parameters, and what they compute them from.

    Returns the names of what is gone. State dicts lose their hooks too: they are of another layer.
    """
    gone: set[str] = set()
    for key, hook in list(layer._forward_pre_hooks.items()):
        match hook:
            case WeightNorm():
                gone |= {f"{hook.name}_g", f"{hook.name}_v"}
            case SpectralNorm():
                gone |= {f"{hook.name}_orig", f"{hook.name}_u", f"{hook.name}_v"}
                layer._state_dict_hooks.clear()
                layer._load_state_dict_pre_hooks.clear()
            case BasePruningMethod():
                gone |= {f"{hook._tensor_name}_orig", f"{hook._tensor_name}_mask"}
            case _:
                continue
        del layer._forward_pre_hooks[key]
    for name in gone:
        if hasattr(layer, name):
            delattr(layer, name)
    return gone


def _replace(layer: nn.Module, name: str, value: Values) -> None:
    """Make `value` the plain parameter `name` of the layer, in place of what computed it."""
    if name in layer._buffers:
        layer._buffers[name] = value
        return
    if hasattr(layer, name):
        delattr(layer, name)
    layer.register_parameter(name, nn.Parameter(value))


def _separate(module: nn.Module) -> None:
    """Give each layer parameters and buffers that share memory with no others."""
    seen: set[int] = set()
    for layer in module.modules():
        for held in (layer._parameters, layer._buffers):
            for name, value in held.items():
                if value is None or is_lazy(value):
                    continue
                storage = value.untyped_storage().data_ptr()
                whole = value.untyped_storage().nbytes() == value.numel() * value.element_size()
                if storage in seen or not whole:
                    held[name] = _own(value)
                seen.add(held[name].untyped_storage().data_ptr())  # type: ignore[union-attr]


def _own(value: Values) -> Any:
    """A copy of a parameter or buffer with memory of its own."""
    made = value.detach().clone(memory_format=torch.contiguous_format)
    return nn.Parameter(made, value.requires_grad) if isinstance(value, nn.Parameter) else made
