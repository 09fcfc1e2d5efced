"""Limits that all kernels share (types, extents, batch, constants) and checks that several use."""

from __future__ import annotations

from compress.errors import UnsupportedLayer
from compress.ops import Op, activations_of, inputs_of, outputs_of
from compress.types import DType, Graph

# The kernels count extents in int16_t or uint16_t.
LONGEST_EXTENT = 2**15 - 1


def check_activations(graph: Graph, op: Op, *, converts: bool, any_extent: bool) -> None:
    """Raise UnsupportedLayer for inputs and outputs that no kernel takes.

    Allowed are int8 throughout, int16 throughout or, with `converts`, both; extents up to
    LONGEST_EXTENT unless `any_extent`; batch 1.
    """
    one_type = len(set(activation_types(graph, op))) == 1 or converts
    for index in activations_of(op):
        tensor = graph.tensors[index]
        if tensor.dtype != "int8" and not (tensor.dtype == "int16" and one_type):
            raise UnsupportedLayer(
                f"{op.name}: {tensor.name} is {tensor.dtype}, kernels take int8, or int16 only"
            )
        if max(tensor.shape) > LONGEST_EXTENT and not any_extent:
            raise UnsupportedLayer(
                f"{op.name}: {tensor.name} is {tensor.shape}, kernels take extents up to "
                f"{LONGEST_EXTENT}"
            )
        if tensor.shape[0] != 1:
            raise UnsupportedLayer(f"{op.name}: batch of {tensor.shape[0]}, kernels take 1")


def check_constant(
    graph: Graph, op: Op, index: int, *dtypes: DType, any_zero_point: bool = False
) -> None:
    """Raise UnsupportedLayer unless tensor `index` has data of one of `dtypes` and zero point 0."""
    tensor = graph.tensors[index]
    shifted = tensor.zero_point != 0 and not any_zero_point
    if tensor.data is None or tensor.dtype not in dtypes or shifted:
        raise UnsupportedLayer(
            f"{op.name}: {tensor.name} must be a constant {dtypes[0]} with zero point 0"
        )


def check_scale_kept(graph: Graph, op: Op) -> None:
    """Raise UnsupportedLayer if the output's scale or zero point is not the input's."""
    (index,), (output,) = inputs_of(op), outputs_of(op)
    source, out = graph.tensors[index], graph.tensors[output]
    if (source.scales, source.zero_point) != (out.scales, out.zero_point):
        raise UnsupportedLayer(f"{op.name}: output must keep the input's scale")


def no_int16_kernel(op: Op) -> UnsupportedLayer:
    """The error for an operator on int16 that only has kernels on int8."""
    return UnsupportedLayer(f"{op.name}: there is no kernel for {type(op).__name__} on int16")


def activation_types(graph: Graph, op: Op) -> tuple[DType, ...]:
    """Types of the inputs, then of the outputs."""
    return tuple(graph.tensors[index].dtype for index in activations_of(op))


def touches(size: int, taps: int, stride: int, before: int, outputs: int) -> bool:
    """True if every window along an axis has at least one tap inside the input.

    `size` is the input's extent, `before` the padding in front of it, `outputs` the windows.
    """
    return before < taps and (outputs - 1) * stride - before < size


def round_up(value: int, multiple: int) -> int:
    """`value` rounded up to a multiple of `multiple`."""
    return -(-value // multiple) * multiple
