"""Shared parts of operators with weights: their limits, memory and the values of their calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from compress.arithmetic.fixedpoint import clamp_range, conv_multipliers, reduced_multipliers
from compress.ops import Weighted
from compress.types import Graph
from hil.kernel_interface.call import Call, Constant, Dims, constant, size_text, symbol
from hil.kernel_interface.limits import check_constant
from hil.kernels.cmsis_nn import cmsis_nn
from hil.kernels.weight_storage import Stored, stored_weights
from hil.types import Step

# A bias, a multiplier and a shift for each output channel, all int32.
_BYTES_PER_CHANNEL = 12


def check_weights(graph: Graph, op: Weighted) -> None:
    """Raise UnsupportedLayer unless weights are int8 or int4 and biases int32 constants."""
    check_constant(graph, op, op.weights, "int8", "int4", any_zero_point=graph.uint8)
    check_constant(graph, op, op.bias, "int32")


def have_zero_point(graph: Graph, op: Weighted) -> bool:
    """True if the weights have a zero point, which only kernels named "offset" subtract."""
    return graph.tensors[op.weights].zero_point != 0


def expanded_bytes(graph: Graph, op: Weighted) -> int:
    """Room in the arena for expanded weights; 0 if the kernel reads them from flash."""
    stored = stored_weights(graph, op)
    return 0 if stored is None else stored.room_bytes


def stored_in(graph: Graph, step: Step, op: Weighted) -> Stored | None:
    """The form of the weights that the step expands; None if it reads plain int8."""
    return None if step.expanded is None else stored_weights(graph, op)


def weight_bytes(graph: Graph, step: Step, op: Weighted) -> int:
    """Bytes of the weights as stored, of biases and of scales."""
    stored = stored_in(graph, step, op)
    weights: int = graph.tensors[op.weights].elements if stored is None else stored.size_bytes
    return weights + _BYTES_PER_CHANNEL * graph.tensors[op.bias].elements


def weighted_call(
    graph: Graph,
    step: Step,
    op: Weighted,
    *,
    macro: str,
    values: Mapping[str, Any],
    dims: tuple[Dims, Dims, Dims | None],
    stored: Stored | None,
    per_channel: bool = True,
    window: tuple[str, ...] = (),
) -> Call:
    """The call of a kernel with weights: common values, constants, expansion, and `values`.

    `dims` are those of input, filter and output (None if the macro makes them itself). With
    `per_channel` the kernel reads a multiplier and a shift for each output channel.
    """
    source, out = graph.tensors[op.input], graph.tensors[op.output]
    multipliers = (reduced_multipliers if out.dtype == "int16" else conv_multipliers)(graph, op)
    constants = _constants(graph, step, op, stored)
    if per_channel:
        pairs = np.broadcast_to(np.array(multipliers), (graph.tensors[op.bias].elements, 2))
        constants += [
            constant(step, "multipliers", "int32_t", pairs[:, 0]),
            constant(step, "shifts", "int32_t", pairs[:, 1]),
        ]
    input_dims, filter_dims, output_dims = dims
    return Call(
        macro=macro,
        values={
            "symbol": symbol(step),
            "input_offset": -source.zero_point,
            "output_offset": out.zero_point,
            "filter_offset": -graph.tensors[op.weights].zero_point,
            "range": clamp_range(out, op.activation),
            "upscale": step.kernel == "arm_convolve_s8" and cmsis_nn().since_7,
            "expand": _expansion(step, constants, stored),
            **values,
        },
        input_dims=input_dims,
        filter_dims=filter_dims,
        output_dims=output_dims,
        constants=tuple(constants),
        window=window,
        storage=_storage_text(graph, op, stored),
    )


def _constants(graph: Graph, step: Step, op: Weighted, stored: Stored | None) -> list[Constant]:
    """Weights and biases."""
    weights, bias = graph.tensors[op.weights], graph.tensors[op.bias]
    if weights.data is None or bias.data is None:
        raise ValueError(f"{op.name}: weights and bias must be constants")
    note = f": {size_text(weights.shape)}"
    if stored is None:
        first = constant(step, "weights", "int8_t", weights.data, note)
    else:
        first = constant(step, "weights", "uint32_t", stored.words, f"{note} as {stored.form.text}")
    return [first, constant(step, "bias", "int32_t", bias.data)]


def _expansion(
    step: Step, constants: Sequence[Constant], stored: Stored | None
) -> dict[str, Any] | None:
    """Expansion of stored weights before the kernel reads them: at once or, sliced, in a loop."""
    if stored is None or step.expanded is None:
        return None
    return {
        "function": "expand_sparse" if stored.form.sparse else "expand_packed",
        "stored": constants[0].name,
        "bits": stored.form.bits,
        "offset": step.expanded.offset_bytes,
        "rows": stored.rows,
        "columns": stored.columns,
        "count": stored.rows * stored.columns,
        "all_rows": stored.all_rows,
        "slices": stored.sliced,
    }


def _storage_text(graph: Graph, op: Weighted, stored: Stored | None) -> tuple[str, ...]:
    if stored is None:
        return ()
    count = graph.tensors[op.weights].elements
    return (f"{count} weights as {stored.form.text} in {stored.size_bytes} bytes",)
