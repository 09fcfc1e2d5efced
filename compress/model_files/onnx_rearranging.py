"""The operators of ONNX that become torch layers: pools, reductions, and what moves elements."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from compress.errors import UnsupportedLayer
from compress.model_files import rearranging, windows
from compress.model_files.network_builder import NetworkBuilder
from compress.model_files.onnx_nodes import OnnxNode
from compress.model_files.onnx_operators import ReadNode, pads_of, steps
from compress.model_files.values import Constant, Extents, Value

_REDUCERS = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "max", "ReduceMin": "min"}
# How torch rounds coordinates: coordinate_transformation_mode and, for nearest, nearest_mode.
_TORCH_LINEAR = {"half_pixel": False, "pytorch_half_pixel": False, "align_corners": True}
_WHOLE_FACTORS = {
    ("asymmetric", "floor"),
    ("half_pixel", "round_prefer_floor"),
    ("half_pixel", "round_prefer_ceil"),
}


def _pool(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    kind = "max" if node.kind == "MaxPool" else "average"
    window = tuple(node.integers("kernel_shape") or ())
    rank = len(window)
    stride, dilation = steps(node, "strides", rank), steps(node, "dilations", rank)
    extents = b.node_shape(b.native(node.x))[2:]
    if len(extents) != rank:
        raise UnsupportedLayer(f"{node.label}: a window {window} on a map of {extents}")
    if dilation != (1,) * rank:
        raise UnsupportedLayer(f"{node.label}: a pool with dilation {dilation}; use 1")
    if len(node.outputs) > 1 and node.uses.get(node.outputs[1]):
        raise UnsupportedLayer(f"{node.label}: the indices of a pool; leave them out")
    pads = pads_of(node, extents, window, stride, dilation)
    up = node.integer("ceil_mode", 0) == 1
    counts = node.integer("count_include_pad", 0) == 1
    if up and counts and windows.symmetric(pads) is None:
        raise UnsupportedLayer(f"{node.label}: ceil_mode with padding of two widths that counts")
    outputs = tuple(
        _outputs(extent, taps, step, pair, up)
        for extent, taps, step, pair in zip(extents, window, stride, pads, strict=True)
    )
    return [windows.pool(b, kind, node.x, window, stride, pads, outputs, counts)]


def _outputs(extent: int, taps: int, step: int, pads: tuple[int, int], up: bool) -> int:
    """How many windows there are; rounded up, none begins beyond the map."""
    whole = (extent + sum(pads) - taps) / step
    count = (math.ceil(whole) if up else math.floor(whole)) + 1
    return count - 1 if up and (count - 1) * step >= extent + pads[0] else count


def _pool_of_all(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    kind = "max" if node.kind == "GlobalMaxPool" else "average"
    return [windows.pool_of_all(b, kind, node.x)]


def _reduce(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    axes = node.integers("axes", 1)
    if not axes and node.integer("noop_with_empty_axes", 0) and isinstance(node.x, Value):
        return [node.x]
    keeps = node.integer("keepdims", 1) == 1
    return [windows.reduced(b, node.x, _REDUCERS[node.kind], tuple(axes or ()), keeps)]


def _reshape(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    target = node.needed(1)
    if not isinstance(target, Constant) or not isinstance(node.x, Value):
        raise UnsupportedLayer(f"{node.label}: its shape is computed from values of the network")
    before = b.shape(node.x)
    copies = node.integer("allowzero", 0) == 0
    shape = [
        before[axis] if n == 0 and copies and axis < len(before) else int(n)
        for axis, n in enumerate(np.ravel(target.data))
    ]
    return [rearranging.reshaped(b, node.x, shape)]


def _flatten(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    value = rearranging.activation(b, node.x)
    shape, axis = b.shape(value), node.integer("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    ends = [math.prod(shape[:axis]), math.prod(shape[axis:])]
    return [rearranging.reshaped(b, value, ends)]


def _squeeze(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    value = rearranging.activation(b, node.x)
    axes = node.integers("axes", 1)
    if axes is None:
        shape = b.shape(value)
        axes = [a for a, n in enumerate(shape) if n == 1 and a != value.batch]
    return [rearranging.squeezed(b, value, axes)]


def _unsqueeze(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    return [rearranging.unsqueezed(b, node.x, node.integers("axes", 1) or [])]


def _transpose(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    value = rearranging.activation(b, node.x)
    order = tuple(node.integers("perm") or range(value.rank)[::-1])
    return [value.transposed(order)]


def _concat(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    values = [node.needed(position) for position in range(len(node.inputs))]
    return [rearranging.concatenated(b, values, node.integer("axis", 0))]


def _split(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    value = rearranging.activation(b, node.x)
    axis = node.integer("axis", 0)
    extent, parts = b.shape(value)[axis], node.integer("num_outputs", len(node.outputs))
    size = -(-extent // parts)
    equal = [min(size, extent - start) for start in range(0, extent, size)]
    return rearranging.split(b, value, node.integers("split", 1) or equal, axis)


def _slice(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    value = rearranging.activation(b, node.x)
    starts, ends = node.integers("starts", 1) or [], node.integers("ends", 2) or []
    axes = node.integers("axes", 3) or list(range(len(starts)))
    steps_ = node.integers("steps", 4) or [1] * len(starts)
    items: list[slice | int] = [slice(None)] * value.rank
    for start, end, axis, step in zip(starts, ends, axes, steps_, strict=True):
        items[axis] = slice(start, end, step)
    return [rearranging.slice_of(b, value, items)]


def _gather(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    indices = node.constant(1, "indices")
    return [rearranging.taken(b, node.x, indices, node.integer("axis", 0))]


def _pad(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    value = rearranging.activation(b, node.x)
    given = node.integers("pads", 1) or []
    axes = node.integers("axes", 3) or list(range(len(given) // 2))
    pads = [(0, 0)] * value.rank
    for place, axis in enumerate(axes):
        pads[axis] = given[place], given[place + len(axes)]
    fill = node.optional(2, "value")
    number = 0.0 if fill is None or not fill.size else float(np.ravel(fill)[0])
    modes = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    mode = modes.get(node.text("mode", "constant"), "")
    if not mode:
        raise UnsupportedLayer(f"{node.label}: mode {node.text('mode', '')}")
    return [windows.padding_around(b, value, tuple(pads), mode, number)]


def _resize(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    value = rearranging.activation(b, node.x)
    before = b.shape(value)
    after = _resized_shape(node, before)
    native = [after[axis] for axis in b.order(value.rank)]
    if after[value.batch] != before[value.batch] or native[1] != before[b.order(value.rank)[1]]:
        raise UnsupportedLayer(f"{node.label}: resizes {before} to {after}; allowed are maps")
    mode = node.text("mode", "nearest")
    way = node.text("coordinate_transformation_mode", "half_pixel")
    if node.kind == "Upsample":
        way = "asymmetric"
    rounding = node.text("nearest_mode", "round_prefer_floor" if node.kind == "Resize" else "floor")
    if mode == "nearest":
        whole = all(n % m == 0 for m, n in zip(before, after, strict=True))
        fits = (way, rounding) == ("asymmetric", "floor") or (
            whole and (way, rounding) in _WHOLE_FACTORS
        )
    else:
        fits = mode == "linear" and way in _TORCH_LINEAR and not node.integer("antialias", 0)
    if not fits:
        raise UnsupportedLayer(
            f"{node.label}: mode {mode}, {way}; allowed are what torch's nearest and bilinear "
            "export: nn.Upsample"
        )
    aligned = _TORCH_LINEAR.get(way, False)
    return [rearranging.resized(b, value, tuple(native[2:]), mode, aligned)]


def _resized_shape(node: OnnxNode, before: Extents) -> Extents:
    """The shape after a Resize or Upsample, by its sizes or scales."""
    sizes = node.get(3)
    if isinstance(sizes, Constant) and sizes.data.size:
        found = [int(n) for n in np.ravel(sizes.data)]  # the batch's stays, whatever it is
        if len(found) == len(before):
            return tuple(found)
    scales = node.optional(1 if node.kind == "Upsample" or len(node.inputs) == 2 else 2, "scales")
    if scales is None or scales.size != len(before):
        raise UnsupportedLayer(f"{node.label}: its sizes must be constants, one for each axis")
    return tuple(math.floor(n * scale) for n, scale in zip(before, np.ravel(scales), strict=True))


def _expand(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    shape = node.needed(1)
    if not isinstance(shape, Constant):
        raise UnsupportedLayer(f"{node.label}: its shape is computed from values of the network")
    return [rearranging.expanded(b, node.x, [int(n) for n in np.ravel(shape.data)])]


def _same(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    return [rearranging.activation(b, node.x)]


def _cast(b: NetworkBuilder, node: OnnxNode) -> list[Value]:
    """A conversion between real types; the network computes in float32 throughout."""
    from onnx import TensorProto

    real = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
    if node.kind == "Cast" and node.integer("to", 0) not in real:
        raise UnsupportedLayer(f"{node.label}: casts values of the network to whole numbers")
    return _same(b, node)


ONNX_MOVES: Mapping[str, ReadNode] = {
    "AveragePool": _pool,
    "Cast": _cast,
    "CastLike": _cast,
    "Concat": _concat,
    "Dropout": _same,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GlobalAveragePool": _pool_of_all,
    "GlobalMaxPool": _pool_of_all,
    "Identity": _same,
    "MaxPool": _pool,
    "Pad": _pad,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Upsample": _resize,
    **dict.fromkeys(_REDUCERS, _reduce),
}
