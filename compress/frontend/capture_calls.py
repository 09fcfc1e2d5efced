"""The functions and methods that are captured, each with the function that reads it."""

import operator
from typing import Any

import torch
from torch.nn import functional

from compress.frontend import capture_arithmetic as arithmetic
from compress.frontend import capture_elementwise as elementwise
from compress.frontend import capture_pools as pools
from compress.frontend import capture_reductions as reductions
from compress.frontend import capture_resizing as resizing
from compress.frontend import capture_shapes as shapes
from compress.frontend import capture_slices as slices
from compress.frontend import capture_tables as tables
from compress.frontend import capture_weighted as weighted
from compress.frontend.reader import Handler
from compress.tracing import decompose

# Spellings by the function that reads them: functions, and names of methods of tensors.
_SPELLINGS: dict[Handler, tuple[Any, ...]] = {
    elementwise.relu: (torch.relu, torch.relu_, functional.relu, "relu", "relu_"),
    elementwise.relu6: (functional.relu6,),
    elementwise.hardtanh: (functional.hardtanh,),
    elementwise.clamp: (torch.clamp, torch.clip, "clamp", "clip", "clamp_", "clip_"),
    elementwise.leaky: (functional.leaky_relu,),
    elementwise.sigmoid: (torch.sigmoid, functional.sigmoid, "sigmoid", "sigmoid_"),
    elementwise.tanh: (torch.tanh, functional.tanh, "tanh", "tanh_"),
    elementwise.hardswish: (functional.hardswish,),
    elementwise.softmax: (torch.softmax, functional.softmax, "softmax"),
    tables.silu: (functional.silu,),
    tables.gelu: (functional.gelu,),
    tables.softplus: (functional.softplus,),
    tables.elu: (functional.elu,),
    tables.celu: (functional.celu, torch.celu),
    tables.selu: (functional.selu, torch.selu),
    tables.mish: (functional.mish,),
    tables.softsign: (functional.softsign,),
    tables.logsigmoid: (functional.logsigmoid,),
    tables.tanhshrink: (functional.tanhshrink,),
    tables.hardshrink: (functional.hardshrink,),
    tables.softshrink: (functional.softshrink,),
    tables.threshold: (functional.threshold,),
    tables.rrelu: (functional.rrelu,),
    tables.absolute: (torch.abs, operator.abs, "abs"),
    tables.square: (torch.square, "square"),
    tables.root: (torch.sqrt, "sqrt"),
    tables.rsqrt: (torch.rsqrt, "rsqrt"),
    tables.exponential: (torch.exp, "exp"),
    tables.logarithm: (torch.log, "log"),
    tables.log1p: (torch.log1p, "log1p"),
    tables.error_function: (torch.erf, "erf"),
    tables.sine: (torch.sin, "sin"),
    tables.cosine: (torch.cos, "cos"),
    tables.power: (operator.pow, torch.pow, "pow"),
    tables.shifted_rsqrt: (decompose.inverse_root,),
    arithmetic.minimum: (torch.minimum, "minimum"),
    arithmetic.maximum: (torch.maximum, "maximum"),
    arithmetic.add: (operator.add, operator.iadd, torch.add, "add", "add_"),
    arithmetic.subtract: (operator.sub, operator.isub, torch.sub, torch.subtract, "sub", "sub_"),
    arithmetic.multiply: (operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "mul_"),
    arithmetic.divide: (operator.truediv, operator.itruediv, torch.div, "div", "div_"),
    arithmetic.negate: (operator.neg, torch.neg, "neg"),
    pools.max_pool: (functional.max_pool2d, functional.max_pool1d, torch.max_pool2d,
                     torch.max_pool1d),
    pools.average_pool: (functional.avg_pool2d, functional.avg_pool1d),
    pools.adaptive_average_pool: (functional.adaptive_avg_pool2d, functional.adaptive_avg_pool1d),
    pools.adaptive_max_pool: (functional.adaptive_max_pool2d, functional.adaptive_max_pool1d),
    reductions.mean: (torch.mean, "mean"),
    reductions.total: (torch.sum, "sum"),
    reductions.highest: (torch.amax, "amax"),
    reductions.lowest: (torch.amin, "amin"),
    reductions.greater: (torch.max, "max"),
    reductions.lesser: (torch.min, "min"),
    resizing.resize: (functional.interpolate,),
    pools.constant_pad: (functional.pad,),
    weighted.computed_weight: (functional.conv2d, functional.conv1d, functional.linear),
    weighted.matmul: (torch.matmul, torch.bmm, operator.matmul, "matmul", "bmm"),
    shapes.concatenate: (torch.cat, torch.concat, torch.concatenate),
    shapes.reshape: (torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze, torch.unflatten,
                     "flatten", "reshape", "view", "squeeze", "unsqueeze", "unflatten"),
    shapes.permute: (torch.permute, "permute"),
    shapes.transpose: (torch.transpose, "transpose"),
    shapes.stack: (torch.stack,),
    shapes.pixel_shuffle: (functional.pixel_shuffle,),
    shapes.pixel_unshuffle: (functional.pixel_unshuffle,),
    slices.index: (operator.getitem,),
    slices.index_select: (torch.index_select, "index_select"),
    slices.narrow: (torch.narrow, "narrow"),
    slices.select: (torch.select, "select"),
    slices.flip: (torch.flip, "flip"),
    slices.split: (torch.split, "split"),
    slices.chunk: (torch.chunk, "chunk"),
    slices.unbind: (torch.unbind, "unbind"),
    shapes.identity: (functional.dropout, functional.dropout1d, functional.dropout2d,
                      functional.alpha_dropout, torch.clone, "contiguous", "clone"),
}  # fmt: skip
CALLS: dict[Any, Handler] = {
    target: read for read, targets in _SPELLINGS.items() for target in targets
}


def call_name(target: Any) -> str:
    """The name of a function or method in messages."""
    return str(getattr(target, "__name__", target))


def supported_calls() -> str:
    """The names of all supported functions and methods, for messages."""
    targets = (*CALLS, *decompose.REPLACED_CALLS)
    names = (call_name(target).strip("_") for target in targets if target not in _UNNAMED)
    return ", ".join(sorted({*names, *_UNNAMED.values()} - {""}))


# torch names these two after its own helper for functions with an optional second result.
_UNNAMED = {
    functional.max_pool2d: "max_pool2d",
    functional.max_pool1d: "max_pool1d",
    functional.adaptive_max_pool2d: "adaptive_max_pool2d",
    functional.adaptive_max_pool1d: "adaptive_max_pool1d",
}
