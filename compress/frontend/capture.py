"""Conversion of a `torch.nn.Module` to a list of float `Layer`s, by tracing it with torch.fx.

A layer without an integer kernel is refused (`UnsupportedLayer`), never approximated. Layouts
change here from torch's NCHW to NHWC, including weights and flattened vectors.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional

from compress.errors import UnsupportedLayer
from compress.frontend.layers import Layer, LayerKind
from compress.ops import Activation, Padding
from compress.types import Array

_IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
_IDENTITY_CALLS = (functional.dropout, "contiguous")
_RELU_CALLS = (torch.relu, functional.relu, "relu", "relu_")
_ADD_CALLS = (operator.add, operator.iadd, torch.add, "add", "add_")
_RESHAPES = (torch.flatten, torch.reshape, "flatten", "reshape", "view")
_SOFTMAX_CALLS = (torch.softmax, functional.softmax, "softmax")
_MEAN_CALLS = (torch.mean, "mean")


def trace_module(module: nn.Module, input_shape: tuple[int, ...]) -> fx.GraphModule:
    """The module as a torch.fx graph with shapes, which shares its parameters.

    `input_shape` is (C, H, W). Sets the module to evaluation mode. Raises UnsupportedLayer for a
    module whose Python code depends on tensor values.
    """
    module.eval()
    try:
        traced = fx.symbolic_trace(module)
    except (fx.proxy.TraceError, TypeError) as error:
        raise UnsupportedLayer(
            f"{type(module).__name__} cannot be traced by torch.fx: {error}. "
            "Avoid control flow that depends on tensor values"
        ) from error
    with torch.no_grad():
        ShapeProp(traced).propagate(torch.zeros(1, *input_shape))
    return traced


def capture(traced: fx.GraphModule) -> tuple[tuple[Layer, ...], str, str]:
    """The layers in execution order, and the names of the input and output values.

    Raises UnsupportedLayer, naming the layer and what is allowed.
    """
    reader = _Reader(traced)
    for node in traced.graph.nodes:
        reader.read(node)
    return tuple(reader.layers), reader.input, reader.output


def _shape(node: fx.Node) -> tuple[int, ...]:
    """The NHWC shape of a traced value; other ranks than 4 are unchanged."""
    shape = tuple(node.meta["tensor_meta"].shape)
    return (shape[0], shape[2], shape[3], shape[1]) if len(shape) == 4 else shape


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _array(value: torch.Tensor) -> Array:
    return value.detach().numpy().astype(np.float32)


@dataclass
class _Reader:
    """Converts traced operations to layers, one by one.

    `alias` maps the output of an operation without effect, as dropout, to its input.
    `channel_first` maps a vector flattened from a map, which is still in torch's channel-first
    order, to the shape (C, H, W) of the map.
    """

    traced: fx.GraphModule
    layers: list[Layer] = field(default_factory=list)
    alias: dict[str, str] = field(default_factory=dict)
    channel_first: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    input: str = ""
    output: str = ""

    def read(self, node: fx.Node) -> None:
        """Append the layers of one traced operation. Raises UnsupportedLayer."""
        if node.op == "placeholder":
            if self.input:
                raise UnsupportedLayer("a network with several inputs; one is supported")
            self.input = node.name
        elif node.op == "output":
            self._finish(node)
        elif node.op == "call_module":
            self._module(node, self.traced.get_submodule(str(node.target)))
        elif node.op in ("call_function", "call_method"):
            self._call(node)
        else:
            raise UnsupportedLayer(f"{node.name}: a parameter used outside a layer")

    def _finish(self, node: fx.Node) -> None:
        value = node.args[0]
        if not isinstance(value, fx.Node):
            raise UnsupportedLayer("a network with several outputs; one is supported")
        self.output = self._name(value)
        if self.output in self.channel_first:
            raise UnsupportedLayer(f"{value.name}: a flattened map as output; end with Linear")

    def _name(self, node: fx.Node) -> str:
        return self.alias.get(node.name, node.name)

    def _module(self, node: fx.Node, module: nn.Module) -> None:
        match module:
            case nn.Conv2d():
                self._conv(node, module)
            case nn.Linear():
                self._linear(node, module)
            case nn.BatchNorm2d() | nn.BatchNorm1d():
                self._batch_norm(node, module)
            case nn.ReLU6():
                self._add_layer(node, "activation", activation=Activation.RELU6)
            case nn.ReLU():
                self._add_layer(node, "activation", activation=Activation.RELU)
            case nn.AvgPool2d() | nn.MaxPool2d():
                self._pool(node, module)
            case nn.AdaptiveAvgPool2d():
                self._global_pool(node, _pair(module.output_size) == (1, 1))  # type: ignore[arg-type]
            case nn.Flatten() if module.start_dim == 1:
                self._reshape(node)
            case nn.ZeroPad2d():
                self._pad(node, tuple(module.padding))
            case nn.Softmax():
                self._softmax(node, module.dim)
            case _ if isinstance(module, _IDENTITIES):
                self.alias[node.name] = self._name(node.all_input_nodes[0])
            case _:
                raise UnsupportedLayer(
                    f"{node.target}: {type(module).__name__} has no integer kernel; supported are "
                    "Conv2d, Linear, BatchNorm, ReLU, ReLU6, AvgPool2d, MaxPool2d, "
                    "AdaptiveAvgPool2d(1), Flatten, ZeroPad2d, Softmax, addition and Dropout"
                )

    def _call(self, node: fx.Node) -> None:
        call: Callable[..., Any] | str = node.target
        if call in _RELU_CALLS:
            self._add_layer(node, "activation", activation=Activation.RELU)
        elif call is functional.relu6:
            self._add_layer(node, "activation", activation=Activation.RELU6)
        elif call in _ADD_CALLS:
            if len(node.all_input_nodes) != 2 or node.kwargs.get("alpha", 1) != 1:
                raise UnsupportedLayer(
                    f"{node.name}: addition must be of two values of the network, without alpha"
                )
            left, right = (_shape(value) for value in node.all_input_nodes)
            if left != right:
                raise UnsupportedLayer(
                    f"{node.name}: addition of shapes {left} and {right}; must be equal"
                )
            self._add_layer(node, "add")
        elif call in _RESHAPES:
            self._reshape(node)
        elif call in _SOFTMAX_CALLS:
            self._softmax(node, node.args[1] if len(node.args) > 1 else node.kwargs.get("dim"))
        elif call is functional.adaptive_avg_pool2d:
            self._global_pool(node, _pair(node.args[1]) == (1, 1))  # type: ignore[arg-type]
        elif call in _MEAN_CALLS:
            dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
            axes = sorted(d % 4 for d in dims) if isinstance(dims, list | tuple) else []
            self._global_pool(node, axes == [2, 3])
        elif call is functional.pad:
            if node.kwargs.get("mode", "constant") != "constant" or node.kwargs.get("value"):
                raise UnsupportedLayer(f"{node.name}: only zero padding has an integer kernel")
            self._pad(node, tuple(node.args[1]))  # type: ignore[arg-type]
        elif call in _IDENTITY_CALLS:
            self.alias[node.name] = self._name(node.all_input_nodes[0])
        else:
            raise UnsupportedLayer(
                f"{node.name}: {getattr(call, '__name__', call)} has no integer kernel; use the "
                "layers of torch.nn"
            )

    def _add_layer(self, node: fx.Node, kind: LayerKind, **fields: Any) -> None:
        inputs = tuple(self._name(value) for value in node.all_input_nodes)
        for value in inputs:
            if value in self.channel_first and kind in ("activation",):
                self.channel_first[node.name] = self.channel_first[value]
            elif value in self.channel_first and kind != "linear":
                raise UnsupportedLayer(f"{node.name}: {kind} of a flattened map; allowed is Linear")
        if kind == "add" and len(inputs) == 1:
            inputs *= 2  # x + x
        name = str(node.target) if node.op == "call_module" else node.name
        self.layers.append(Layer(name, kind, inputs, node.name, _shape(node), **fields))

    def _conv(self, node: fx.Node, conv: nn.Conv2d) -> None:
        if conv.padding_mode != "zeros":
            raise UnsupportedLayer(f"{node.target}: padding_mode {conv.padding_mode!r}; use zeros")
        if conv.groups not in (1, conv.in_channels):
            raise UnsupportedLayer(
                f"{node.target}: {conv.groups} groups for {conv.in_channels} channels; "
                "allowed are 1 (convolution) and one per channel (depthwise)"
            )
        depthwise = conv.groups > 1
        weight = _array(conv.weight)  # (Cout, Cin / groups, kh, kw)
        self._add_layer(
            node,
            "depthwise" if depthwise else "conv",
            weight=weight.transpose(1, 2, 3, 0) if depthwise else weight.transpose(0, 2, 3, 1),
            bias=None if conv.bias is None else _array(conv.bias),
            stride=_pair(conv.stride),
            dilation=_pair(conv.dilation),
            filter=_pair(conv.kernel_size),
            padding=_conv_padding(conv),
        )

    def _linear(self, node: fx.Node, linear: nn.Linear) -> None:
        weight = _array(linear.weight)
        value = self._name(node.all_input_nodes[0])
        if len(_shape(node)) != 2:
            raise UnsupportedLayer(f"{node.target}: Linear takes (N, features); flatten first")
        if value in self.channel_first:
            c, h, w = self.channel_first[value]
            by_map = weight.reshape(-1, c, h, w).transpose(0, 2, 3, 1)
            weight = np.ascontiguousarray(by_map.reshape(len(weight), -1))
        bias = None if linear.bias is None else _array(linear.bias)
        self._add_layer(node, "linear", weight=weight, bias=bias)

    def _batch_norm(self, node: fx.Node, norm: nn.BatchNorm2d | nn.BatchNorm1d) -> None:
        if norm.running_mean is None or norm.running_var is None:
            raise UnsupportedLayer(f"{node.target}: batch-norm without running statistics")
        scale = 1.0 / torch.sqrt(norm.running_var + norm.eps)
        if norm.affine:
            scale = scale * norm.weight
        shift = -norm.running_mean * scale + (norm.bias if norm.affine else 0.0)
        self._add_layer(node, "batch_norm", weight=_array(scale), bias=_array(shift))

    def _pool(self, node: fx.Node, pool: nn.AvgPool2d | nn.MaxPool2d) -> None:
        pad = _pair(pool.padding)
        average = isinstance(pool, nn.AvgPool2d)
        if pool.ceil_mode:
            raise UnsupportedLayer(f"{node.target}: ceil_mode; use explicit padding")
        if average and any(pad) and pool.count_include_pad:
            raise UnsupportedLayer(f"{node.target}: set count_include_pad=False")
        if isinstance(pool, nn.AvgPool2d) and pool.divisor_override is not None:
            raise UnsupportedLayer(f"{node.target}: divisor_override has no integer kernel")
        if isinstance(pool, nn.MaxPool2d) and _pair(pool.dilation) != (1, 1):
            raise UnsupportedLayer(f"{node.target}: dilated pooling has no integer kernel")
        self._add_layer(
            node,
            "average_pool" if average else "max_pool",
            filter=_pair(pool.kernel_size),
            stride=_pair(pool.stride),
            padding=Padding(pad[0], pad[0], pad[1], pad[1]),
        )

    def _softmax(self, node: fx.Node, axis: Any) -> None:
        """Softmax over channels or classes: axis 1 in torch (also for None), the last in NHWC."""
        rank = len(node.meta["tensor_meta"].shape)
        if axis is not None and axis % rank != 1:
            raise UnsupportedLayer(f"{node.name}: softmax over axis {axis}; allowed is axis 1")
        self._add_layer(node, "softmax")

    def _global_pool(self, node: fx.Node, whole_map: bool) -> None:
        if not whole_map:
            raise UnsupportedLayer(
                f"{node.target}: pools to another size than 1x1; only the whole map can be pooled"
            )
        _, height, width, _ = _shape(node.all_input_nodes[0])
        size = (height, width)
        self._add_layer(node, "average_pool", filter=size, stride=size)
        if len(_shape(node)) == 2:  # a mean without keepdim is a pooling and a reshape
            pooled = self.layers.pop()
            inner = f"{node.name}_map"
            shape = (1, 1, 1, pooled.shape[1])
            self.layers += [
                Layer(pooled.name, "average_pool", pooled.inputs, inner, shape,
                      filter=size, stride=size),
                Layer(inner, "reshape", (inner,), node.name, pooled.shape),
            ]  # fmt: skip

    def _reshape(self, node: fx.Node) -> None:
        source = node.all_input_nodes[0]
        before, after = _shape(source), _shape(node)
        if len(after) != 2 or after[0] != before[0]:
            raise UnsupportedLayer(
                f"{node.name}: reshape of {before} to {after}; only flattening is supported"
            )
        if len(before) == 4 and before[1] * before[2] > 1:
            self._add_layer(node, "reshape")
            self.channel_first[node.name] = (before[3], before[1], before[2])
        elif before == after:
            self.alias[node.name] = self._name(source)
        else:
            self._add_layer(node, "reshape")

    def _pad(self, node: fx.Node, widths: tuple[int, ...]) -> None:
        if len(widths) not in (2, 4) or min(widths) < 0:
            raise UnsupportedLayer(
                f"{node.name}: padding {widths}; only height and width, not negative"
            )
        left, right, top, bottom = (*widths, 0, 0)[:4]
        self._add_layer(node, "pad", padding=Padding(top, bottom, left, right))


def _conv_padding(conv: nn.Conv2d) -> Padding:
    """The explicit padding of a convolution; for 'same' the odd element is last, as in torch."""
    if conv.padding == "valid":
        return Padding()
    if conv.padding == "same":
        totals = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
        (top, left) = (total // 2 for total in totals)
        return Padding(top, totals[0] - top, left, totals[1] - left)
    height, width = _pair(conv.padding)  # type: ignore[arg-type]
    return Padding(height, height, width, width)
