"""Capture of convolutions, transposed ones too, Linear, recurrent layers and batch-norm."""

from typing import Any

import numpy as np
import torch
from torch import fx, nn

from compress.errors import UnsupportedLayer
from compress.frontend.layers import Gates, LayerKind
from compress.frontend.layout import own_order, row_order, row_shape
from compress.frontend.reader import Reader, array, label, wide
from compress.ops import Padding
from compress.recurrent_layers.layer import RecurrentLayer
from compress.tracing.trace import shape_of

Pair = tuple[int, int]


def pair(value: int | tuple[int, ...] | list[int], rank: int, neutral: int = 1) -> Pair:
    """(height, width) of a window's property for tensors of this rank; a series has height 1.

    `neutral` is the property of that height.
    """
    values = (value,) if isinstance(value, int) else tuple(value)
    if rank == 3:
        return neutral, values[0]
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def convolution(reader: Reader, node: fx.Node, x: fx.Node, module: nn.Conv2d | nn.Conv1d) -> None:
    """Conv2d, and Conv1d as one of height 1."""
    name, rank = label(node), len(shape_of(node))
    if module.padding_mode != "zeros":
        raise UnsupportedLayer(f"{name}: padding_mode {module.padding_mode!r}; use zeros")
    depthwise = 1 < module.groups == module.in_channels
    weight = array(module.weight)  # (Cout, Cin / groups, kh, kw) or (Cout, Cin / groups, k)
    weight = weight if rank == 4 else weight[:, :, np.newaxis]
    kind: LayerKind = "depthwise" if depthwise else "conv"
    reader.emit(
        node,
        kind,
        [reader.view(x, node)],
        weight=weight.transpose(1, 2, 3, 0) if depthwise else weight.transpose(0, 2, 3, 1),
        bias=None if module.bias is None else array(module.bias),
        groups=1 if depthwise else module.groups,
        stride=pair(module.stride, rank),
        dilation=pair(module.dilation, rank),
        filter=pair(module.kernel_size, rank),
        padding=_padding(module, rank),
    )


def _padding(module: nn.Conv2d | nn.Conv1d, rank: int) -> Padding:
    """The explicit padding of a convolution; for 'same' the odd element is last, as in torch."""
    if module.padding == "valid":
        return Padding()
    if module.padding == "same":
        dilation, window = pair(module.dilation, rank), pair(module.kernel_size, rank)
        totals = [d * (k - 1) for d, k in zip(dilation, window, strict=True)]
        (top, left) = (total // 2 for total in totals)
        return Padding(top, totals[0] - top, left, totals[1] - left)
    height, width = pair(module.padding, rank, 0)  # type: ignore[arg-type]
    return Padding(height, height, width, width)


def linear(reader: Reader, node: fx.Node, x: fx.Node, module: nn.Linear) -> None:
    """Linear on vectors; its columns follow the order in which a flattened map lies in memory.

    On the last axis of a sequence or map it is a convolution of one pixel.
    """
    source, weight = reader.view(x, node), array(module.weight)
    bias = None if module.bias is None else array(module.bias)
    if len(source.shape) > 2:
        if len(source.shape) > 4:
            raise UnsupportedLayer(
                f"{label(node)}: Linear on {len(source.shape)} axes; allowed are up to 4"
            )
        pixelwise = weight[:, np.newaxis, np.newaxis]
        reader.emit(node, "conv", [source], in_rows=True, weight=pixelwise, bias=bias)
        return
    moved = not np.array_equal(source.order, own_order(source.shape))
    reader.emit(
        node,
        "linear",
        [source],
        any_order=True,
        weight=np.ascontiguousarray(weight[:, source.order]) if moved else weight,
        bias=bias,
        order=source.order if moved else None,
    )


def transposed_convolution(
    reader: Reader, node: fx.Node, x: fx.Node, module: nn.ConvTranspose2d | nn.ConvTranspose1d
) -> None:
    """ConvTranspose2d, and ConvTranspose1d as one of height 1.

    TFLite cuts nothing off, or what SAME padding of a convolution from the output to the input
    would add. Output padding is a row and column of zeros behind the filter.
    """
    name, source = label(node), reader.view(x, node)
    rank = len(source.shape)
    if module.groups != 1 or pair(module.dilation, rank) != (1, 1):
        raise UnsupportedLayer(
            f"{name}: a transposed convolution with groups or dilation has no integer kernel; "
            "leave both at 1"
        )
    stride, cut = pair(module.stride, rank), pair(module.padding, rank, 0)  # type: ignore[arg-type]
    more = pair(module.output_padding, rank, 0)
    weight = array(module.weight).swapaxes(0, 1)  # (Cout, Cin, kh, kw)
    weight = (weight if rank == 4 else weight[:, :, np.newaxis]).transpose(0, 2, 3, 1)
    if any(cut):
        window = tuple(weight.shape[1:3])
        ends = [k - 2 * p + o for k, p, o in zip(window, cut, more, strict=True)]
        if not all(0 < end <= step for end, step in zip(ends, stride, strict=True)):
            raise UnsupportedLayer(
                f"{name}: kernel {window}, stride {stride}, padding {cut} and output_padding "
                f"{more} have no TFLite form; allowed are padding 0, and kernel_size - 2 * padding "
                "+ output_padding from 1 to the stride"
            )
        weight = np.pad(weight, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)))
    reader.emit(
        node,
        "transposed",
        [source],
        weight=np.ascontiguousarray(weight),
        bias=None if module.bias is None else array(module.bias),
        stride=stride,
        filter=(weight.shape[1], weight.shape[2]),
        padding=Padding(top=cut[0], left=cut[1]),
    )


def matmul(reader: Reader, node: fx.Node, x: Any, y: Any) -> None:
    """The product of two values as matrices of their last two axes, one for each of the others."""
    left, right = reader.view(x, node), reader.view(y, node)
    rank, batches = len(left.shape), left.shape[1:-2]
    if rank not in (3, 4) or right.shape[1:-2] != batches or len(right.shape) != rank:
        raise UnsupportedLayer(
            f"{label(node)}: product of {wide(left.shape)} and {wide(right.shape)}; allowed are "
            "(N, M, K) and (N, K, L), or the same with a second axis that both have"
        )
    # The second matrix is read as it lies: by rows, or by columns as the transposed keys are.
    by_columns = row_order(right.shape).reshape(right.shape[1:]).swapaxes(-1, -2).ravel()
    transposed = np.array_equal(right.order, by_columns)
    swapped = (*right.shape[:-2], right.shape[-1], right.shape[-2])
    second = (
        reader.arranged(right, node, by_columns, row_shape(swapped), "_columns")
        if transposed
        else reader.in_rows(right, node)
    )
    reader.emit(
        node,
        "matmul",
        [left, right],
        in_rows=True,
        inputs=(reader.in_rows(left, node), second),
        transposed=transposed,
    )


def recurrent_layer(reader: Reader, node: fx.Node, x: fx.Node, module: RecurrentLayer) -> None:
    """A GRU or LSTM of one layer on (N, L, I)."""
    source = reader.view(x, node)
    if len(source.shape) != 3:
        raise UnsupportedLayer(f"{label(node)}: reads no sequence; it takes (N, steps, features)")
    gates, units = module.gates, module.units
    zeros = np.zeros((gates, units), np.float32)
    biases = [zeros] * 2 if module.biases is None else [array(bias) for bias in module.biases]
    reader.emit(
        node,
        "recurrent",
        [source],
        in_rows=True,
        gates=Gates(
            module.kind,
            array(module.weight_ih).reshape(gates, units, -1),
            array(module.weight_hh).reshape(gates, units, units),
            biases[0].reshape(gates, units),
            biases[1].reshape(gates, units),
        ),
    )


def computed_weight(reader: Reader, node: fx.Node, *args: Any, **kwargs: Any) -> None:
    """A convolution or Linear called as a function, which `decompose` could not make a layer of."""
    raise UnsupportedLayer(
        f"{label(node)}: its weight and bias must be parameters of the network as they are, and "
        "its other arguments numbers; use a layer of torch.nn"
    )


def batch_norm(
    reader: Reader, node: fx.Node, x: fx.Node, module: nn.BatchNorm2d | nn.BatchNorm1d
) -> None:
    """Batch-norm with its running statistics, as scale and shift per channel."""
    if module.running_mean is None or module.running_var is None:
        raise UnsupportedLayer(f"{label(node)}: batch-norm without running statistics")
    scale = 1.0 / torch.sqrt(module.running_var + module.eps)
    if module.affine:
        scale = scale * module.weight
    shift = -module.running_mean * scale + (module.bias if module.affine else 0.0)
    source, weight, bias = reader.view(x, node), array(scale), array(shift)
    order = source.order if len(source.shape) == 2 else None
    if order is not None:
        weight, bias = weight[order], bias[order]
    # In rows the channels of a batch-norm, torch's axis 1, are not those of the layer.
    reader.emit(
        node, "batch_norm", [source], keeps_order=order is not None,
        weight=weight, bias=bias, order=order,
    )  # fmt: skip
