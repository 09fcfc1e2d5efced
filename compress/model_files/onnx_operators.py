"""The operators of ONNX that become torch layers: weights, activations, arithmetic.

Specification: https://onnx.ai/onnx/operators/, opset 11 and newer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import nn

from compress.errors import UnsupportedLayer
from compress.model_files import pointwise, weighted, windows
from compress.model_files.network_builder import NetworkBuilder
from compress.model_files.onnx_nodes import OnnxNode
from compress.model_files.recurrent import recurrent
from compress.model_files.values import Constant, Extents, Value
from compress.model_files.weighted import Window

ReadNode = Callable[[NetworkBuilder, OnnxNode], Sequence[Value | Constant]]
_BATCH_STATISTICS = ("scale", "bias", "mean", "variance")


def pads_of(
    node: OnnxNode, extents: Extents, window: Extents, stride: Extents, dilation: Extents
) -> windows.Pads:
    """The padding of each axis, explicit or by auto_pad."""
    auto = node.text("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return windows.same_pads(extents, window, stride, dilation, auto == "SAME_LOWER")
    given = node.integers("pads") if auto == "NOTSET" else None
    rank = len(extents)
    pads = given or [0] * 2 * rank
    return tuple((pads[axis], pads[axis + rank]) for axis in range(rank))


def steps(node: OnnxNode, name: str, rank: int) -> Extents:
    """An attribute with a number for each axis of the map, 1 if it is left out."""
    return tuple(node.integers(name) or [1] * rank)


def _conv(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    weight, bias = node.constant(1, "weight"), node.optional(2, "bias")
    rank = weight.ndim - 2
    stride, dilation = steps(node, "strides", rank), steps(node, "dilations", rank)
    extents = b.node_shape(b.native(node.x))[2:]
    pads = pads_of(node, extents, weight.shape[2:], stride, dilation)
    window = Window(stride, dilation, pads, node.integer("group", 1))
    return [weighted.convolution_layer(b, node.x, weight, bias, window)]


def _conv_transpose(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    weight, bias = node.constant(1, "weight"), node.optional(2, "bias")
    rank = weight.ndim - 2
    stride, dilation = steps(node, "strides", rank), steps(node, "dilations", rank)
    if node.text("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or "output_shape" in (
        node.attributes
    ):
        raise UnsupportedLayer(
            f"{node.label}: padding by auto_pad or output_shape; export with explicit pads"
        )
    extents = b.node_shape(b.native(node.x))[2:]
    pads = pads_of(node, extents, weight.shape[2:], stride, dilation)
    extra = tuple(node.integers("output_padding") or [0] * rank)
    window = Window(stride, dilation, pads, node.integer("group", 1))
    return [weighted.transposed_convolution(b, node.x, weight, bias, window, extra)]


def _gemm(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    weight, bias = node.constant(1, "weight"), node.optional(2, "bias")
    if node.integer("transA", 0):
        raise UnsupportedLayer(f"{node.label}: transA=1 has no form as Linear")
    weight = weight if node.integer("transB", 0) else weight.T
    weight = weight * np.float32(node.number("alpha", 1.0))
    if bias is not None:
        bias = bias * np.float32(node.number("beta", 1.0))
        bias = np.broadcast_to(bias, (1, weight.shape[0])).ravel()
    return [weighted.linear_layer(b, node.x, weight, bias)]


def _matmul(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    right = node.needed(1)
    if isinstance(right, Value):
        return [pointwise.product_of_matrices(b, node.x, right)]
    weight = right.fixed(node.label)
    if weight.ndim != 2:
        raise UnsupportedLayer(f"{node.label}: a constant of {weight.ndim} axes; 2 are allowed")
    return [weighted.linear_layer(b, node.x, weight.T, None)]


def _batch_norm(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    if node.integer("training_mode", 0):
        raise UnsupportedLayer(f"{node.label}: exported for training; export in eval() mode")
    weight, bias, mean, variance = (
        node.constant(position, what) for position, what in enumerate(_BATCH_STATISTICS, 1)
    )
    kept = 1.0 - node.number("momentum", 0.9)
    statistics = (weight, bias, mean, variance)
    return [weighted.batch_norm_layer(b, node.x, statistics, node.number("epsilon", 1e-5), kept)]


def _layer_norm(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    if not isinstance(node.x, Value):
        raise UnsupportedLayer(f"{node.label}: normalizes a constant")
    axis, rank = node.integer("axis", -1), node.x.rank
    weight, bias = node.constant(1, "scale"), node.optional(2, "bias")
    eps = node.number("epsilon", 1e-5)
    return [weighted.layer_norm(b, node.x, weight, bias, eps, rank - axis % rank)]


def _add(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    """A sum, or the bias of the MatMul before, which nothing else reads."""
    for value, other, name in ((0, 1, 0), (1, 0, 1)):
        x, bias = node.needed(value), node.needed(other)
        alone = node.uses.get(node.input_names[name], 0) == 1
        if isinstance(x, Value) and isinstance(bias, Constant) and alone:
            values = bias.fixed(node.label)
            if values.ndim <= x.rank and weighted.biased(b, x, values):
                return [x]
    return [pointwise.binary(b, "Add", node.x, node.needed(1))]


def _binary(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    """Arithmetic of two values; Max, Min and Sum may have more."""
    kind = "Add" if node.kind == "Sum" else node.kind
    result = node.x
    if len(node.inputs) == 1 and isinstance(result, Value):
        return [result]
    for position in range(1, len(node.inputs)):
        limit = node.needed(position)
        if kind in ("Max", "Min") and isinstance(limit, Constant) and limit.data.size == 1:
            number = float(np.ravel(limit.fixed(node.label))[0])
            ends = (number, None) if kind == "Max" else (None, number)
            result = pointwise.clipped(b, result, *ends)
        else:
            result = pointwise.binary(b, kind, result, limit)
    if not isinstance(result, Value):
        raise UnsupportedLayer(f"{node.label}: computes with a constant alone")
    return [result]


def _clip(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    limits: list[float | None] = []
    for position, what in ((1, "min"), (2, "max")):
        found = node.optional(position, what)
        number = None if found is None else float(np.ravel(found)[0])
        limits.append(None if number is None or not math.isfinite(number) else number)
    return [pointwise.clipped(b, node.x, limits[0], limits[1])]


def _module(made: Callable[[OnnxNode], nn.Module]) -> ReadNode:
    """Reads an activation that is a module of torch."""
    return lambda b, node: [pointwise.applied(b, node.x, made(node))]


def _gelu(node: OnnxNode) -> nn.Module:
    return nn.GELU(node.text("approximate", "none"))


def _selu(node: OnnxNode) -> nn.Module:
    alpha, gamma = node.number("alpha", 1.67326319), node.number("gamma", 1.05070098)
    if abs(alpha - 1.67326319) > 1e-4 or abs(gamma - 1.05070098) > 1e-4:
        raise UnsupportedLayer(f"{node.label}: alpha {alpha:g} and gamma {gamma:g}; use Elu")
    return nn.SELU()


def _hard_sigmoid(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    alpha, beta = node.number("alpha", 0.2), node.number("beta", 0.5)
    return [pointwise.hard_sigmoid(b, node.x, alpha, beta)]


def _softmax(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    """Before opset 13 over all axes from `axis` on, which is the same where one is above 1."""
    axis = node.integer("axis", -1 if node.opset >= 13 else 1)
    if node.opset < 13 and isinstance(node.x, Value):
        shape = b.shape(node.x)
        wide = [place for place in range(axis % len(shape), len(shape)) if shape[place] > 1]
        if len(wide) > 1:
            raise UnsupportedLayer(
                f"{node.label}: over several axes at once, as before opset 13; export it again"
            )
        axis = wide[0] if wide else axis
    kind = nn.Softmax if node.kind == "Softmax" else nn.LogSoftmax
    return [pointwise.softmax_along(b, node.x, axis, kind)]


def _prelu(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    return [pointwise.prelu(b, node.x, Constant(node.constant(1, "slope")))]


def _recurrent(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    _check_recurrent(node)
    weights, biases = node.constant(1, "weights"), node.optional(3, "biases")
    y, last = recurrent(b, node.kind, node.x, weights, node.constant(2, "weights"), biases)
    return [y, last]


def _check_recurrent(node: OnnxNode) -> None:
    """Raise UnsupportedLayer for what torch's GRU and LSTM do not compute."""
    direction = node.text("direction", "forward")
    states = [value for value in (node.get(5), node.get(6)) if value is not None]
    wrong = {
        f"direction {direction}": direction not in ("forward", "bidirectional"),
        "linear_before_reset 0": node.kind == "GRU" and node.integer("linear_before_reset", 0) == 0,
        "activations of its own": not _usual_activations(node),
        "clip": "clip" in node.attributes,
        "layout 1": node.integer("layout", 0) != 0,
        "input_forget 1": node.integer("input_forget", 0) != 0,
        "sequence lengths": node.get(4) is not None,
        "a first state that is not zero": not all(map(_is_zero, states)),
        "peepholes": node.kind == "LSTM" and node.get(7) is not None,
        "the state of its cells as an output": len(node.outputs) > 2
        and bool(node.uses.get(node.outputs[2])),
    }
    found = [what for what, is_wrong in wrong.items() if is_wrong]
    if found:
        raise UnsupportedLayer(
            f"{node.label}: {found[0]}; allowed is what torch.nn.{node.kind} exports"
        )


def _is_zero(state: Value | Constant) -> bool:
    """True for zeros, of whatever batch."""
    return isinstance(state, Constant) and not state.data.any()


def _usual_activations(node: OnnxNode) -> bool:
    usual = ["sigmoid", "tanh"] if node.kind == "GRU" else ["sigmoid", "tanh", "tanh"]
    given = node.attributes.get("activations")
    if not given:
        return True
    names = [name.decode().lower() if isinstance(name, bytes) else name.lower() for name in given]
    return names in (usual, usual + usual)


def _where(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    condition = node.x
    if not isinstance(condition, Value):
        raise UnsupportedLayer(f"{node.label}: its condition is a constant; fold it at export")
    return [pointwise.chosen_by(b, condition, node.needed(1), node.needed(2))]


def _unary(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    return [pointwise.called(b, node.x, pointwise.PLAIN_FUNCTIONS[node.kind])]


def _plain(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    return [pointwise.applied(b, node.x, pointwise.PLAIN_MODULES[node.kind]())]


ONNX_LAYERS: Mapping[str, ReadNode] = {
    "Add": _add,
    "BatchNormalization": _batch_norm,
    "Celu": _module(lambda node: nn.CELU(node.number("alpha", 1.0))),
    "Clip": _clip,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Elu": _module(lambda node: nn.ELU(node.number("alpha", 1.0))),
    "GRU": _recurrent,
    "Gelu": _module(_gelu),
    "Gemm": _gemm,
    "HardSigmoid": _hard_sigmoid,
    "LSTM": _recurrent,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": _module(lambda node: nn.LeakyReLU(node.number("alpha", 0.01))),
    "LogSoftmax": _softmax,
    "MatMul": _matmul,
    "PRelu": _prelu,
    "Selu": _module(_selu),
    "Softmax": _softmax,
    "Sum": _binary,
    "ThresholdedRelu": _module(lambda node: nn.Threshold(node.number("alpha", 1.0), 0.0)),
    "Where": _where,
    **dict.fromkeys(pointwise.PLAIN_MODULES, _plain),
    **dict.fromkeys(pointwise.PLAIN_FUNCTIONS, _unary),
    **{kind: _binary for kind in pointwise.BINARY if kind != "Add"},
}
