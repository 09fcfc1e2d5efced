"""Capture of operations that move no element or only join values: reshapes and concatenation."""

from typing import Any

import numpy as np
from torch import fx

from compress.errors import UnsupportedLayer
from compress.frontend.layout import layer_axis, permuted
from compress.frontend.reader import Reader, label, wide
from compress.frontend.trace import shape_of


def identity(reader: Reader, node: fx.Node, x: fx.Node, *args: Any, **kwargs: Any) -> None:
    """An operation that has no effect when the network is not trained."""
    reader.look(node, x)


def reshape(reader: Reader, node: fx.Node, x: fx.Node, *args: Any, **kwargs: Any) -> None:
    """Flatten, reshape, view, squeeze, unsqueeze, unflatten: the traced shape says it all."""
    reader.look(node, x)


def permute(reader: Reader, node: fx.Node, x: fx.Node, *dims: Any, **kwargs: Any) -> None:
    """Permutation of axes, which layers can read if it has no effect on how elements lie here."""
    given = kwargs.get("dims", dims)
    axes = given[0] if len(given) == 1 and not isinstance(given[0], int) else given
    _permute(reader, node, x, tuple(axes))


def transpose(reader: Reader, node: fx.Node, x: fx.Node, dim0: int, dim1: int) -> None:
    """Exchange of two axes."""
    axes = list(range(len(shape_of(node))))
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    _permute(reader, node, x, tuple(axes))


def _permute(reader: Reader, node: fx.Node, x: fx.Node, axes: tuple[int, ...]) -> None:
    source = reader.view(x, node)
    axes = tuple(axis % len(source.shape) for axis in axes)
    if axes[0] != 0:
        raise UnsupportedLayer(f"{label(node)}: permutes the samples of a batch")
    reader.look(node, x, permuted(source.order, source.shape, axes))


def index(reader: Reader, node: fx.Node, x: fx.Node, item: Any) -> None:
    """Indexing that leaves out no element: of axes of extent 1, or to add such axes."""
    parts = item if isinstance(item, tuple) else (item,)
    before, after = reader.view(x, node).shape, shape_of(node)
    simple = all(part is None or part is ... or isinstance(part, int | slice) for part in parts)
    if not simple or np.prod(before) != np.prod(after):
        raise UnsupportedLayer(
            f"{label(node)}: takes {wide(after)} out of {wide(before)}; slices have no integer "
            "kernel, except of axes of extent 1"
        )
    reader.look(node, x)


def concatenate(
    reader: Reader, node: fx.Node, tensors: Any, dim: int = 0, axis: int | None = None
) -> None:
    """torch.cat of values along any axis but that of the batch."""
    parts = [reader.view(part, node) for part in tensors]
    shape = shape_of(node)
    along = layer_axis(dim if axis is None else axis, len(shape))
    if along == 0 or len(shape) > 4:
        raise UnsupportedLayer(f"{label(node)}: joins the samples of batches")
    vectors = len(shape) == 2
    reader.emit(node, "concat", parts, any_order=vectors, axis=along)
    if vectors:
        offsets = np.cumsum([0, *(part.shape[1] for part in parts[:-1])])
        orders = [part.order + start for part, start in zip(parts, offsets, strict=True)]
        reader.views[node.name].order = np.concatenate(orders)
