"""Export of a `Graph` as a .tflite file that any TensorFlow Lite runtime executes.

Each operator's family in `compress.operators` writes its records. Equal graphs give equal bytes.
"""

from __future__ import annotations

from dataclasses import replace

from compress.operators.registry import operator_of
from compress.tflite.graph import referenced_only
from compress.tflite.write import write
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import File
from compress.types import Graph


def export_tflite(graph: Graph) -> bytes:
    """The .tflite file. Raises UnsupportedLayer for an average pool that is padded explicitly."""
    graph = referenced_only(graph)
    context = ExportContext(graph)
    for op in graph.ops:
        operator_of(op).export(context, op)
        # The last record is the operator's own. One before it, such as a PAD, stays nameless: the
        # import fuses it back.
        context.operators[-1] = replace(context.operators[-1], name=op.name)
    return write(
        File(
            name=graph.name,
            tensors=tuple(context.tensors),
            operators=tuple(context.operators),
            inputs=graph.inputs,
            outputs=graph.outputs,
        )
    )
