"""What the C templates fill in for each layer: plain numbers and text, all worked out here.

`parameters` of a `Layer` are what the macro of the same `kind` in `layers.c.j2` names; constants
keep TensorFlow Lite's layouts (OHWI, 1HWC, NK), which are CMSIS-NN's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from compress.integer.fixedpoint import clamp_range, conv_multipliers, reduced_multipliers
from compress.ops import (
    Activation,
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool2D,
    Reshape,
    constants_of,
    inputs_of,
)
from compress.types import Graph
from hil.codegen.cmsis_nn import cmsis_nn
from hil.codegen.own_layers import own_layer
from hil.codegen.template_values import Constant, Dims, Layer, constant, safe, size_text, symbol
from hil.codegen.weight_storage import Stored, Weighted, stored_weights
from hil.types import Plan, Step


def layer_of(plan: Plan, step: Step) -> Layer:
    """The numbers and text of one step. Raises UnsupportedLayer without a fixed-point form."""
    graph, op = plan.graph, step.op
    out = graph.tensors[op.output]
    places: dict[str, Any] = {
        "inputs": tuple(plan.tensors[index].offset_bytes for index in inputs_of(op)),
        "output": plan.tensors[op.output].offset_bytes,
        "wide_input": graph.tensors[inputs_of(op)[0]].dtype == "int16",
        "wide_output": out.dtype == "int16",
    }
    comment = _comment(graph, step)
    match op:
        case Conv2D() | DepthwiseConv2D() | FullyConnected():
            source = graph.tensors[op.input]
            places |= {
                "symbol": symbol(step),
                "input_offset": -source.zero_point,
                "output_offset": out.zero_point,
                "range": clamp_range(out, op.activation),
                "upscale": step.kernel == "arm_convolve_s8" and cmsis_nn().since_7,
            }
            wide = out.dtype == "int16"
            multipliers = (reduced_multipliers if wide else conv_multipliers)(graph, op)
            stored = stored_weights(graph, op)
            constants = _constants(graph, step, stored, multipliers)
            places["expand"] = _expansion(step, constants[0].name, stored)
            if isinstance(op, FullyConnected):
                return _fully_connected(graph, step, op, comment, places, constants)
            places |= {
                "stride": op.stride,
                "padding": (op.padding.top, op.padding.left),
                "dilation": op.dilation,
            }
            dims = (Dims(*source.shape), Dims(*graph.tensors[op.weights].shape), Dims(*out.shape))
            if isinstance(op, Conv2D):
                return Layer(step, "conv", comment, places, *dims, constants)
            places["multiplier"] = out.shape[3] // source.shape[3]
            return Layer(step, "depthwise", comment, places, *dims, constants)
        case AveragePool2D() | MaxPool2D():
            places |= {
                "stride": op.stride,
                "padding": (op.padding.top, op.padding.left),
                "range": clamp_range(out, op.activation),
            }
            source = graph.tensors[op.input]
            dims = (Dims(*source.shape), Dims(1, *op.filter, 1), Dims(*out.shape))
            return Layer(step, "pool", comment, places, *dims)
        case Reshape():
            return Layer(step, "view", comment, places)
        case _:
            return own_layer(graph, step, op, comment, places)


def _fully_connected(
    graph: Graph,
    step: Step,
    op: FullyConnected,
    comment: str,
    places: dict[str, Any],
    constants: tuple[Constant, ...],
) -> Layer:
    """With a scale per unit: as a 1x1 convolution of one pixel, which has one per channel."""
    units, depth = graph.tensors[op.weights].shape
    sliced = places["expand"] and places["expand"]["slices"]
    pixel, result = Dims(1, 1, 1, depth), None if sliced else Dims(1, 1, 1, units)
    if step.kernel == "arm_fully_connected_s8":
        places["scale"] = conv_multipliers(graph, op)[0]
        dims = (pixel, Dims(depth, 1, 1, units), result)
        return Layer(step, "fully_connected", comment, places, *dims, constants)
    places |= {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}
    return Layer(step, "conv", comment, places, pixel, Dims(units, 1, 1, depth), result, constants)


def _constants(
    graph: Graph, step: Step, stored: Stored | None, multipliers: tuple[tuple[int, int], ...]
) -> tuple[Constant, ...]:
    """Weights and bias; multipliers and shifts, too, where there is one per channel."""
    weights, bias = (graph.tensors[index] for index in constants_of(step.op))
    if weights.data is None or bias.data is None:
        raise ValueError(f"{step.op.name}: weights and bias must be constants")
    note = f": {size_text(weights.shape)}"
    if stored is None:
        first = constant(step, "weights", "int8_t", weights.data, note)
    else:
        first = constant(step, "weights", "uint32_t", stored.words, f"{note} as {stored.form.text}")
    made = [first, constant(step, "bias", "int32_t", bias.data)]
    if step.kernel != "arm_fully_connected_s8":
        pairs = np.broadcast_to(np.array(multipliers), (bias.elements, 2))
        made += [
            constant(step, "multipliers", "int32_t", pairs[:, 0]),
            constant(step, "shifts", "int32_t", pairs[:, 1]),
        ]
    return tuple(made)


def _expansion(step: Step, name: str, stored: Stored | None) -> dict[str, Any] | None:
    """What is expanded before the kernel reads it, all at once or (`slices`) in a loop."""
    if stored is None or step.expanded is None:
        return None
    return {
        "function": "expand_sparse" if stored.form.sparse else "expand_packed",
        "stored": name,
        "bits": stored.form.bits,
        "offset": step.expanded.offset_bytes,
        "rows": stored.rows,
        "columns": stored.columns,
        "count": stored.rows * stored.columns,
        "all_rows": stored.all_rows,
        "slices": stored.rows < stored.all_rows,
    }


def _comment(graph: Graph, step: Step) -> str:
    """Index, name, shapes, window, activation, MACs, kernel, scratch: what is worth knowing."""
    op = step.op
    shapes = " + ".join(size_text(graph.tensors[index].shape) for index in inputs_of(op))
    parts = [f"{shapes} -> {size_text(graph.tensors[op.output].shape)}"]
    if isinstance(op, Conv2D | DepthwiseConv2D):
        parts.append(f"filter {size_text(graph.tensors[op.weights].shape[1:3])}")
    if isinstance(op, AveragePool2D | MaxPool2D):
        parts.append(f"window {size_text(op.filter)}")
    if isinstance(op, Conv2D | DepthwiseConv2D | AveragePool2D | MaxPool2D) and op.stride != (1, 1):
        parts.append(f"stride {size_text(op.stride)}")
    activation = getattr(op, "activation", Activation.NONE)
    if activation is not Activation.NONE:
        parts.append(activation.value)
    if step.macs:
        parts.append(f"{step.macs} MACs")
    parts.append("the same bytes" if isinstance(op, Reshape) else step.kernel)
    if isinstance(op, Weighted) and (stored := stored_weights(graph, op)):
        form, count = stored.form.text, graph.tensors[op.weights].elements
        parts.append(f"{count} weights as {form} in {stored.size_bytes} bytes")
    if step.scratch:
        parts.append(f"{step.scratch.size_bytes} bytes of scratch")
    return f"{step.index} {safe(op.name)}: {', '.join(parts)}"
