"""Custom operators: what the user's function computes, checked for shape, type and range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer, UserError
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import Custom, Operand
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator, FileOperator
from compress.tflite_records.import_node import ImportNode
from compress.types import Array, Graph, IntArray, Tensor


def _check(graph: Graph, op: Custom) -> None:
    for index in (*op.operands, *op.outputs):
        tensor = graph.tensors[index]
        if len(tensor.scales) != 1 or tensor.dtype == "int4":
            raise UnsupportedLayer(
                f"{op.name}: operand {tensor.name} must have one scale and 8 bits or more"
            )


def operand_of(tensor: Tensor) -> Operand:
    """What the user's function is told about a tensor, with the values of a constant."""
    return Operand(tensor.shape, tensor.dtype, tensor.scale, tensor.zero_point, tensor.data)


def _kernel(graph: Graph, op: Custom) -> Kernel:
    """The user's function, sample by sample. Raises UserError for outputs that do not fit."""
    operands = {index: operand_of(graph.tensors[index]) for index in op.operands}
    outputs = [operand_of(graph.tensors[index]) for index in op.outputs]

    def run_op(*inputs: IntArray) -> tuple[IntArray, ...]:
        rows = []
        for sample in range(len(inputs[0])):
            given = {
                index: replace(operands[index], values=values[sample : sample + 1])
                for index, values in zip(op.inputs, inputs, strict=True)
            }
            known = {**operands, **given}
            computed = op.definition.reference(
                [known[index] for index in op.operands], outputs, op.options
            )
            rows.append(_checked(op, outputs, computed))
        return tuple(np.concatenate(column) for column in zip(*rows, strict=True))

    return run_op


def _checked(op: Custom, outputs: Sequence[Operand], computed: Sequence[Array]) -> list[Array]:
    values = [np.asarray(array) for array in computed]
    for output, array in zip(outputs, values, strict=False):
        if array.shape != output.shape or array.dtype != output.dtype:
            raise UserError(
                f"{op.name}: the reference of {op.definition.code} gives {array.dtype} "
                f"{array.shape}, must be {output.dtype} {output.shape}"
            )
    if len(values) != len(outputs):
        raise UserError(
            f"{op.name}: the reference of {op.definition.code} gives {len(values)} outputs, must "
            f"be {len(outputs)}"
        )
    return values


def _import(node: ImportNode) -> Custom:
    stored = node.stored
    definition = node.customs.get(stored.custom)
    if definition is None:
        known = ", ".join(node.customs) or "none"
        raise UnsupportedLayer(
            f"{node.label}: custom operator {stored.custom}; supplied are: {known} "
            "(hil bench --operators FILE.py)"
        )
    if min(stored.inputs) < 0:
        raise UnsupportedLayer(f"{node.label}: custom operator with an absent operand")
    constant = [node.tensors[index].data is not None for index in stored.inputs]
    inputs = [i for i, fixed in enumerate(constant) if not fixed]
    parameters = [i for i, fixed in enumerate(constant) if fixed]
    return Custom(
        node.label,
        inputs=tuple(stored.inputs[i] for i in inputs),
        parameters=tuple(stored.inputs[i] for i in parameters),
        outputs=stored.outputs,
        order=(*inputs, *parameters),
        options=stored.custom_options,
        definition=definition,
    )


def _export(context: ExportContext, op: Custom) -> None:
    context.operators.append(
        FileOperator(
            BuiltinOperator.CUSTOM,
            op.operands,
            op.outputs,
            custom=op.definition.code,
            custom_options=op.options,
        )
    )


FAMILY = Family(
    operators=(
        Operator(
            op=Custom, check=_check, kernel=_kernel, export=_export, on_int16=True, converts=True
        ),
    ),
    builtins=(Builtin(BuiltinOperator.CUSTOM, 1, _import, several=True),),
    limits=("Supplied by the user ([custom operators](custom-operators.md))."),
)
