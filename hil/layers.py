"""What the C templates fill in for each layer: plain numbers and text, all worked out here.

`parameters` of a `Layer` are what the macro of the same `kind` in `layers.c.j2` names; constants
keep TensorFlow Lite's layouts (OHWI, 1HWC, NK), which are CMSIS-NN's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from compress.fixedpoint import (
    INT8_MAX,
    INT8_MIN,
    add_parameters,
    clamp_range,
    conv_multipliers,
    requantize_parameters,
    softmax_parameters,
)
from compress.ops import (
    Activation,
    Add,
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool2D,
    Requantize,
    Reshape,
    Softmax,
    constants_of,
    inputs_of,
)
from compress.types import Array, Graph
from hil.types import Plan, Step

_VALUES_PER_LINE = {"int8_t": 19, "int32_t": 8}


@dataclass(frozen=True, slots=True)
class Dims:
    """A cmsis_nn_dims constant, named by its value so that equal shapes share one."""

    n: int
    h: int
    w: int
    c: int

    @property
    def name(self) -> str:
        return f"dims_{self.n}x{self.h}x{self.w}x{self.c}"


@dataclass(frozen=True, slots=True)
class Constant:
    """A const array in flash: its values as lines of C."""

    name: str
    type: str
    elements: int
    comment: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator as the templates see it. `shapes` are None for kernels that take no dims."""

    step: Step
    kind: str
    comment: str
    parameters: Mapping[str, Any]
    input_dims: Dims | None = None
    filter_dims: Dims | None = None
    output_dims: Dims | None = None
    constants: tuple[Constant, ...] = ()

    @property
    def shapes(self) -> tuple[Dims, ...]:
        return tuple(d for d in (self.input_dims, self.filter_dims, self.output_dims) if d)


def layer_of(plan: Plan, step: Step) -> Layer:
    """The numbers and text of one step. Raises UnsupportedLayer without a fixed-point form."""
    graph, op = plan.graph, step.op
    out = graph.tensors[op.output]
    places: dict[str, Any] = {
        "inputs": tuple(plan.tensors[index].offset_bytes for index in inputs_of(op)),
        "output": plan.tensors[op.output].offset_bytes,
    }
    comment = _comment(graph, step)
    match op:
        case Conv2D() | DepthwiseConv2D() | FullyConnected():
            source = graph.tensors[op.input]
            places |= {
                "symbol": _symbol(step),
                "input_offset": -source.zero_point,
                "output_offset": out.zero_point,
                "range": clamp_range(out, op.activation),
            }
            multipliers = conv_multipliers(graph, op)
            constants = _constants(graph, step, multipliers)
            if isinstance(op, FullyConnected):
                units, depth = graph.tensors[op.weights].shape
                dims = (Dims(1, 1, 1, depth), Dims(depth, 1, 1, units), Dims(1, 1, 1, units))
                places["scale"] = multipliers[0]
                return Layer(step, "fully_connected", comment, places, *dims, constants)
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
                "range": (INT8_MIN, INT8_MAX),
            }
            source = graph.tensors[op.input]
            dims = (Dims(*source.shape), Dims(1, *op.filter, 1), Dims(*out.shape))
            return Layer(step, "pool", comment, places, *dims)
        case Reshape():
            return Layer(step, "view", comment, places)
        case Add():
            a = add_parameters(graph, op)
            places |= {
                "left_shift": a.left_shift,
                "left": (a.input1_offset, a.input1_multiplier, -a.input1_shift),
                "right": (a.input2_offset, a.input2_multiplier, -a.input2_shift),
                "sum": (a.output_offset, a.output_multiplier, -a.output_shift),
                "range": (a.lo, a.hi),
                "elements": out.elements,
            }
            return Layer(step, "add", comment, places)
        case Requantize():
            r = requantize_parameters(graph, op)
            places |= {
                "input_offset": r.input_offset,
                "output_offset": r.output_offset,
                "multiplier": r.multiplier,
                "left_shift": max(r.shift, 0),
                "right_shift": max(-r.shift, 0),
                "range": (r.lo, r.hi),
                "elements": out.elements,
            }
            return Layer(step, "requantize", comment, places)
        case Softmax():
            s = softmax_parameters(graph, op)
            columns = out.shape[-1]
            places |= {
                "multiplier": s.multiplier,
                "left_shift": s.left_shift,
                "diff_min": s.diff_min,
                "rows": out.elements // columns,
                "columns": columns,
            }
            return Layer(step, "softmax", comment, places)
        case _:
            assert_never(op)


def safe(text: str) -> str:
    """`text` as it may stand in a C comment: names come from outside."""
    return re.sub(r"[^A-Za-z0-9_.:;/ =-]|/(?=\*)|/$", "_", text)


def _symbol(step: Step) -> str:
    return f"layer{step.index}"


def _constants(
    graph: Graph, step: Step, multipliers: tuple[tuple[int, int], ...]
) -> tuple[Constant, ...]:
    """Weights and bias; multipliers and shifts, too, where there is one per channel."""
    label, symbol = f"{step.index} {safe(step.op.name)}", _symbol(step)
    weights, bias = (graph.tensors[index] for index in constants_of(step.op))
    if weights.data is None or bias.data is None:
        raise ValueError(f"{step.op.name}: weights and bias must be constants")
    made = [
        _constant(f"{symbol}_weights", "int8_t", f"{label}: {_size(weights.shape)}", weights.data),
        _constant(f"{symbol}_bias", "int32_t", label, bias.data),
    ]
    if not isinstance(step.op, FullyConnected):
        pairs = np.array(multipliers)
        made += [
            _constant(f"{symbol}_multipliers", "int32_t", label, pairs[:, 0]),
            _constant(f"{symbol}_shifts", "int32_t", label, pairs[:, 1]),
        ]
    return tuple(made)


def _constant(name: str, c_type: str, comment: str, values: Array) -> Constant:
    flat: npt.NDArray[Any] = values.reshape(-1)
    per_line = _VALUES_PER_LINE[c_type]
    texts = [str(value) for value in flat.tolist()]
    lines = tuple(", ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line))
    return Constant(name, c_type, len(texts), comment, lines)


def _comment(graph: Graph, step: Step) -> str:
    """Index, name, shapes, window, activation, MACs, kernel, scratch: what is worth knowing."""
    op = step.op
    shapes = " + ".join(_size(graph.tensors[index].shape) for index in inputs_of(op))
    parts = [f"{shapes} -> {_size(graph.tensors[op.output].shape)}"]
    if isinstance(op, Conv2D | DepthwiseConv2D):
        parts.append(f"filter {_size(graph.tensors[op.weights].shape[1:3])}")
    if isinstance(op, AveragePool2D | MaxPool2D):
        parts.append(f"window {_size(op.filter)}")
    if isinstance(op, Conv2D | DepthwiseConv2D | AveragePool2D | MaxPool2D) and op.stride != (1, 1):
        parts.append(f"stride {_size(op.stride)}")
    if not isinstance(op, AveragePool2D | MaxPool2D | Reshape | Softmax) and (
        op.activation is not Activation.NONE
    ):
        parts.append(op.activation.value)
    if step.macs:
        parts.append(f"{step.macs} MACs")
    parts.append("the same bytes" if isinstance(op, Reshape) else step.kernel)
    if step.scratch:
        parts.append(f"{step.scratch.size_bytes} bytes of scratch")
    return f"{step.index} {safe(op.name)}: {', '.join(parts)}"


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
