"""Hypothesis strategies that draw valid integer graphs of one operator or of a chain."""

from __future__ import annotations

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from compress.errors import HilError
from compress.integer.check import check_graph
from compress.ops import Activation, Function, Padding
from compress.types import Graph
from helpers.graph_builder import RELU, RELU_N1_TO_1, GraphBuilder, same_padding
from helpers.map_strategies import (
    MAP_INT16_KINDS,
    MAP_KINDS,
    REDUCTION_KINDS,
    append_map_op,
    reductions,
)
from helpers.movement_strategies import draw_comparison, draw_movement, draw_repeated

OP_KINDS = (
    "conv",
    "depthwise",
    "fully_connected",
    "add",
    "subtract",
    "mul",
    "average_pool",
    "max_pool",
    "reshape",
    "softmax",
    "requantize",
    "lookup",
    "mean",
    "pad",
    "concatenate",
    "strided_slice",
    "transpose",
    "gather",
    "broadcast_to",
    "minimum",
    "maximum",
    *MAP_KINDS,
)
INT8_FUNCTIONS = tuple(function for function in Function if function is not Function.RESCALE)
INT16_FUNCTIONS = (Function.LEAKY_RELU, Function.LOGISTIC, Function.TANH)
# Operators that also take int16; "requantize" is then drawn from and to any type.
INT16_KINDS = (
    "conv",
    "depthwise",
    "fully_connected",
    "add",
    "subtract",
    "mul",
    "minimum",
    "maximum",
    "average_pool",
    "max_pool",
    "reshape",
    "requantize",
    "pad",
    "concatenate",
    "strided_slice",
    "transpose",
    "gather",
    "broadcast_to",
    "lookup",
    "softmax",
    *MAP_INT16_KINDS,
)
# Products of products of larger scales would overflow single precision.
LARGEST_SCALE = 1e15

activations = st.sampled_from(list(Activation))
zero_points = st.sampled_from([-128, 127, 0]) | st.integers(-128, 127)
scales = st.sampled_from([1e-6, 1 / 255, 1.0, 500.0]) | st.floats(1e-5, 10.0)
gains = st.sampled_from([0.1, 1.0, 30.0])
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
weight_schemes = st.fixed_dictionaries(
    {"per_channel": st.booleans(), "weight_bits": st.sampled_from([8, 4, 2])}
)
dilations = st.tuples(st.integers(1, 2), st.integers(1, 2))


@st.composite
def paddings(draw: st.DrawFn, window: tuple[int, int], dilation: tuple[int, int]) -> Padding:
    """Any padding, symmetric or not, that leaves no window wholly outside the input."""
    vertical = st.integers(0, (window[0] - 1) * dilation[0])
    horizontal = st.integers(0, (window[1] - 1) * dilation[1])
    return Padding(draw(vertical), draw(vertical), draw(horizontal), draw(horizontal))


@st.composite
def window_parameters(
    draw: st.DrawFn, shape: tuple[int, ...], dilated: bool
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], Padding]:
    """(window, stride, dilation, padding) that fit `shape` (1, H, W, C): SAME, VALID or any."""
    height, width = shape[1:3]
    window = draw(st.tuples(st.integers(1, min(4, height)), st.integers(1, min(4, width))))
    dilation = draw(dilations) if dilated else (1, 1)
    dilation = (
        dilation[0] if (window[0] - 1) * dilation[0] < height else 1,
        dilation[1] if (window[1] - 1) * dilation[1] < width else 1,
    )
    stride = draw(pairs)
    top, bottom = same_padding(height, window[0], stride[0], dilation[0])
    left, right = same_padding(width, window[1], stride[1], dilation[1])
    same = Padding(top, bottom, left, right)
    padding = draw(st.just(same) | st.just(Padding()) | paddings(window, dilation))
    return window, stride, dilation, padding


@st.composite
def builders(draw: st.DrawFn) -> GraphBuilder:
    """A builder with a small input tensor (index 0) of any scale and zero point."""
    b = GraphBuilder(seed=draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 9)))
    b.input(shape, draw(scales), draw(zero_points))
    return b


def draw_right_operand(draw: st.DrawFn, b: GraphBuilder, source: int) -> int:
    """A second operand for `source`, of its shape or broadcast to it; computed or constant."""
    x = b.tensors[source]
    scale, zero_point = x.scale * draw(st.floats(0.01, 100)), draw(zero_points)
    shapes = [x.shape, x.shape[-1:], (1, 1, 1, x.shape[-1]), (1, 1, *x.shape[2:]), (), (1,)]
    shapes += [(*x.shape[:3], 1), (*x.shape[:2], 1, x.shape[3]), (1, x.shape[1], 1, 1)]
    if x.dtype == "int16":
        if draw(st.booleans()):
            return b.constant(draw(st.sampled_from(shapes)), scale, dtype="int16")
        return b.requantize(draw_repeated(draw, b, source), scale)
    match draw(st.sampled_from(["equal", "channel", "constant"])):
        case "equal":
            return b.requantize(source, scale, zero_point)
        case "channel":
            axes = draw(st.sampled_from([(1, 2), (1,), (2,), (3,), (2, 3), (1, 2, 3)]))
            keep = axes != (1, 2) or draw(st.booleans())
            return b.mean(source, axes, keep, scale, zero_point)
        case _:
            return b.constant(draw(st.sampled_from(shapes)), scale, zero_point)


def draw_concatenation(draw: st.DrawFn, b: GraphBuilder, source: int) -> int:
    """Concatenate `source` and one to three constants, paddings or repetitions along any axis."""
    axis = draw(st.integers(1, 3))
    sources = [source]
    for extent in draw(st.lists(st.integers(0, 5), min_size=1, max_size=3)):
        if draw(st.booleans()):
            x = b.tensors[source]
            shape = tuple(extent + 1 if i == axis else n for i, n in enumerate(x.shape))
            sources.append(b.constant(shape, x.scale, x.zero_point, x.dtype))
            continue
        sides = tuple(extent if i == axis else 0 for i in range(4))
        value = None if b.tensors[source].dtype == "int16" else 7
        sources.append(b.pad(source, (0, 0, 0, 0), sides, value) if extent else source)
    return b.concatenate(tuple(draw(st.permutations(sources))), axis)


def append_op(draw: st.DrawFn, b: GraphBuilder, source: int, kind: str) -> int:
    """Draw one operator of `kind` reading `source` (1, H, W, C) and append it."""
    x = b.tensors[source]
    common: dict[str, Any] = {
        "activation": draw(activations),
        "zero_point": draw(zero_points),
        "gain": draw(gains),
    }
    match kind:
        case "conv":
            window, stride, dilation, padding = draw(window_parameters(x.shape, dilated=True))
            channels, scheme = draw(st.integers(1, 9)), draw(weight_schemes)
            divisors = [n for n in range(1, x.shape[3] + 1) if x.shape[3] % n == 0]
            groups = draw(st.just(1) | st.sampled_from(divisors))
            scheme = {**scheme, "groups": groups}
            return b.conv(
                source,
                channels * groups,
                window,
                stride,
                dilation,
                padding,
                **scheme,
                **common,
            )
        case "depthwise":
            window, stride, dilation, padding = draw(window_parameters(x.shape, dilated=True))
            multiplier, scheme = draw(st.integers(1, 3)), draw(weight_schemes)
            return b.depthwise(
                source,
                multiplier,
                window,
                stride,
                dilation,
                padding,
                **scheme,
                **common,
            )
        case "fully_connected":
            units, scheme = draw(st.integers(1, 9)), draw(weight_schemes)
            by_row = draw(st.booleans())
            return b.fully_connected(source, units, by_row=by_row, **scheme, **common)
        case "add" | "subtract" | "mul":
            before = len(b.ops), len(b.tensors)
            right = draw_right_operand(draw, b, source)
            left = source
            if kind == "mul":
                if b.tensors[left].scale * b.tensors[right].scale > LARGEST_SCALE:
                    # What nothing reads is not exported or not imported.
                    del b.ops[before[0] :], b.tensors[before[1] :]
                    return b.requantize(source)
                return b.mul(left, right, **common)
            if b.tensors[left].shape == b.tensors[right].shape and b.tensors[right].data is None:
                left, right = draw(st.permutations([left, right]))
                reverse = False
            else:
                reverse = kind == "subtract" and draw(st.booleans())
            return b.add(left, right, subtract=kind == "subtract", reverse=reverse, **common)
        case "average_pool" | "max_pool":
            window, stride, _, padding = draw(window_parameters(x.shape, dilated=False))
            activation = common["activation"]
            if kind == "max_pool":
                return b.max_pool(source, window, stride, padding, activation)
            top, bottom = same_padding(x.shape[1], window[0], stride[0])
            left, right = same_padding(x.shape[2], window[1], stride[1])
            same = Padding(top, bottom, left, right)
            padding = draw(st.sampled_from([Padding(), same]))
            return b.average_pool(source, window, stride, padding, activation)
        case "reshape":
            return b.reshape(source, tuple(draw(st.permutations(x.shape[1:]))))
        case "softmax" if x.dtype == "int16":
            return _some_softmax_to_int16(draw, b, source)
        case "softmax":
            return _some_softmax(b, source)
        case "requantize":
            scale = x.scale * draw(st.sampled_from([0.5, 1.0, 2.0]) | st.floats(0.01, 100))
            activation = common["activation"]
            if x.dtype == "int16" and activation is RELU_N1_TO_1:
                activation = RELU
            return b.requantize(source, scale, common["zero_point"], activation)
        case "lookup":
            functions = INT16_FUNCTIONS if x.dtype == "int16" else INT8_FUNCTIONS
            function = draw(st.sampled_from(functions))
            scale = x.scale * draw(st.sampled_from([0.1, 0.5, 1.0]) | st.floats(0.02, 50))
            if function is Function.HARD_SWISH:
                # TFLite takes no output scale below a 128th of the input's.
                assume(1e-3 < x.scale < 100 and scale > x.scale / 100)
            if x.dtype == "int16" and function is not Function.LEAKY_RELU and x.scale > 2:
                source = b.requantize(source, 2.0)  # TFLite takes none above 2.67
            if function is Function.EXP and x.scale > 0.3:
                source = b.requantize(source, 0.3)  # a float32 has no exp(89)
            alpha = draw(st.sampled_from([0.0, 0.1, 0.2, 1.0]) | st.floats(0, 2))
            return b.lookup(source, function, scale, common["zero_point"], alpha)
        case "mean":
            axes, keep = draw(reductions)
            scale = x.scale * draw(st.sampled_from([1.0, 0.5]) | st.floats(0.01, 100))
            zero_point = draw(st.just(x.zero_point) | zero_points)
            return b.mean(source, axes, keep, scale, zero_point)
        case "pad":
            sides = st.tuples(st.just(0), *[st.integers(0, 3)] * 3)
            # The kernel fills bytes: on int16 both must be equal.
            wide = x.dtype == "int16"
            value = draw(st.none() | (st.sampled_from([0, -1]) if wide else st.integers(-128, 127)))
            return b.pad(source, draw(sides), draw(sides), value)
        case "concatenate":
            return draw_concatenation(draw, b, source)
        case "strided_slice" | "transpose" | "gather" | "broadcast_to":
            return draw_movement(draw, b, source, kind)
        case "minimum" | "maximum":
            return draw_comparison(draw, b, source, kind)
        case _:
            return append_map_op(draw, b, source, kind)


@st.composite
def single_op_graphs(draw: st.DrawFn, kind: str | None = None) -> Graph:
    """A graph of one operator of `kind` (None: any of OP_KINDS) on a random input.

    Operators that compute further operands are part of the graph.
    """
    b = draw(builders())
    chosen = draw(st.sampled_from(OP_KINDS)) if kind is None else kind
    return b.finish(append_op(draw, b, 0, chosen), chosen)


@st.composite
def single_int16_op_graphs(draw: st.DrawFn, kind: str) -> Graph:
    """A graph of one operator of `kind` (of INT16_KINDS) on int16 values of any range."""
    b = draw(builders())
    # Widened values are multiples; a convolution makes any of them.
    x = b.conv(b.widen(0, draw(st.integers(0, 7))), draw(st.integers(1, 9)), (1, 1))
    return b.finish(draw_narrowing(draw, b, append_op(draw, b, x, kind)), f"{kind}_int16")


def draw_narrowing(draw: st.DrawFn, b: GraphBuilder, source: int) -> int:
    """`source` as int8."""
    ratio = draw(st.sampled_from([256.0, 255.5, 1.0]) | st.floats(0.01, 1000))
    return b.narrow(source, ratio, draw(zero_points))


def _some_softmax(b: GraphBuilder, source: int) -> int:
    """TFLite has no multiplier for inputs of a scale of 2**-26 or less."""
    if b.tensors[source].scale <= 2**-26:
        source = b.requantize(source, 2**-20)
    return b.softmax(source)


def _some_softmax_to_int16(draw: st.DrawFn, b: GraphBuilder, source: int) -> int:
    """Softmax of an int16, or of it as int8, whose values are some units apart."""
    reach = draw(st.sampled_from([0.01, 1.0, 8.0, 1000.0]) | st.floats(0.1, 50.0))
    x = b.tensors[source]
    factor = b.constant((), reach / x.scale / 2**30, dtype="int16")
    factor_data = b.tensors[factor].data
    assert factor_data is not None
    factor_data[...] = 2**15 - 1
    source = b.mul(source, factor, gain=2**15 / 10000)
    if draw(st.booleans()):
        source = b.reshape(source, (x.elements,))
    if draw(st.booleans()):
        return b.softmax(source, "int16")
    return b.softmax(b.narrow(source, draw(st.floats(100.0, 300.0)), draw(zero_points)), "int16")


def chain_graphs() -> st.SearchStrategy[Graph]:
    """A valid chain of two to five spatial operators, perhaps with a residual Add or a classifier.

    Some operators are on int16, with necessary and unnecessary conversions between them.
    """
    return _chains().filter(_is_valid)


def _is_valid(graph: Graph) -> bool:
    """Scales of long chains may leave single precision, their ratios what a multiplier reaches."""
    try:
        check_graph(graph)
    except HilError:
        return False
    return True


@st.composite
def _chains(draw: st.DrawFn) -> Graph:
    b = draw(builders())
    classifiers = ("fully_connected", "reshape", "softmax", *REDUCTION_KINDS)
    spatial = [kind for kind in OP_KINDS if kind not in classifiers]
    wide = draw(st.lists(st.booleans(), min_size=6, max_size=6))
    x = 0

    def converted(x: int, kind: str) -> int:
        if wide.pop() and kind in INT16_KINDS:
            return x if b.tensors[x].dtype == "int16" else b.widen(x, draw(st.integers(5, 7)))
        return draw_narrowing(draw, b, x)

    for kind in draw(st.lists(st.sampled_from(spatial), min_size=2, max_size=5)):
        before = converted(x, kind)
        x = append_op(draw, b, before, kind)
        if b.tensors[before].shape == b.tensors[x].shape and draw(st.booleans()):
            x = b.add(before, x, draw(activations), draw(zero_points))
    if draw(st.booleans()):
        x = b.reshape(x, (b.tensors[x].elements,))
        x = converted(x, "fully_connected")
        x = b.fully_connected(x, draw(st.integers(1, 9)), draw(activations))
        x = draw_narrowing(draw, b, x)
        x = _some_softmax(b, x) if draw(st.booleans()) else x
    return b.finish(draw_narrowing(draw, b, x), "chain")


def graphs() -> st.SearchStrategy[Graph]:
    """A graph of one operator or of a chain."""
    return single_op_graphs() | chain_graphs()
