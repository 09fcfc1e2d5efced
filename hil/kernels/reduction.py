"""Mean, Sum, ReduceMax and ReduceMin: our own kernels on int8 and int16."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from compress.errors import UnsupportedLayer
from compress.operators.reduction import Reduction, sum_parameters
from compress.ops import Mean, ReduceMax, ReduceMin, Sum
from compress.types import Graph
from hil.kernel_interface.call import Call, factor
from hil.kernel_interface.operator_kernels import Kernel, OperatorKernels, always
from hil.types import Board, Step

# The kernels reduce one axis or two that are apart; adjacent axes are one to them.
_MOST_REDUCED = 2


def _axes(graph: Graph, op: Reduction) -> list[int]:
    """Extents of the axes as the kernels see them: kept, reduced, kept .. kept.

    Adjacent axes of one kind are merged, axes of extent 1 are left out.
    """
    extents = [1]
    for axis, extent in enumerate(graph.tensors[op.input].shape):
        if extent == 1:
            continue
        reduced = axis in op.axes
        if (len(extents) % 2 == 0) != reduced:
            extents.append(1)
        extents[-1] *= extent
    return extents if len(extents) % 2 else [*extents, 1]


def _check(graph: Graph, op: Reduction) -> None:
    if len(_axes(graph, op)) > 2 * _MOST_REDUCED + 1:
        shape = graph.tensors[op.input].shape
        raise UnsupportedLayer(
            f"{op.name}: axes {op.axes} of {shape} are more than {_MOST_REDUCED} groups of "
            "adjacent axes"
        )


def _sum_kernels(graph: Graph, op: Mean | Sum, board: Board) -> Iterator[Kernel]:
    """mean_s8 is faster, but reduces adjacent axes only."""
    if len(_axes(graph, op)) <= 3:
        yield Kernel("mean_s8")
    yield Kernel("sum_s8")


def _sum_call(graph: Graph, step: Step, op: Mean | Sum) -> Call:
    p, axes = sum_parameters(graph, op), _axes(graph, op)
    values = {
        "sum_offset": p.sum_offset,
        "output_offset": p.output_offset,
        **factor(p.multiplier, p.shift),
    }
    if step.kernel == "mean_s8":
        blocks, count, elements = axes if len(axes) == 3 else (*axes, 1, 1)
        return Call("mean", {**values, "blocks": blocks, "count": count, "elements": elements})
    return Call("sum", {**values, **_shape(axes)})


def _extreme_call(graph: Graph, step: Step, op: ReduceMax | ReduceMin) -> Call:
    return Call("reduce_extreme", _shape(_axes(graph, op)))


def _shape(axes: Sequence[int]) -> dict[str, Any]:
    """Extents for a kernel of two reduced axes; those that are absent have extent 1."""
    if len(axes) == 5:
        return {"shape": tuple(axes)}
    blocks, outer, elements = axes if len(axes) == 3 else (*axes, 1, 1)
    return {"shape": (blocks, outer, 1, 1, elements)}


OPERATORS = (
    OperatorKernels(
        op=Mean,
        check=_check,
        kernels=_sum_kernels,
        int16_kernels=always("sum_s16"),
        call=_sum_call,
    ),
    OperatorKernels(
        op=Sum,
        check=_check,
        kernels=_sum_kernels,
        int16_kernels=always("sum_s16"),
        call=_sum_call,
    ),
    OperatorKernels(
        op=ReduceMax,
        check=_check,
        kernels=always("reduce_max_s8"),
        int16_kernels=always("reduce_max_s16"),
        call=_extreme_call,
    ),
    OperatorKernels(
        op=ReduceMin,
        check=_check,
        kernels=always("reduce_min_s8"),
        int16_kernels=always("reduce_min_s16"),
        call=_extreme_call,
    ),
)
