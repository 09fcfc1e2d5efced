"""Mean: our own kernel on int8."""

from __future__ import annotations

import math

from compress.operators.reduction import mean_parameters
from compress.ops import Mean
from compress.types import Graph
from hil.kernel_interface.call import Call, factor
from hil.kernel_interface.operator_kernels import OperatorKernels, always
from hil.types import Step


def _mean_call(graph: Graph, step: Step, op: Mean) -> Call:
    """Axes before the reduced ones are `blocks`, those behind them `elements` of a sum."""
    mean, shape = mean_parameters(graph, op), graph.tensors[op.input].shape
    values = {
        "sum_offset": mean.sum_offset,
        "output_offset": mean.output_offset,
        **factor(mean.multiplier, mean.shift),
        "blocks": math.prod(shape[: op.axes[0]]),
        "count": mean.count,
        "elements": math.prod(shape[op.axes[-1] + 1 :]),
    }
    return Call("mean", values)


OPERATORS = (OperatorKernels(op=Mean, kernels=always("mean_s8"), call=_mean_call),)
