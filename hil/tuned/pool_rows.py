"""Mean over all pixels of a map, a row at a time: average_pool_rows.c."""

from __future__ import annotations

from compress.arithmetic.fixedpoint import clamp_range
from compress.ops import AveragePool2D
from compress.types import Graph
from hil.kernel_interface.call import Call, size_text
from hil.kernel_interface.operator_kernels import Kernel
from hil.tuned.calls import Field, job_call
from hil.types import Step

NAME = "average_pool_rows"


def pool_rows_kernel(graph: Graph, op: AveragePool2D) -> Kernel:
    """The kernel, whose scratch holds 16 bits of each channel from row to row."""
    return Kernel(NAME, scratch_bytes=2 * graph.tensors[op.input].shape[3])


def pool_rows_call(graph: Graph, step: Step, op: AveragePool2D) -> Call:
    """The call for one row; `graph` has the whole map."""
    _, height, width, channels = graph.tensors[op.input].shape
    lowest, highest = clamp_range(graph.tensors[op.output], op.activation)
    members = {
        "rows": height,
        "columns": width,
        "channels": channels,
        "lowest": lowest,
        "highest": highest,
    }
    call = job_call(
        graph,
        step,
        op,
        function=NAME,
        fields=[Field(name, value) for name, value in members.items()],
        window=(f"window {size_text(op.filter)}",),
    )
    return Call(macro="tuned_sums", values=call.values, window=call.window)
