"""Reads traced operations into layers: which value an operation's result is, and how it lies.

The handlers of `compress.frontend.capture_calls` and `capture_modules` call a `Reader`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, fx

from compress.errors import UnsupportedLayer
from compress.frontend.layers import Layer, LayerKind
from compress.frontend.layout import (
    Shape,
    is_own,
    layer_shape,
    movement,
    own_order,
    row_order,
    row_shape,
)
from compress.ops import Padding
from compress.tracing.trace import LABEL, SAMPLES, WIDE, shape_of
from compress.types import Array

# Reads one kind of operation: (reader, node, *arguments of the operation) -> None
Handler = Callable[..., None]

_LARGEST_RANK = 4


@dataclass(eq=False)
class View:
    """What a traced tensor is here: the value `value` of shape `stored`, seen as `shape` in torch.

    `order` is that of its elements (`compress.frontend.layout`). A reshape makes no layer before
    a layer reads its result; that layer, and the value that it writes, are called `label` and
    `name`. `shape` has the samples first; in torch they are axis `batch`, as 1 in (L, N, C).
    """

    value: str
    stored: Shape
    shape: Shape
    order: Array
    label: str
    name: str
    batch: int = 0

    @property
    def in_rows(self) -> bool:
        """True for a map or series that lies in rows, and not as torch's channels lie here."""
        rows = len(self.shape) > 2 and np.array_equal(self.order, row_order(self.shape))
        return rows and not is_own(self.order, self.shape)

    @property
    def row_shape(self) -> Shape:
        return row_shape(self.shape)


@dataclass
class Reader:
    """The layers read so far, and the view of each traced tensor by the operation's name.

    `parts` are the views of a split, by the operation's name: each an axis of torch, the first
    element and the number of elements. `orders` are those of all values, by their names, `made` the
    names of arranged values by what they are made of.
    """

    layers: list[Layer] = field(default_factory=list)
    views: dict[str, View] = field(default_factory=dict)
    parts: dict[str, tuple[View, list[tuple[int, int, int]]]] = field(default_factory=dict)
    orders: dict[str, Array] = field(default_factory=dict)
    made: dict[tuple[str, Shape, bytes], str] = field(default_factory=dict)

    def start(self, source: fx.Node) -> None:
        """Take `source`, an input of the network, for a value."""
        name, shape = source.name, shape_of(source)
        order = own_order(shape)
        self.views[name] = View(name, layer_shape(shape), shape, order, name, name)
        self.orders[name] = order

    def view(self, source: Any, reader: fx.Node, any_batch: bool = False) -> View:
        """The operand `source` of operation `reader`.

        Raises UnsupportedLayer for a constant and, unless `any_batch`, for one whose first axis is
        not that of the samples.
        """
        found = self.views.get(source.name) if isinstance(source, fx.Node) else None
        if found is None:
            raise UnsupportedLayer(f"{label(reader)}: reads {source}, which the network does not "
                                   "compute from its input as one tensor")  # fmt: skip
        if found.batch and not any_batch:
            raise UnsupportedLayer(
                f"{label(reader)}: reads {source}, whose axis {found.batch} has the samples of the "
                "batch, which only recurrent layers, permutations and the choice of a step do; "
                "transpose back to (N, ...)"
            )
        return found

    def emit(
        self,
        node: fx.Node,
        kind: LayerKind,
        sources: Sequence[View],
        *,
        keeps_order: bool = False,
        any_order: bool = False,
        in_rows: bool = False,
        shape: Shape | None = None,
        inputs: tuple[str, ...] = (),
        **fields: Any,
    ) -> None:
        """Append the layer that computes `node` from `sources`.

        With `keeps_order` it works element by element, in the order in which its inputs lie if that
        is one of a vector or in rows; with `any_order` it reads vectors of any order; with
        `in_rows` inputs and output lie in rows. `shape` is that of the output in torch, if it is
        not that of `node`: with the axes that `node` drops. `inputs` are the names of the values
        if they have been arranged already.
        """
        made = shape or shape_of(node)
        if len(made) > _LARGEST_RANK and not in_rows:
            raise UnsupportedLayer(
                f"{label(node)}: a tensor of {len(made)} axes; computed are those of up to "
                f"{_LARGEST_RANK}"
            )
        in_rows = in_rows or (keeps_order and all(source.in_rows for source in sources))
        order = row_order(made) if in_rows else own_order(made)
        if keeps_order and len(made) == 2:
            order = sources[0].order
            if any(not np.array_equal(source.order, order) for source in sources):
                order, keeps_order = own_order(made), False
        flat = any_order or (keeps_order and len(made) == 2)
        inputs = inputs or tuple(
            self.in_rows(source, node) if in_rows else self.value(source, node, flat)
            for source in sources
        )
        stored = row_shape(made) if in_rows else layer_shape(made)
        wide = bool(node.meta.get(WIDE, False))
        layer = Layer(
            label(node), kind, inputs, node.name, stored, node=node.name, wide=wide, **fields
        )
        self.layers.append(layer)
        self.orders[node.name] = order
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
        """The name of a value that the operation `reader` can read as `view`, channels last.

        Appends a reshape or a transposition where needed; with `any_order`, the elements of a
        vector stay where they are.
        """
        vector = len(view.shape) == 2
        order = view.order if any_order and vector else own_order(view.shape)
        return self.arranged(view, reader, order, layer_shape(view.shape), "")

    def in_rows(self, view: View, reader: fx.Node, stored: Shape | None = None) -> str:
        """The name of the value in rows, as one of the shape `stored`."""
        wanted = stored or row_shape(view.shape)
        return self.arranged(view, reader, row_order(view.shape), wanted, "_rows")

    def arranged(
        self, view: View, reader: fx.Node, order: Array, stored: Shape, suffix: str
    ) -> str:
        """The name of a value of this `order` and shape: the view's own, or that of a new layer."""
        moves = not np.array_equal(view.order, order)
        if not moves and view.stored == stored:
            return view.value
        key = view.value, stored, order.tobytes()
        if key not in self.made:
            name = view.name if view.name not in self.orders else f"{view.name}{suffix or '_own'}"
            while name in self.orders:
                name += "_"
            found = movement(view.order, order) if moves else None
            if moves and found is None:
                raise UnsupportedLayer(
                    f"{label(reader)}: reads {view.label}, whose elements would have to be moved "
                    "otherwise than by an exchange of axes"
                )
            self.layers.append(
                Layer(
                    view.label,
                    "transpose" if moves else "reshape",
                    (view.value,),
                    name,
                    stored,
                    node=reader.name,
                    movement=found,
                )
            )
            self.orders[name], self.made[key] = order, name
        return self.made[key]

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
    known: str = node.meta.get(LABEL, "")
    return known or (str(node.target) if node.op == "call_module" else node.name)


def wide(shape: Shape) -> str:
    """A shape in torch for messages, with N for the batch."""
    batch = "N" if shape[:1] == (SAMPLES,) else str(shape[0] if shape else "")
    return f"({', '.join((batch, *map(str, shape[1:])))})"


def array(values: Tensor | float) -> Array:
    """A constant as float32."""
    if isinstance(values, Tensor):
        return values.detach().numpy().astype(np.float32)
    return np.array(values, np.float32)
