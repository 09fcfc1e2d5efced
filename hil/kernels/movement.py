"""Operators that copy elements in an order of theirs: one kernel, `rearrange`, for any type.

The output is written from front to back. Along each of its axes the input is read with a fixed step
of bytes: negative where the axis is reversed, 0 where it is repeated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from compress.errors import UnsupportedLayer
from compress.ops import BroadcastTo, Gather, StridedSlice, Transpose
from compress.types import Graph, Tensor
from hil.kernel_interface.call import Call, constant
from hil.kernel_interface.operator_kernels import OperatorKernels, always
from hil.types import Step

MOST_LEVELS = 6  # loops of rearrange outside of a run (REARRANGE_LEVELS in kernels.h)
# (bytes of the input to begin at, (extent, step in bytes) of each axis of the output)
_Walk = tuple[int, list[tuple[int, int]]]


def _steps(tensor: Tensor) -> list[int]:
    """Bytes from one element to the next along each axis."""
    bytes_ = tensor.size_bytes // tensor.elements
    return [bytes_ * math.prod(tensor.shape[axis + 1 :]) for axis in range(len(tensor.shape))]


def _walk(graph: Graph, op: StridedSlice | Transpose | BroadcastTo) -> _Walk:
    x, out = graph.tensors[op.input], graph.tensors[op.output]
    steps, start = _steps(x), 0
    match op:
        case StridedSlice():
            start = sum(begin * step for begin, step in zip(op.begin, steps, strict=True))
            steps = [stride * step for stride, step in zip(op.stride, steps, strict=True)]
        case Transpose():
            steps = [steps[axis] for axis in op.permutation]
        case BroadcastTo():
            steps = [0 if n == 1 else step for n, step in zip(x.shape, steps, strict=True)]
    return start, list(zip(out.shape, steps, strict=True))


def levels(
    axes: Iterable[tuple[int, int]], element_bytes: int
) -> tuple[int, list[tuple[int, int]]]:
    """(bytes of a run, (count, step) of the loops around it, outermost first).

    Axes of extent 1 are left out; neighbors that one loop can walk are joined.
    """
    joined = [(element_bytes, 1)]  # innermost first; the first is the run, in bytes
    for extent, step in reversed(list(axes)):
        count, inner = joined[-1]
        if extent == 1:
            continue
        if step == count * inner:
            joined[-1] = (count * extent, inner)
        else:
            joined.append((extent, step))
    return joined[0][0], joined[:0:-1]


def _check(graph: Graph, op: StridedSlice | Transpose | BroadcastTo) -> None:
    x = graph.tensors[op.input]
    _, loops = levels(_walk(graph, op)[1], x.size_bytes // x.elements)
    if len(loops) > MOST_LEVELS:
        raise UnsupportedLayer(f"{op.name}: more than {MOST_LEVELS} loops over {x.shape}")


def _call(graph: Graph, step: Step, op: StridedSlice | Transpose | BroadcastTo) -> Call:
    x = graph.tensors[op.input]
    start, axes = _walk(graph, op)
    run_bytes, loops = levels(axes, x.size_bytes // x.elements)
    return Call("rearrange", {"start": start, "run_bytes": run_bytes, "levels": loops})


def _gather_call(graph: Graph, step: Step, op: Gather) -> Call:
    """Axes before the gathered one are `blocks`, those behind it `run_bytes`."""
    x = graph.tensors[op.input]
    run_bytes = _steps(x)[op.axis]
    indices = constant(step, "indices", "int16_t", np.array(op.indices))
    values = {
        "indices": indices.name,
        "blocks": math.prod(x.shape[: op.axis]),
        "block_bytes": x.shape[op.axis] * run_bytes,
        "count": len(op.indices),
        "run_bytes": run_bytes,
    }
    return Call("gather", values, constants=(indices,))


OPERATORS = (
    OperatorKernels(
        op=StridedSlice,
        check=_check,
        kernels=always("rearrange"),
        int16_kernels=always("rearrange"),
        call=_call,
    ),
    OperatorKernels(
        op=Transpose,
        check=_check,
        kernels=always("rearrange"),
        int16_kernels=always("rearrange"),
        call=_call,
    ),
    OperatorKernels(
        op=BroadcastTo,
        check=_check,
        kernels=always("rearrange"),
        int16_kernels=always("rearrange"),
        call=_call,
    ),
    OperatorKernels(
        op=Gather,
        kernels=always("gather"),
        int16_kernels=always("gather"),
        call=_gather_call,
    ),
)
