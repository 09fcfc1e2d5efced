"""Import of an int8 .tflite file as a `Graph`.

Each operator's family in `compress.operators` reads its records. A PAD is fused into the
convolution or pool that reads it where possible; missing biases become zeros; conversions from
and to other types at the edges, and tensors that nothing refers to, are dropped.
"""

from __future__ import annotations

from collections.abc import Callable

from compress.errors import UnsupportedLayer, UserError
from compress.integer.check import check_graph
from compress.operators.registry import BUILTINS
from compress.ops import Op
from compress.tflite.edges import int8_core, without_floats
from compress.tflite.graph import referenced, referenced_only, without_unread_pads
from compress.tflite.read import read
from compress.tflite_records.file import KIND_NAMES, File, TensorType
from compress.tflite_records.import_node import ImportNode, Padded
from compress.tflite_records.tensor import FILE_TYPES, from_file, type_name
from compress.types import Graph, Tensor

_TYPES = (*FILE_TYPES.values(), TensorType.INT64)  # of the operands
_UNUSED = Tensor("unused", (), "int8", (1.0,))  # in place of a tensor that nothing refers to


def import_tflite(data: bytes, name: str) -> Graph:
    """The graph in a .tflite file, checked.

    Operators have the names they were exported with; those of other files get kind and position.
    Where input or output are not int8 and the model converts them, the graph is what is between
    the conversions and its name says so: "NAME (int8 core)".

    Raises UserError for a file that is damaged or inconsistent, UnsupportedLayer for an operator,
    type or parameter that the operators of `compress.ops` do not have.
    """
    return import_with_indices(data, name)[0]


def import_with_indices(data: bytes, name: str) -> tuple[Graph, tuple[int, ...]]:
    """The graph of `import_tflite`, and for each of its tensors the index in the file.

    Every activation of the graph is a tensor of the file. The converse does not hold: a fused PAD
    and conversions have outputs of their own. A bias that the file lacks has an index beyond it.
    """
    file = read(data)
    core = int8_core(file)
    return _graph(without_floats(core), name if core is file else f"{name} (int8 core)")


def _graph(file: File, name: str) -> tuple[Graph, tuple[int, ...]]:
    """The graph of one file, imported with the file's tensor indices, then renumbered."""
    checked = [_checked(file, position) for position in range(len(file.operators))]
    used = {*file.inputs, *file.outputs}.union(*((*o.inputs, *o.outputs) for o in file.operators))
    tensors = [
        from_file(tensor) if index in used else _UNUSED for index, tensor in enumerate(file.tensors)
    ]
    padded: dict[int, Padded] = {}
    ops = [
        build(ImportNode(stored, label, file, tensors, padded))
        for stored, (label, build) in zip(file.operators, checked, strict=True)
    ]
    graph = Graph(
        name=name,
        tensors=tuple(tensors),
        ops=tuple(without_unread_pads(ops, file.outputs)),
        inputs=file.inputs,
        outputs=file.outputs,
    )
    indices = tuple(referenced(graph))
    graph = referenced_only(graph)
    check_graph(graph)
    return graph, indices


def _checked(file: File, position: int) -> tuple[str, Callable[[ImportNode], Op]]:
    """The label of an operator, its name in errors and in the graph, and its import function.

    Raises UnsupportedLayer for a kind without import and for operands of other types than those
    of `compress.tflite_records.tensor`, UserError for missing operands.
    """
    stored = file.operators[position]
    kind = KIND_NAMES.get(stored.code, f"operator {stored.code}")
    label = stored.name or f"{kind.lower()}_{position}"
    builtin = BUILTINS.get(stored.code)
    if builtin is None or builtin.build is None:
        raise UnsupportedLayer(f"{label}: there is no integer kernel for {kind}")
    if not stored.inputs or min(stored.inputs[:2]) < 0 or len(stored.outputs) != 1:
        raise UserError(f"{label}: damaged: inputs {stored.inputs}, outputs {stored.outputs}")
    for index in (*(i for i in stored.inputs if i >= 0), *stored.outputs):
        tensor = file.tensors[index]
        if tensor.type not in _TYPES:
            found = type_name(tensor.type)
            raise UnsupportedLayer(f"{label}: {tensor.name} is {found}, must be int8")
    return label, builtin.build
