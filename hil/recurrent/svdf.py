"""Svdf: our own kernels for states of int8 and int16, which are written over."""

from __future__ import annotations

import numpy as np

from compress.ops import Svdf
from compress.recurrent.svdf import svdf_parameters
from compress.types import Graph
from hil.kernel_interface.call import Call, c_type, constant, factor
from hil.kernel_interface.operator_kernels import OperatorKernels, always
from hil.types import Step


def _call(graph: Graph, step: Step, op: Svdf) -> Call:
    p, state = svdf_parameters(graph, op), graph.tensors[op.state]
    features, time = graph.tensors[op.feature_weights], graph.tensors[op.time_weights]
    if features.data is None or time.data is None:
        raise ValueError(f"{op.name}: weights must be constants")
    constants = (
        constant(step, "feature_weights", "int8_t", features.data),
        constant(step, "feature_offsets", "int32_t", p.feature_offsets.astype(np.int32)),
        constant(step, "time_weights", c_type(time), time.data),
        # Sums over time wrap at 32 bits.
        constant(step, "output_offsets", "int32_t", p.output_offsets.astype(np.int32)),
    )
    values = {
        "depth": features.shape[1],
        "units": graph.tensors[op.output].elements,
        "rank": op.rank,
        "memory": time.shape[1],
        "feature": factor(*p.feature),
        "total": factor(*p.output),
        "state_offset": p.state_offset,
        "output_offset": p.output_offset,
        "arrays": [array.name for array in constants],
        "wide": state.dtype == "int16",
    }
    return Call("svdf", values, constants=constants)


def _weight_bytes(graph: Graph, step: Step, op: Svdf) -> int:
    """Weights, and an int32 for each filter and each output."""
    weights = (op.feature_weights, op.time_weights)
    filters, units = graph.tensors[op.time_weights].shape[0], graph.tensors[op.output].elements
    return sum(graph.tensors[index].size_bytes for index in weights) + 4 * (filters + units)


OPERATORS = (
    OperatorKernels(
        op=Svdf,
        kernels=always("svdf_s8"),
        int16_kernels=always("svdf_s16"),
        call=_call,
        weight_bytes=_weight_bytes,
    ),
)
