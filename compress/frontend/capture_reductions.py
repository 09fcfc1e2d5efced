"""Capture of means, sums and extremes over axes."""

from typing import Any

from torch import fx

from compress.errors import UnsupportedLayer
from compress.frontend.capture_arithmetic import maximum, minimum
from compress.frontend.capture_weighted import pair
from compress.frontend.layers import LayerKind
from compress.frontend.layout import layer_axis
from compress.frontend.reader import Reader, View, label, wide
from compress.tracing.trace import WIDE


def mean(
    reader: Reader,
    node: fx.Node,
    x: fx.Node,
    dim: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> None:
    """The mean over any axes; over height, width or both of a map as a pool of the whole extent."""
    source = reader.view(x, node)
    shape, axes = source.shape, _axes(node, source, dim)
    over_positions = len(shape) in (3, 4) and axes <= set(range(2, len(shape)))
    if not over_positions or source.in_rows or node.meta.get(WIDE):
        _reduce(reader, node, "mean", source, axes)
        return
    wanted = [n if axis in axes else 1 for axis, n in enumerate(shape)][2:]
    window = pair(wanted, len(shape))
    kept = _kept(source, axes)
    reader.emit(node, "average_pool", [source], shape=kept, filter=window, stride=window)


def total(
    reader: Reader,
    node: fx.Node,
    x: fx.Node,
    dim: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> None:
    """The sum over axes."""
    source = reader.view(x, node)
    _reduce(reader, node, "sum", source, _axes(node, source, dim))


def highest(
    reader: Reader, node: fx.Node, x: fx.Node, dim: Any = None, keepdim: bool = False
) -> None:
    """The maximum over axes."""
    source = reader.view(x, node)
    _reduce(reader, node, "reduce_max", source, _axes(node, source, dim))


def lowest(
    reader: Reader, node: fx.Node, x: fx.Node, dim: Any = None, keepdim: bool = False
) -> None:
    """The minimum over axes."""
    source = reader.view(x, node)
    _reduce(reader, node, "reduce_min", source, _axes(node, source, dim))


def greater(reader: Reader, node: fx.Node, x: fx.Node, y: Any = None, **options: Any) -> None:
    """torch.max of two values; of one, it also returns positions."""
    _of_two(node, y, options, "amax")
    maximum(reader, node, x, y)


def lesser(reader: Reader, node: fx.Node, x: fx.Node, y: Any = None, **options: Any) -> None:
    """torch.min of two values; of one, it also returns positions."""
    _of_two(node, y, options, "amin")
    minimum(reader, node, x, y)


def _of_two(node: fx.Node, y: Any, options: dict[str, Any], instead: str) -> None:
    if y is None or isinstance(y, int) or options:
        raise UnsupportedLayer(
            f"{label(node)}: positions of extremes have no integer kernel; use torch.{instead}"
        )


def _axes(node: fx.Node, source: View, dim: Any) -> set[int]:
    """The reduced axes of torch. Raises UnsupportedLayer for that of the batch."""
    rank = len(source.shape)
    given = (dim,) if isinstance(dim, int) else tuple(dim or range(rank))
    axes = {axis % rank for axis in given}
    if 0 in axes:
        raise UnsupportedLayer(
            f"{label(node)}: {node.target if isinstance(node.target, str) else 'a reduction'} of "
            f"{wide(source.shape)} over the samples of a batch; allowed are the other axes"
        )
    if rank > 4:
        raise UnsupportedLayer(f"{label(node)}: reduces {rank} axes; allowed are up to 4")
    return axes


def _kept(source: View, axes: set[int]) -> tuple[int, ...]:
    return tuple(1 if axis in axes else n for axis, n in enumerate(source.shape))


def _reduce(reader: Reader, node: fx.Node, kind: LayerKind, source: View, axes: set[int]) -> None:
    in_rows, rank = source.in_rows, len(source.shape)
    here = tuple(sorted(layer_axis(axis, rank, in_rows) for axis in axes))
    kept = _kept(source, axes)
    reader.emit(node, kind, [source], in_rows=in_rows, shape=kept, axes=here)
