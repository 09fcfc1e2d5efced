"""Replacement of traced operations by simpler ones of the same function.

Hard sigmoid, norms and attention become operations that have an integer form. A convolution or
matrix product that is called as a function, with the parameters of a module, becomes a call of a
plain module that has the same parameters: so a subclass with a `forward` of its own is like any
other layer.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

# Modules and functions that are always replaced.
_MAP_NORMS = (nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d)
REPLACED_MODULES: tuple[type[nn.Module], ...] = (nn.Hardsigmoid, nn.LayerNorm, *_MAP_NORMS)
REPLACED_CALLS = (
    functional.hardsigmoid,
    functional.layer_norm,
    functional.scaled_dot_product_attention,
)

# Keys in the `meta` of operations: the name of a layer in messages, and whether it computes int16
# in any scheme.
LABEL, WIDE = "label", "wide"
_AFFINE = ("weight", "bias")


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
        if type(module) is nn.Hardsigmoid or _calls(node, functional.hardsigmoid):
            sixth = _call(node, operator.mul, node.all_input_nodes[0], 1 / 6)
            return _call(node, torch.clamp, _call(node, operator.add, sixth, 0.5), 0.0, 1.0)
        if type(module) is nn.LayerNorm or _calls(node, functional.layer_norm):
            return _layer_norm(node, module)
        if module is not None and type(module) in _MAP_NORMS:
            return _map_norm(node, module)
        if _calls(node, functional.scaled_dot_product_attention):
            return _attention(node)
        if _calls(node, operator.mul, torch.mul, operator.truediv, torch.div):
            return _scaled_before(node)
        if _calls(node, functional.linear, functional.conv2d, functional.conv1d):
            return _as_module(traced, node)
    return None


def _layer_norm(node: fx.Node, module: nn.Module | None) -> fx.Node:
    """Layer norm over the last axes, as a module or as a function."""
    x = node.all_input_nodes[0]
    factors: list[Any]
    if isinstance(module, nn.LayerNorm):
        name, axes = str(node.target), tuple(range(-len(module.normalized_shape), 0))
        factors = [
            node.graph.get_attr(f"{name}.{what}") if getattr(module, what) is not None else None
            for what in _AFFINE
        ]
        return _normed(node, name, x, axes, module.eps, factors)
    known = ("input", "normalized_shape", *_AFFINE, "eps")
    given: dict[str, Any] = {**dict(zip(known, node.args, strict=False)), **node.kwargs}
    axes = tuple(range(-len(tuple(given["normalized_shape"])), 0))
    factors = [given.get(what) for what in _AFFINE]
    return _normed(node, node.name, x, axes, given.get("eps", 1e-5), factors)


def _map_norm(node: fx.Node, module: nn.Module) -> fx.Node | None:
    """Instance norm, or group norm of a map in one group or in one for each channel.

    None for another one, which stays.
    """
    name, x = str(node.target), node.all_input_nodes[0]
    axes: tuple[int, ...]
    if isinstance(module, nn.GroupNorm):
        groups = module.num_groups
        if groups not in (1, module.num_channels):
            return None
        axes = (1, 2, 3) if groups == 1 else (2, 3)
    elif isinstance(module, nn.InstanceNorm1d | nn.InstanceNorm2d):
        if module.track_running_stats:
            return None
        axes = (2,) if isinstance(module, nn.InstanceNorm1d) else (2, 3)
    else:
        return None
    per_channel = (-1, *[1] * (1 if axes == (2,) else 2))
    factors = [
        _call(node, torch.reshape, node.graph.get_attr(f"{name}.{what}"), per_channel)
        if getattr(module, what) is not None
        else None
        for what in _AFFINE
    ]
    return _normed(node, name, x, axes, module.eps, factors)


def _normed(
    node: fx.Node,
    name: str,
    x: fx.Node,
    axes: tuple[int, ...],
    eps: float,
    factors: Sequence[fx.Node | None],
) -> fx.Node:
    """The difference to the mean over `axes`, divided by the root of its variance, then affine.

    Differences and their squares are computed in int16: an int8 would leave a small variance few
    bits.
    """

    def step(what: str, function: Callable[..., Any], *args: Any, wide: bool = True) -> fx.Node:
        made = _call(node, function, *args)
        made.meta.update({LABEL: f"{name}.{what}", WIDE: wide})
        return made

    center = step("center", operator.sub, x, step("mean", torch.mean, x, axes, True))
    square = step("square", operator.mul, center, center)
    variance = step("variance", torch.mean, square, axes, True)
    inverse = step("inverse_root", inverse_root, variance, eps, wide=False)
    made = step("quotient", operator.mul, center, inverse)
    scale, shift = factors
    if scale is not None:
        made = step("scale", operator.mul, made, scale, wide=False)
    return made if shift is None else step("shift", operator.add, made, shift, wide=False)


def _attention(node: fx.Node) -> fx.Node | None:
    """softmax(query * scale @ keys, transposed) @ values; None with a mask, dropout or groups."""
    known = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    given: dict[str, Any] = {**dict(zip(known, node.args, strict=False)), **node.kwargs}
    if any(given.get(name) for name in (*known[3:], "enable_gqa")):
        return None
    query, key, value = (given[name] for name in known[:3])
    scale = given.get("scale")
    features = _call(node, getattr, query, "shape") if scale is None else None
    factor = scale if features is None else _call(node, inverse_root_of_features, features)
    keys = _call(node, torch.transpose, key, -2, -1)
    scores = _call(node, torch.matmul, _call(node, operator.mul, query, factor), keys)
    shares = node.graph.call_function(torch.softmax, (scores,), {"dim": -1})
    return _call(node, torch.matmul, shares, value)


def inverse_root_of_features(shape: torch.Size) -> float:
    """1 / sqrt(last extent of the shape): the scale of attention."""
    return float(shape[-1] ** -0.5)


def _scaled_before(node: fx.Node) -> fx.Node | None:
    """For a product of matrices that is multiplied by a number: that of its scaled first factor.

    The number can be folded into what computes the factor. None for another operation.
    """
    product: Any = node.args[0]
    number: Any = node.args[1] if len(node.args) > 1 else None
    if not isinstance(product, fx.Node) or not isinstance(number, int | float) or node.kwargs:
        return None
    matrices = product.op == "call_function" and product.target in _PRODUCTS
    methods = product.op == "call_method" and product.target in ("matmul", "bmm")
    if not (matrices or methods) or len(product.users) != 1 or len(product.args) != 2:
        return None
    if node.target in (operator.truediv, torch.div):
        if number == 0:
            return None
        number = 1 / number
    left, right = product.args
    scaled = _call(node, operator.mul, left, number)
    return _call(node, torch.matmul, scaled, right)


_PRODUCTS = (operator.matmul, torch.matmul, torch.bmm)


def inverse_root(x: torch.Tensor, shift: float) -> torch.Tensor:
    """1 / sqrt(x + shift)."""
    return torch.rsqrt(x + shift)


fx.wrap("inverse_root")


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
