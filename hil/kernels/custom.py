"""Custom operators: the user's C function, called with a description of each operand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compress.ops import Custom
from compress.types import Graph, Tensor
from hil.kernel_interface.call import Call, Constant, constant
from hil.kernel_interface.operator_kernels import Kernel, OperatorKernels
from hil.types import Board, Step


def _kernels(graph: Graph, op: Custom, board: Board) -> Iterator[Kernel]:
    yield Kernel(op.definition.function)


def _call(graph: Graph, step: Step, op: Custom) -> Call:
    """`operands`: what the C initializers hold; data of an activation is its position."""
    constants: list[Constant] = []

    def facts(index: int) -> dict[str, Any]:
        tensor = graph.tensors[index]
        data: str | int
        if index in op.parameters:
            name = f"operand{op.parameters.index(index)}"
            constants.append(constant(step, name, _c_type(tensor), _data(op, tensor)))
            data = constants[-1].name
        else:
            sources = op.inputs if index in op.inputs else op.outputs
            data = sources.index(index)
        return {
            "data": data,
            "shape": tensor.shape,
            "scale": float.hex(tensor.scale),
            "zero_point": tensor.zero_point,
        }

    values = {
        "function": op.definition.function,
        "operands": [facts(index) for index in op.operands],
        "results": [facts(index) for index in op.outputs],
        "options": list(op.options),
    }
    return Call("custom", values, constants=tuple(constants))


def _c_type(tensor: Tensor) -> str:
    return f"{np.dtype(tensor.item).name}_t"


def _data(op: Custom, tensor: Tensor) -> Any:
    if tensor.data is None:
        raise ValueError(f"{op.name}: {tensor.name} has no data")
    return tensor.data


OPERATORS = (
    OperatorKernels(
        op=Custom, kernels=_kernels, int16_kernels=_kernels, call=_call, any_extent=True
    ),
)
