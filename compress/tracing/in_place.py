"""In-place operations of a traced network, made functional with torch's own semantics.

An operation that changes a tensor in place changes it for everyone: whoever reads the tensor
afterwards, under whichever name, reads the changed values. Which operations do so and which values
share memory is observed by running the traced network once: torch counts the changes of a tensor.
Readers that come later are then given the operation's result, and the operation is replaced by the
one that leaves its input alone.
"""

from __future__ import annotations

import copy
import inspect
import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor as Values
from torch import fx, nn
from torch.nn import functional
from torch.nn.modules.dropout import _DropoutNd

from compress.errors import UnsupportedLayer
from compress.tracing.batches import made_batch
from compress.tracing.recording import AUGMENTED, source_line
from compress.types import InputShape

# Methods that change how a tensor is indexed, not its values.
_OF_SHAPE = (
    "squeeze_", "unsqueeze_", "transpose_", "t_", "swapaxes_", "swapdims_", "detach_",
    "requires_grad_",
)  # fmt: skip
_PURE_OPERATORS = {
    getattr(operator, f"__{name}__"): getattr(operator, f"__{name[1:]}__") for name in AUGMENTED
}
_DROPOUTS = (
    functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d,
    functional.alpha_dropout, functional.feature_alpha_dropout,
)  # fmt: skip
# Key in the `meta` of operations that are not the network's own.
ADDED = "added"
_BATCH = 2  # with one sample, axes of a tensor that are not adjacent in memory may seem to be


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value lies in memory: the address of its storage, and its elements there."""

    storage: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def elements(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The sorted indices of the value's elements in the storage."""
        index = np.full((), self.offset, np.int64)
        for size, stride in zip(self.shape, self.strides, strict=True):
            index = index[..., np.newaxis] + np.arange(size) * stride
        return np.unique(index)


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    """One in-place operation `by`, on the value of `of`; the same tensor is also `names`."""

    by: fx.Node
    of: fx.Node
    names: frozenset[fx.Node]


class _Observer(fx.Interpreter):
    """Runs a traced network and finds its in-place operations and where its values lie."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced, garbage_collect_values=False)
        self.changes: list[_Change] = []
        self.places: dict[fx.Node, _Place] = {}

    def run_node(self, n: fx.Node) -> object:
        read = {node: self.env[node] for node in n.all_input_nodes}
        before = {node: _version(value) for node, value in read.items()}
        value = super().run_node(n)
        changed = [node for node in read if _version(read[node]) != before[node]]
        if n.op != "output" and changed:
            out = n.kwargs.get("out")
            of = out if isinstance(out, fx.Node) else changed[0]
            names = (node for node, known in self.env.items() if known is self.env[of])
            self.changes.append(_Change(n, of, frozenset(names)))
        if isinstance(value, Values):
            self.places[n] = _place(value)
        return value


def make_functional(module: nn.Module, traced: fx.GraphModule, input_shape: InputShape) -> None:
    """Replace the in-place operations of `traced`, the trace of `module`, in place.

    Raises UnsupportedLayer, naming the operation and its line, for
    dropout that stays active in evaluation mode, and where a value is read later that a change
    reaches only in part or in another shape, and where parameters or buffers are changed.
    """
    _refuse_active_dropout(module, traced)
    if not any(_may_change(traced, node) for node in traced.graph.nodes):
        return
    observer = _Observer(traced)
    with torch.no_grad():
        observer.run(*made_batch(_slope, _BATCH, input_shape))
    order = {node: index for index, node in enumerate(traced.graph.nodes)}
    for change in observer.changes:
        _redirect(module, change, observer.places, order)
        if not _is_dropout(traced, change.by):
            _make_pure(traced, change.by)
    for node in list(traced.graph.nodes):
        if _is_dropout(traced, node):
            _shield(traced, node)
    traced.graph.lint()
    traced.recompile()


def _slope(shape: tuple[int, ...]) -> Values:
    """Not zeros, on which an operation could leave everything as it was. Versions count even so."""
    return torch.linspace(-1.0, 1.0, math.prod(shape)).reshape(shape)


def _redirect(
    module: nn.Module, change: _Change, places: dict[fx.Node, _Place], order: dict[fx.Node, int]
) -> None:
    """Give the result of the change to all later readers of the values that it changes."""
    by, place = change.by, places[change.of]
    for node, known in places.items():
        if known.storage != place.storage or order[node] >= order[by]:
            continue
        if node.op == "get_attr":
            raise UnsupportedLayer(
                f"{by.name}{_where(module, by)}: changes the parameter or buffer {node.target} in "
                "place; a network may not change itself while it runs"
            )
        readers = [reader for reader in node.users if order[reader] > order[by]]
        if not readers:
            continue
        if node in change.names or known == place:
            same = by in places and places[by].storage == place.storage
            if not same or (node not in change.names and places[by] != place):
                raise UnsupportedLayer(_unresolved(module, by, node))
            for reader in readers:
                reader.replace_input_with(node, by)
        elif str(by.target) in _OF_SHAPE:
            continue
        elif np.intersect1d(known.elements(), place.elements()).size:
            raise UnsupportedLayer(_unresolved(module, by, node))


def _unresolved(module: nn.Module, by: fx.Node, node: fx.Node) -> str:
    return (
        f"{by.name}{_where(module, by)}: changes values in place of which {node.name} is another "
        "view that is read later; use the form that is not in place"
    )


def _where(module: nn.Module, node: fx.Node) -> str:
    line = source_line(module, node.name)
    return f" ({line})" if line else ""


def _is_dropout(traced: fx.GraphModule, node: fx.Node) -> bool:
    return node.op == "call_module" and isinstance(
        traced.get_submodule(str(node.target)), _DropoutNd
    )


def _shield(traced: fx.GraphModule, dropout: fx.Node) -> None:
    """Give the dropout a copy of its input to change: it does so in training only.

    It cannot be replaced by another one, as it has to follow the network into training mode.
    """
    source = dropout.all_input_nodes[0]
    with traced.graph.inserting_before(dropout):
        copied = traced.graph.call_method("clone", (source,))
    copied.meta[ADDED] = True
    dropout.replace_input_with(source, copied)


def _make_pure(traced: fx.GraphModule, node: fx.Node) -> None:
    """Replace the operation by the one that leaves its input alone, if there is one."""
    target: Any = node.target
    if node.op == "call_module":
        layer: Any = traced.get_submodule(target)
        if getattr(layer, "inplace", False):
            apart = copy.copy(layer)  # shares everything; the network's own layer stays as it is
            apart.inplace = False
            traced.set_submodule(target, apart)
    elif node.op == "call_method":
        if hasattr(Values, target.removesuffix("_")):
            node.target = target.removesuffix("_")
    elif target in _PURE_OPERATORS:
        node.target = _PURE_OPERATORS[target]
    elif "out" in node.kwargs:
        node.kwargs = {name: value for name, value in node.kwargs.items() if name != "out"}
    elif target.__name__.endswith("_"):
        pure = target.__name__.removesuffix("_")
        node.target = getattr(torch, pure, None) or getattr(functional, pure, target)
    elif _inplace_argument(node):
        bound = inspect.signature(target).bind(*node.args, **node.kwargs)
        bound.arguments["inplace"] = False
        node.args, node.kwargs = bound.args, bound.kwargs


def _may_change(traced: fx.GraphModule, node: fx.Node) -> bool:
    """True for an operation that by torch's conventions may change a tensor in place."""
    target: Any = node.target
    if node.op == "call_module":
        return bool(getattr(traced.get_submodule(target), "inplace", False))
    if node.op == "call_method":
        return bool(target.endswith("_"))
    if node.op != "call_function":
        return False
    in_place = target in _PURE_OPERATORS or target is operator.setitem or "out" in node.kwargs
    return in_place or target.__name__.endswith("_") or _inplace_argument(node)


def _inplace_argument(node: fx.Node) -> bool:
    """True if the function of the node has an argument `inplace` that is not False."""
    target: Any = node.target
    if not inspect.isfunction(target) or "inplace" not in inspect.signature(target).parameters:
        return False
    bound = inspect.signature(target).bind(*node.args, **node.kwargs)
    return bool(bound.arguments.get("inplace", False))


def _refuse_active_dropout(module: nn.Module, traced: fx.GraphModule) -> None:
    """Raise UnsupportedLayer for a dropout that drops values in evaluation mode, too."""
    for node in traced.graph.nodes:
        if node.op == "call_module":
            layer: Any = traced.get_submodule(str(node.target))
            active = bool(isinstance(layer, _DropoutNd) and layer.training and layer.p != 0)
        else:
            active = node.op == "call_function" and _drops(node)
        if active:
            raise UnsupportedLayer(
                f"{node.name}{_where(module, node)}: dropout that is active in evaluation, too; "
                "pass training=self.training, or use nn.Dropout"
            )


def _drops(node: fx.Node) -> bool:
    """True for a call of one of torch's dropout functions that drops values."""
    target: Any = node.target
    if target is torch.dropout:  # a builtin, which has no signature: (input, p, train)
        given = {**dict(zip(("input", "p", "train"), node.args, strict=False)), **node.kwargs}
        return bool(given["train"] is not False and given["p"] != 0)
    if target not in _DROPOUTS:
        return False
    bound = inspect.signature(target).bind(*node.args, **node.kwargs)
    bound.apply_defaults()
    return bool(bound.arguments["training"]) and bound.arguments["p"] != 0


def _version(value: object) -> tuple[Any, ...]:
    """How often a tensor has been changed in place, and its shape, which may change with it."""
    if not isinstance(value, Values):
        return ()
    return value._version, tuple(value.shape), value.stride()


def _place(value: Values) -> _Place:
    return _Place(
        value.untyped_storage().data_ptr(),
        int(value.storage_offset()),
        tuple(map(int, value.shape)),
        tuple(map(int, value.stride())),
    )
