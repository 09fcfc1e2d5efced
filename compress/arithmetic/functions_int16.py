"""Element-wise functions of an int16, bit-exact to TFLite's kernels: the values of `Lookup`.

Sources, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/activations.cc (preparation),
internal/reference/leaky_relu.h, internal/reference/integer_ops/logistic.h and tanh.h.
"""

from __future__ import annotations

import math

from compress.arithmetic.fixedpoint import Int64Array
from compress.arithmetic.functions import leaky_relu
from compress.arithmetic.sigmoid import logistic_int16, tanh_int16
from compress.arithmetic.tables import every_value
from compress.errors import UnsupportedLayer
from compress.ops import Function, Lookup
from compress.types import Graph

_OUTPUT_SCALE = 1 / 2**15
_ARGUMENT_SCALE = 1 / (3 * 4096)  # of the table of sigmoid
_LARGEST_MULTIPLIER = 2**15 - 1
_MOST_PLACES = 31


def int16_values(graph: Graph, op: Lookup) -> Int64Array:
    """The function of every int16, in the order of `every_value`, not clipped.

    Raises UnsupportedLayer for a function without a kernel and as `lookup_table` does.
    """
    match op.function:
        case Function.LEAKY_RELU:
            return leaky_relu(graph, op)
        case Function.LOGISTIC:
            return logistic_int16(every_value("int16"), *argument_multiplier(graph, op))
        case Function.TANH:
            return tanh_int16(every_value("int16"), *argument_multiplier(graph, op))
        case _:
            raise UnsupportedLayer(f"{op.name}: there is no {op.function.name} on int16")


def argument_multiplier(graph: Graph, op: Lookup) -> tuple[int, int]:
    """(multiplier, right shift) from the input's scale to that of the table, not rounded.

    A power of two that fits is exact. Raises UnsupportedLayer for an input scale that is too large
    and an output scale other than 1/32768.
    """
    scale, out = graph.tensors[op.input].scale, graph.tensors[op.output]
    if out.scale != _OUTPUT_SCALE:
        raise UnsupportedLayer(f"{op.name}: output must have scale 1/32768")
    exact = {2.0**-12: 0, 2.0**-11: 1} if op.function is Function.TANH else {2.0**-12: 0}
    near = next((power for power in exact if _is_near(scale, power)), None)
    if near is not None:
        return 3 << exact[near], 0
    multiplier, places = scale / _ARGUMENT_SCALE, 0
    while multiplier <= _LARGEST_MULTIPLIER / 2 and places < _MOST_PLACES:
        multiplier, places = multiplier * 2, places + 1
    if int(multiplier) > _LARGEST_MULTIPLIER:
        largest = _LARGEST_MULTIPLIER * _ARGUMENT_SCALE
        raise UnsupportedLayer(f"{op.name}: input scale {scale:g}, at most {largest:g}")
    return int(multiplier), places


def _is_near(scale: float, power: float) -> bool:
    """TFLite takes a scale for a power of two from a thousandth of an octave off."""
    return abs(math.log2(scale / power)) < 1e-3
