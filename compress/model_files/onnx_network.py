"""Makes a torch network of an ONNX graph, node by node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from compress.errors import UnsupportedLayer, UserError
from compress.model_files import onnx_operators, onnx_rearranging
from compress.model_files.imported import Imported, without_form
from compress.model_files.network_builder import NetworkBuilder
from compress.model_files.onnx_constants import EVALUATED, evaluated, shape_constant
from compress.model_files.onnx_file import opset_of, read_onnx
from compress.model_files.onnx_nodes import OnnxNode, attributes_of
from compress.model_files.onnx_operators import ReadNode
from compress.model_files.values import Constant, Extents, Value

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto

ONNX_OPERATORS: Mapping[str, ReadNode] = {
    **onnx_operators.ONNX_LAYERS,
    **onnx_rearranging.ONNX_MOVES,
}
# What to use in place of operators that have no form here.
_NEAREST = {
    "ArgMax": "end the network before it: the host takes the largest output",
    "ArgMin": "end the network before it",
    "DepthToSpace": "nn.Upsample or nn.ConvTranspose2d",
    "Einsum": "torch.matmul and permute",
    "Erf": "nn.GELU",
    "GroupNormalization": "nn.BatchNorm2d",
    "InstanceNormalization": "nn.BatchNorm2d",
    "LRN": "nn.BatchNorm2d",
    "LpPool": "nn.AvgPool2d",
    "NonMaxSuppression": "end the network before it",
    "RNN": "nn.GRU or nn.LSTM",
    "SpaceToDepth": "nn.Conv2d with a stride",
    "TopK": "end the network before it",
}
_NHWC_TO_NCHW = [0, 3, 1, 2]


def import_onnx(path: Path) -> Imported:
    """The network of an ONNX file.

    Raises UserError for a file that is damaged or not of one input and output, UnsupportedLayer
    for operators without a form in torch, naming their nodes, and as `read_onnx`.
    """
    model = read_onnx(path)
    graph = model.graph
    weights = {held.name: held for held in graph.initializer}
    inputs = [held for held in graph.input if held.name not in weights]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise UserError(
            f"has the inputs {', '.join(held.name for held in inputs) or 'none'} and the outputs "
            f"{', '.join(held.name for held in graph.output)}; one of each is supported"
        )
    batch, shape = _input_shape(inputs[0])
    order = _input_order(graph, inputs[0].name, len(shape) + 1)
    builder = NetworkBuilder(batch)
    known: dict[str, Value | Constant] = _constants(weights)
    with builder.at(f"{inputs[0].name} (input)"):
        known[inputs[0].name] = builder.input(inputs[0].name, shape, order)
    _read_nodes(builder, graph, known, opset_of(model))
    result = known.get(graph.output[0].name)
    if not isinstance(result, Value):
        raise UserError(f"its output {graph.output[0].name} does not depend on its input")
    with builder.at(f"{graph.output[0].name} (output)"):
        module = builder.finish((result,))
    producer = f"{model.producer_name} {model.producer_version}".strip()
    return Imported(module, shape, order, builder.origins, producer)


def _read_nodes(
    builder: NetworkBuilder, graph: GraphProto, known: dict[str, Value | Constant], opset: int
) -> None:
    """Add all nodes of the graph; `known` gets their outputs by name.

    Raises UnsupportedLayer for all kinds of operators at once that have no form.
    """
    unknown = [_label(n, i) for i, n in enumerate(graph.node) if not _has_form(n)]
    if unknown:
        kinds = {node.op_type: _NEAREST.get(node.op_type, "") for node in graph.node}
        raise UnsupportedLayer(without_form(unknown, kinds))
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(held.name for held in graph.output)
    for position, proto in enumerate(graph.node):
        label = _label(proto, position)
        missing = [name for name in proto.input if name and name not in known]
        if missing:
            raise UserError(f"{label}: damaged: nothing computes its input {missing[0]}")
        with builder.at(label):
            node = OnnxNode(
                proto.op_type,
                label,
                attributes_of(proto),
                [known[name] if name else None for name in proto.input],
                list(proto.output),
                opset,
                uses,
                list(proto.input),
            )
            made = _results(builder, proto, node)
        known.update((name, value) for name, value in zip(proto.output, made, strict=False) if name)


def _results(builder: NetworkBuilder, proto: NodeProto, node: OnnxNode) -> list[Value | Constant]:
    """The outputs of a node."""
    if node.kind == "Shape":
        return [shape_constant(builder, node)]
    if any(isinstance(value, Value) for value in node.inputs):
        if node.kind not in ONNX_OPERATORS:
            raise UnsupportedLayer(f"{node.label}: is known on constants only")
        return list(ONNX_OPERATORS[node.kind](builder, node))
    return [*evaluated(proto, node)]


def _has_form(node: NodeProto) -> bool:
    own = node.domain in ("", "ai.onnx")
    return own and (
        node.op_type in ONNX_OPERATORS or node.op_type in EVALUATED or node.op_type == "Shape"
    )


def _label(node: NodeProto, position: int) -> str:
    """The name of a node in messages: its own, else its kind and place, then what it is."""
    kind = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
    return f"{node.name or f'{node.op_type}_{position}'} ({kind})"


def _constants(weights: Mapping[str, TensorProto]) -> dict[str, Value | Constant]:
    """The values of the file's constants; real ones as float32."""
    return {name: Constant(_array(held), name=name) for name, held in weights.items()}


def _array(held: TensorProto) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    from onnx import numpy_helper

    try:
        values = numpy_helper.to_array(held)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"constant {held.name}: damaged: data and shape disagree") from error
    return values.astype(np.float32) if values.dtype.kind not in "iub" else values


def _input_shape(held: ValueInfoProto) -> tuple[int, Extents]:
    """The file's batch (1 if it is free), and the shape of a sample."""
    from onnx import TensorProto, helper

    kind = held.type.tensor_type
    if kind.elem_type not in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE):
        try:
            name = str(helper.tensor_dtype_to_np_dtype(kind.elem_type))
        except KeyError:
            name = f"of type {kind.elem_type}"
        raise UserError(f"its input {held.name} is {name}, must be float32")
    dims = list(kind.shape.dim)
    free = [axis for axis, dim in enumerate(dims) if axis and dim.dim_value < 1]
    if len(dims) < 2 or free:
        given = ", ".join(str(dim.dim_value or dim.dim_param or "?") for dim in dims)
        raise UserError(
            f"its input {held.name} has the shape ({given}); needed are a batch and fixed extents "
            "behind it: export with only the first axis dynamic"
        )
    return max(1, dims[0].dim_value), tuple(dim.dim_value for dim in dims[1:])


def _input_order(graph: GraphProto, name: str, rank: int) -> Extents:
    """The file's axes in the order of the network's: those of NCHW where all that reads the input
    turns it from NHWC."""
    readers = [node for node in graph.node if name in node.input]
    turned = rank == 4 and bool(readers) and all(
        node.op_type == "Transpose" and list(attributes_of(node).get("perm", ())) == _NHWC_TO_NCHW
        for node in readers
    )  # fmt: skip
    return tuple(_NHWC_TO_NCHW) if turned else tuple(range(rank))
