"""Layers that compute a function of one value element by element become one table.

`x * torch.sigmoid(x)`, or GELU written out, then costs one look-up, and nothing is rounded between.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from compress.frontend.layers import Layer, Pointwise
from compress.ops import Activation, Function

_IDENTITY = Pointwise("identity")
_FUNCTIONS = {
    Function.LOGISTIC: "sigmoid",
    Function.TANH: "tanh",
    Function.HARD_SWISH: "hardswish",
    Function.LEAKY_RELU: "leaky_relu",
}
_CURVED = ("table", "lookup", "mul", "minimum", "maximum")
_LIMITS = {Activation.RELU: (0.0, math.inf), Activation.RELU6: (0.0, 6.0)}


@dataclass(frozen=True, slots=True)
class _Chain:
    """A value as a function of the value `base`; `layers` compute it.

    One of a `curved` chain has no kernel on int16.
    """

    base: str
    function: Pointwise
    layers: frozenset[str]
    curved: bool


def with_joined_chains(
    layers: Sequence[Layer], outputs: Sequence[str], norms: Set[str]
) -> tuple[Layer, ...]:
    """The layers with one table for each longest chain of two layers or more.

    Chains whose inner values others read, or which compute in int16, stay as they are, and so do
    those of kinds alone that have kernels on int16. `outputs` are the values that the network
    returns, `norms` are the names of batch-norms, whose factors training changes.
    """
    readers: dict[str, set[str]] = {output: {""} for output in outputs}
    for layer in layers:
        for value in layer.inputs:
            readers.setdefault(value, set()).add(layer.output)
    chains: dict[str, _Chain] = {}
    for layer in layers:
        chain = _chain(layer, chains, norms)
        if chain is not None:
            chains[layer.output] = chain
    kept: dict[str, Layer] = {}
    gone: set[str] = set()
    for layer in reversed(layers):
        chain = chains.get(layer.output)
        inner = frozenset[str]() if chain is None else chain.layers - {layer.output}
        closed = all(readers.get(value, set()) <= inner | {layer.output} for value in inner)
        if layer.output in gone:
            continue
        if chain is not None and chain.curved and inner and closed:
            gone |= inner
            kept[layer.output] = Layer(
                layer.name, "table", (chain.base,), layer.output, layer.shape, node=layer.node,
                pointwise=chain.function, limits=layer.limits, norms=layer.norms,
            )  # fmt: skip
        else:
            kept[layer.output] = layer
    return tuple(kept[layer.output] for layer in layers if layer.output in kept)


def _chain(layer: Layer, chains: Mapping[str, _Chain], norms: Set[str]) -> _Chain | None:
    """The output of `layer` as a function of one value; None if it is none."""
    outer = None if layer.wide else _function(layer, norms)
    if outer is None:
        return None
    # A value that is both read as it is and a function of another one is a base of its own.
    bases = [
        {value} | {chains[value].base for _ in (0,) if value in chains} for value in layer.inputs
    ]
    shared = set.intersection(*bases)
    if not shared:
        return None
    own = [value for value in layer.inputs if value in shared]
    base = next((value for value in shared if value not in own), None) or own[0]
    parts = [None if value == base else chains[value] for value in layer.inputs]
    inputs = tuple(_IDENTITY if part is None else part.function for part in parts)
    inner = frozenset[str]().union(*(part.layers for part in parts if part is not None))
    made = Pointwise(outer.name, outer.parameters, inputs)
    limits = layer.limits or _LIMITS.get(layer.activation)
    if limits is not None:
        made = Pointwise("clamp", limits, (made,))
    curved = layer.kind in _CURVED or any(part is not None and part.curved for part in parts)
    return _Chain(base, made, inner | {layer.output}, curved)


def _function(layer: Layer, norms: Set[str]) -> Pointwise | None:
    """What the layer computes of its inputs, before its activation; None if not by element."""
    match layer.kind:
        case "table":
            return layer.pointwise
        case "lookup" if layer.function in _FUNCTIONS:
            slope = (layer.alpha,) if layer.function is Function.LEAKY_RELU else ()
            return Pointwise(_FUNCTIONS[layer.function], slope)
        case "activation" | "clip":
            return _IDENTITY
        case "affine" if layer.weight is not None and layer.bias is not None:
            scale, shift = np.unique(layer.weight), np.unique(layer.bias)
            uniform = len(scale) == len(shift) == 1 and not layer.constant
            plain = uniform and norms.isdisjoint(layer.norms)
            return Pointwise("affine", (scale.item(), shift.item())) if plain else None
        case "add" | "mul" | "minimum" | "maximum" if len(layer.inputs) == 2:
            return Pointwise("subtract" if layer.subtract else layer.kind)
        case _:
            return None
