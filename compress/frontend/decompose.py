"""Replacement of traced operations by simpler ones of the same function.

SiLU and hard sigmoid become operations that have an integer form. A convolution or matrix product
that is called as a function, with the parameters of a module, becomes a call of a plain module that
has the same parameters: so a subclass with a `forward` of its own is like any other layer.
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

# Modules and functions that are always replaced.
REPLACED_MODULES: tuple[type[nn.Module], ...] = (nn.SiLU, nn.Hardsigmoid)
REPLACED_CALLS = (functional.silu, functional.hardsigmoid)


def decompose(traced: fx.GraphModule) -> None:
    """Replace operations in place; names of the traced operations that stay are unchanged."""
    for node in list(traced.graph.nodes):
        made = _rewritten(traced, node)
        if made is not None:
            node.replace_all_uses_with(made)
            inputs = node.all_input_nodes
            traced.graph.erase_node(node)
            for source in inputs:
                if source.op == "get_attr" and not source.users:
                    traced.graph.erase_node(source)
    traced.graph.lint()
    traced.recompile()


def _rewritten(traced: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The operation that replaces `node`, None if it stays."""
    module = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
    with traced.graph.inserting_before(node):
        if type(module) is nn.SiLU or _calls(node, functional.silu):
            x = node.all_input_nodes[0]
            return _call(node, operator.mul, x, _call(node, torch.sigmoid, x))
        if type(module) is nn.Hardsigmoid or _calls(node, functional.hardsigmoid):
            sixth = _call(node, operator.mul, node.all_input_nodes[0], 1 / 6)
            return _call(node, torch.clamp, _call(node, operator.add, sixth, 0.5), 0.0, 1.0)
        if _calls(node, functional.linear, functional.conv2d, functional.conv1d):
            return _as_module(traced, node)
    return None


def _calls(node: fx.Node, *targets: Any) -> bool:
    return node.op == "call_function" and node.target in targets


def _call(node: fx.Node, function: Callable[..., Any], *args: Any) -> fx.Node:
    return node.graph.call_function(function, args)


def _as_module(traced: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """A call of a Conv2d, Conv1d or Linear that has the parameters that `node` is called with.

    The module has the name of the one that the weight belongs to; it replaces it in `traced`,
    whose modules are not those of the original. None for a weight that is no parameter.
    """
    bound = _arguments(node)
    weight, bias = bound.pop("weight", None), bound.pop("bias", None)
    x = bound.pop("input", None)
    if not isinstance(weight, fx.Node) or weight.op != "get_attr" or not isinstance(x, fx.Node):
        return None
    if bias is not None and not (isinstance(bias, fx.Node) and bias.op == "get_attr"):
        return None
    if any(isinstance(value, fx.Node) for value in bound.values()):
        return None
    values = _parameter(traced, weight)
    made = _plain(node, values, bound)
    made.weight = values
    made.bias = None if bias is None else _parameter(traced, bias)
    name = _free_name(traced, node, str(weight.target))
    traced.add_submodule(name, made.train(False))
    return node.graph.call_module(name, (x,))


def _free_name(traced: fx.GraphModule, node: fx.Node, weight: str) -> str:
    """The name of the module that the parameter belongs to, or one below if that is in use.

    It is in use if another operation calls that module or reads something else of it.
    """
    owner, _, own_name = weight.rpartition(".")
    if not owner:
        return f"{own_name}_{node.name}"
    others = [other for other in traced.graph.nodes if other.op in ("call_module", "get_attr")]
    known = {owner + end for end in (".weight", ".bias")}
    used = any(
        f"{other.target}.".startswith(f"{owner}.") and other.target not in known for other in others
    )
    return f"{owner}.{node.name}" if used else owner


def _parameter(traced: fx.GraphModule, node: fx.Node) -> nn.Parameter:
    value: Any = traced
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value if isinstance(value, nn.Parameter) else nn.Parameter(value, requires_grad=False)


def _arguments(node: fx.Node) -> dict[str, Any]:
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    return {**dict(zip(names, node.args, strict=False)), **node.kwargs}


def _plain(node: fx.Node, weight: nn.Parameter, options: dict[str, Any]) -> Any:
    """A module of the weight's shape, whose own weights are never made."""
    outputs = weight.shape[0]
    with torch.device("meta"):
        if node.target is functional.linear:
            return nn.Linear(weight.shape[1], outputs)
        inputs = weight.shape[1] * options.get("groups", 1)
        kind = nn.Conv2d if node.target is functional.conv2d else nn.Conv1d
        return kind(inputs, outputs, tuple(weight.shape[2:]), **options)  # type: ignore[arg-type]
