"""Conversion of a `torch.nn.Module` to a list of float `Layer`s, by tracing it with torch.fx.

A layer without an integer kernel is refused (`UnsupportedLayer`), never approximated. Layouts
change here from torch's NCHW to NHWC, including weights and flattened vectors. What the output does
not depend on is left out.
"""

import inspect
from collections.abc import Sequence
from typing import Any

from torch import fx, nn

from compress.errors import UnsupportedLayer
from compress.frontend.capture_calls import CALLS, call_name, supported_calls
from compress.frontend.capture_modules import captured, supported_modules
from compress.frontend.layers import Layer
from compress.frontend.reader import Reader, label
from compress.tracing.answers import parts_of_answer
from compress.tracing.trace import trace_module

__all__ = ["capture", "trace_module"]

# torch's names of the operands of functions, and ours.
_OPERANDS = {"input": "x", "other": "y"}


def capture(traced: fx.GraphModule) -> tuple[tuple[Layer, ...], tuple[str, ...], tuple[str, ...]]:
    """The layers in execution order, and the names of the input values and of the output values.

    The meta entries of each traced operation become "value", the name of the value that it is here,
    and "order", that of its elements in memory (`compress.frontend.layout`), of the value of the
    operation's own name if there is one.
    Raises UnsupportedLayer, naming the layer and what is allowed.
    """
    reader, sources, outputs = Reader(), list[str](), tuple[str, ...]()
    needed = _needed(traced)
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            if node not in needed:
                raise UnsupportedLayer(
                    f"the output does not depend on the input {node.target}: leave it out"
                )
            sources.append(node.name)
            reader.start(node)
        elif node.op == "output":
            outputs = _outputs(reader, node, sources)
        elif node in needed and "constant" not in node.meta:
            _read(reader, traced, node)
    for node in traced.graph.nodes:
        if node.name in reader.views:
            view = reader.views[node.name]
            node.meta["value"] = view.value
            node.meta["order"] = reader.orders.get(node.name, view.order)
    return tuple(reader.layers), tuple(sources), outputs


def _needed(traced: fx.GraphModule) -> set[fx.Node]:
    """The operations that the output depends on."""
    pending = [node for node in traced.graph.nodes if node.op == "output"]
    found: set[fx.Node] = set()
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += node.all_input_nodes
    return found


def _outputs(reader: Reader, node: fx.Node, sources: Sequence[str]) -> tuple[str, ...]:
    """The names of the values that the network returns, in its order. Raises UnsupportedLayer."""
    names: list[str] = []
    returned = parts_of_answer(node.args[0])
    for number, value in enumerate(returned, 1):
        if not isinstance(value, fx.Node) or "constant" in value.meta or value.name in reader.parts:
            raise UnsupportedLayer(
                f"output {number} of {len(returned)} is no tensor that is computed from the input: "
                "return a tensor, or a tuple, list or dict of tensors"
            )
        name = reader.value(reader.view(value, node), value)
        if len(returned) > 1 and name in (*names, *sources):
            same = "an input" if name in sources else f"output {names.index(name) + 1}"
            raise UnsupportedLayer(
                f"output {number} of {len(returned)} is the same as {same}: leave it out"
            )
        names.append(name)
    return tuple(names)


def _read(reader: Reader, traced: fx.GraphModule, node: fx.Node) -> None:
    """Append the layers of one traced operation. Raises UnsupportedLayer."""
    extra: dict[str, Any] = {}
    if node.op == "call_module":
        module = traced.get_submodule(str(node.target))
        found = captured(module)
        if found is None:
            raise UnsupportedLayer(
                f"{label(node)}: {type(module).__name__} has no integer kernel"
                f"{_instead_of(module)}; supported are {supported_modules()}"
            )
        read, extra = found.read, found.arguments(module)
    else:
        if node.target not in CALLS:
            raise UnsupportedLayer(
                f"{label(node)}: {call_name(node.target)} has no integer kernel; of functions and "
                f"methods there are {supported_calls()}"
            )
        read = CALLS[node.target]
    args = fx.node.map_arg(node.args, _known)
    named = {_OPERANDS.get(name, name): value for name, value in node.kwargs.items()}
    kwargs = fx.node.map_arg(named, _known)
    try:
        inspect.signature(read).bind(reader, node, *args, **kwargs, **extra)
    except TypeError as error:
        raise UnsupportedLayer(f"{label(node)}: {error}") from error
    read(reader, node, *args, **kwargs, **extra)


# The nearest form that is supported, by the names of modules that are not.
_INSTEAD = {
    "GroupNorm": "use one group, one for each channel, or BatchNorm2d",
    "InstanceNorm2d": "use it without track_running_stats",
    "InstanceNorm1d": "use it without track_running_stats",
    "MultiheadAttention": "use Linear for queries, keys, values and the output, and "
    "torch.nn.functional.scaled_dot_product_attention",
    "TransformerEncoderLayer": "use LayerNorm, Linear and "
    "torch.nn.functional.scaled_dot_product_attention",
    "Conv3d": "use Conv2d",
    "Embedding": "give its vectors as the input",
}


def _instead_of(module: nn.Module) -> str:
    return f" ({_INSTEAD[name]})" if (name := type(module).__name__) in _INSTEAD else ""


def _known(node: fx.Node) -> Any:
    """The value of an operation that does not depend on the input, or else the operation."""
    return node.meta.get("constant", node)
