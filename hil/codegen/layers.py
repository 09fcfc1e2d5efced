"""Layers as the C templates see them: a step of the plan, the call of its kernel, a comment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from compress.ops import Activation, AveragePool2D, inputs_of, outputs_of
from compress.types import Graph
from hil.codegen.row_layers import row_operator
from hil.kernel_interface.call import Call, Constant, Dims, Instance, safe, size_text
from hil.kernel_interface.operator_kernels import NO_KERNEL
from hil.kernels.registry import kernels_of
from hil.segment import RowLayer, Segment
from hil.tuned.pool_rows import pool_rows_call
from hil.tuned_kernels.registry import tuned_kernel
from hil.types import Plan, Step


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator as the templates see it; `parameters` are what the macro `kind` fills in."""

    step: Step
    kind: str
    comment: str
    parameters: Mapping[str, Any]
    input_dims: Dims | None
    filter_dims: Dims | None
    output_dims: Dims | None
    constants: tuple[Constant, ...]
    instances: tuple[Instance, ...]
    segment: Segment | None = None

    @property
    def segment_name(self) -> str:
        """Of the function that runs its segment."""
        assert self.segment is not None, "only layers of segments have one"
        return f"rows_of_layers_{self.segment.first}_to_{self.segment.last}"

    @property
    def shapes(self) -> tuple[Dims, ...]:
        """The dims constants that the call uses."""
        return tuple(d for d in (self.input_dims, self.filter_dims, self.output_dims) if d)


def layer_of(plan: Plan, step: Step) -> Layer:
    """The layer of one step. Raises UnsupportedLayer if it has no fixed-point form."""
    graph, op = plan.graph, step.op
    segment = plan.segment_of(step.index)
    row = None if segment is None else segment.layers[step.index - segment.first]
    call = _call(graph, step) if row is None else _row_call(graph, step, row)
    inputs, outputs = inputs_of(op), outputs_of(op)
    output_offsets = tuple(plan.tensors[index].offset_bytes for index in outputs)
    places: dict[str, Any] = {
        "inputs": tuple(plan.tensors[index].offset_bytes for index in inputs),
        "output": output_offsets[0],
        "outputs": output_offsets,
        "wide_input": graph.tensors[inputs[0]].dtype == "int16",
        "wide_output": graph.tensors[outputs[0]].dtype == "int16",
    }
    if row is not None:  # row_stream.c says where
        places["inputs"] = tuple(f"stream.in[{i}]" for i in range(len(inputs)))
        places["output"], places["outputs"] = "stream.out", ("stream.out",)
    return Layer(
        step=step,
        kind=call.macro,
        comment=_comment(graph, step, call, row),
        parameters={**places, **call.values},
        input_dims=call.input_dims,
        filter_dims=call.filter_dims,
        output_dims=call.output_dims,
        constants=call.constants,
        instances=call.instances,
        segment=segment,
    )


def _call(graph: Graph, step: Step) -> Call:
    tuned = tuned_kernel(step.op, step.kernel)
    return (kernels_of(step.op) if tuned is None else tuned).call(graph, step, step.op)


def _row_call(graph: Graph, step: Step, row: RowLayer) -> Call:
    """The call that makes one row."""
    if row.sums:
        assert isinstance(step.op, AveragePool2D), "no other operator sums rows"
        return pool_rows_call(graph, step, step.op)
    smaller, op = row_operator(graph, row)
    return _call(smaller, replace(step, op=op))


def _comment(graph: Graph, step: Step, call: Call, row: RowLayer | None) -> str:
    """Index, name, shapes, window, activation, MACs, kernel, form of the weights, scratch.

    Shapes and MACs are those of the whole layer.
    """
    op = step.op
    sides = (inputs_of(op), outputs_of(op))
    shapes = [" + ".join(size_text(graph.tensors[i].shape) for i in side) for side in sides]
    parts = [" -> ".join(shapes), *call.window]
    activation = getattr(op, "activation", Activation.NONE)
    if activation is not Activation.NONE:
        parts.append(activation.value)
    if step.macs:
        parts.append(f"{step.macs} MACs")
    if row is not None:
        parts.append("row by row")
    parts.append("the same bytes" if step.kernel == NO_KERNEL else step.kernel)
    parts += call.storage
    if step.scratch:
        parts.append(f"{step.scratch.size_bytes} bytes of scratch")
    text = f"{step.index} {safe(op.name)}: {', '.join(parts)}"
    return f"{text};\n     * {step.choice}" if step.choice else text
