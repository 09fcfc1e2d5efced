"""Activations that a file has in parts become the one module that they are.

Exporters write GELU, SiLU, softplus and hard swish as several operators where the opset or the
format has none. An operation that depends on one other value alone, element by element, is a
function of a number: it is compared with each activation's on a grid of numbers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor, fx, nn

_ACTIVATIONS: tuple[Callable[[], nn.Module], ...] = (
    nn.SiLU,
    nn.GELU,
    lambda: nn.GELU("tanh"),
    nn.Hardswish,
    nn.Softplus,
    nn.Mish,
)
_LAST = (operator.mul, operator.truediv, operator.add, torch.where)  # of a composed activation
_FUNCTIONS = (
    *_LAST, operator.sub, operator.neg, torch.erf, torch.exp, torch.log, torch.pow, torch.gt,
    torch.clamp, torch.reciprocal,
)  # fmt: skip
_MODULES = (nn.Sigmoid, nn.Tanh, nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.Hardsigmoid, nn.Softplus)
_MOST_PARTS = 12  # of an activation: operations
# Files hold float32 constants, as sqrt(1/2) of GELU.
_TOLERANCE = 2e-6


def compose(module: nn.Module, graph: fx.Graph, name: Callable[[fx.Node], str]) -> None:
    """Replace composed activations in place; `name` gives a free name for a new module."""
    for node in list(graph.nodes):
        if node.op == "call_function" and node.target in _LAST:
            for source, parts in _sources(module, node):
                made = _same_function(module, source, parts)
                if made is not None:
                    _replace(module, graph, node, source, made, name(node))
                    break


def _replace(
    module: nn.Module, graph: fx.Graph, node: fx.Node, source: fx.Node, made: nn.Module, name: str
) -> None:
    module.add_module(name, made)
    with graph.inserting_after(node):
        call = graph.call_module(name, (source,))
    node.replace_all_uses_with(call)


def _sources(module: nn.Module, node: fx.Node) -> Iterator[tuple[fx.Node, list[fx.Node]]]:
    """Values that `node` is a function of, the nearest first, with the operations in between."""
    parts: list[fx.Node] = [node]
    while len(parts) <= _MOST_PARTS:
        outside = {v for part in parts for v in part.all_input_nodes if v not in parts}
        if len(outside) == 1:
            (source,) = outside
            yield source, parts
        # The latest one goes inside: what it depends on comes before it.
        inner = [v for v in outside if _is_pointwise(module, v)]
        if not inner:
            return
        order = {v: place for place, v in enumerate(node.graph.nodes)}
        parts = [max(inner, key=order.__getitem__), *parts]


def _is_pointwise(module: nn.Module, node: fx.Node) -> bool:
    """True for an operation element by element whose other operands are numbers."""
    if node.op == "call_module":
        return isinstance(module.get_submodule(str(node.target)), _MODULES)
    return node.op == "call_function" and node.target in _FUNCTIONS


def _same_function(module: nn.Module, source: fx.Node, parts: list[fx.Node]) -> nn.Module | None:
    """The activation that the operations compute from `source`; None if there is none."""
    values: dict[fx.Node, Tensor] = {source: _grid()}
    try:
        for part in sorted(parts, key=list(source.graph.nodes).index):
            args = fx.node.map_arg(part.args, values.__getitem__)
            function: Any = part.target
            if part.op == "call_module":
                function = module.get_submodule(str(part.target))
            values[part] = function(*args)
    except (RuntimeError, TypeError, KeyError):  # not a function of one number
        return None
    found = values[parts[-1]]
    for make, wanted in _candidates():
        close = torch.allclose(found, wanted, rtol=_TOLERANCE, atol=_TOLERANCE)
        if found.shape == wanted.shape and found.is_floating_point() and close:
            return make()
    return None


@cache
def _grid() -> Tensor:
    return torch.linspace(-30, 30, 2401, dtype=torch.float64)


@cache
def _candidates() -> tuple[tuple[Callable[[], nn.Module], Tensor], ...]:
    return tuple((make, make()(_grid())) for make in _ACTIVATIONS)
