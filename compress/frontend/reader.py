"""Reads traced operations into layers: which value an operation's result is, and how it lies.

The handlers of `compress.frontend.capture_calls` and `capture_modules` call a `Reader`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, fx

from compress.errors import UnsupportedLayer
from compress.frontend.layers import Layer, LayerKind
from compress.frontend.layout import Shape, is_own, layer_shape, own_order
from compress.frontend.trace import SAMPLES, shape_of
from compress.ops import Padding
from compress.types import Array


@dataclass(eq=False)
class View:
    """What a traced tensor is here: the value `value` of shape `stored`, seen as `shape` in torch.

    `order` is that of its elements (`compress.frontend.layout`). A reshape makes no layer before
    a layer reads its result; that layer, and the value that it writes, are called `label` and
    `name`.
    """

    value: str
    stored: Shape
    shape: Shape
    order: Array
    label: str
    name: str


@dataclass
class Reader:
    """The layers read so far, and the view of each traced tensor by the operation's name."""

    layers: list[Layer] = field(default_factory=list)
    views: dict[str, View] = field(default_factory=dict)

    def view(self, source: Any, reader: fx.Node) -> View:
        """The operand `source` of operation `reader`. Raises UnsupportedLayer for a constant."""
        found = self.views.get(source.name) if isinstance(source, fx.Node) else None
        if found is None:
            raise UnsupportedLayer(f"{label(reader)}: reads {source}, which the network does not "
                                   "compute from its input as one tensor")  # fmt: skip
        return found

    def emit(
        self,
        node: fx.Node,
        kind: LayerKind,
        sources: Sequence[View],
        *,
        keeps_order: bool = False,
        any_order: bool = False,
        shape: Shape | None = None,
        **fields: Any,
    ) -> None:
        """Append the layer that computes `node` from `sources`.

        With `keeps_order` it works element by element on vectors, whatever their order; with
        `any_order` it reads those, too. `shape` is that of the output in torch, if it is not that
        of `node`: with the axes that `node` drops.
        """
        made = shape or shape_of(node)
        order = own_order(made)
        if keeps_order and len(made) == 2:
            order = sources[0].order
            if any(not np.array_equal(source.order, order) for source in sources):
                raise UnsupportedLayer(
                    f"{label(node)}: {kind} of vectors flattened in different orders; flatten "
                    "all of them alike"
                )
        inputs = tuple(self.value(source, node, keeps_order or any_order) for source in sources)
        stored = layer_shape(made)
        layer = Layer(label(node), kind, inputs, node.name, stored, node=node.name, **fields)
        self.layers.append(layer)
        name = node.name if shape is None else f"{node.name}_flat"
        self.views[node.name] = View(node.name, stored, shape_of(node), order, label(node), name)

    def padded(self, node: fx.Node, source: View, padding: Padding) -> View:
        """`source`, a map or series, with zeros around it: a padding that is part of `node`."""
        name, rank = f"{node.name}_padded", len(source.shape)
        rows, columns = padding.top + padding.bottom, padding.left + padding.right
        *outer, width = source.shape
        outer = outer if rank == 3 else [*outer[:2], outer[2] + rows]
        shape = (*outer, width + columns)
        inputs, stored = (self.value(source, node),), layer_shape(shape)
        pad = f"{label(node)}.pad"
        self.layers.append(Layer(pad, "pad", inputs, name, stored, node=node.name, padding=padding))
        return View(name, stored, shape, own_order(shape), pad, name)

    def value(self, view: View, reader: fx.Node, any_order: bool = False) -> str:
        """The name of a value that the operation `reader` can read as `view`.

        Appends a reshape where needed. Raises UnsupportedLayer if elements would have to move;
        with `any_order`, those of a vector need not.
        """
        vector = len(view.shape) == 2
        if not (any_order and vector) and not is_own(view.order, view.shape):
            why = "a flattened map, which only Linear and element-wise layers read"
            if not vector:
                why = f"{view.label}, whose elements would have to be transposed"
            raise UnsupportedLayer(f"{label(reader)}: reads {why}")
        wanted = layer_shape(view.shape)
        if view.stored != wanted:
            self.layers.append(
                Layer(view.label, "reshape", (view.value,), view.name, wanted, node=reader.name)
            )
            view.value, view.stored = view.name, wanted
        return view.value

    def look(self, node: fx.Node, source: fx.Node, order: Array | None = None) -> None:
        """Note that `node` is `source` with another shape, or with another `order` of elements.

        Raises UnsupportedLayer for a shape that mixes the samples of a batch.
        """
        view, shape = self.view(source, node), shape_of(node)
        if shape[:1] != (SAMPLES,):
            raise UnsupportedLayer(
                f"{label(node)}: reshape of {wide(view.shape)} to {wide(shape)} mixes the samples "
                "of a batch; the first axis must stay"
            )
        if order is None and shape == view.shape:
            self.views[node.name] = view
            return
        order = view.order if order is None else order
        self.views[node.name] = View(view.value, view.stored, shape, order, label(node), node.name)


def label(node: fx.Node) -> str:
    """The name of the layer in messages: the module's path, or that of the operation."""
    return str(node.target) if node.op == "call_module" else node.name


def wide(shape: Shape) -> str:
    """A shape in torch for messages, with N for the batch."""
    batch = "N" if shape[:1] == (SAMPLES,) else str(shape[0] if shape else "")
    return f"({', '.join((batch, *map(str, shape[1:])))})"


def array(values: Tensor | float) -> Array:
    """A constant as float32."""
    if isinstance(values, Tensor):
        return values.detach().numpy().astype(np.float32)
    return np.array(values, np.float32)
