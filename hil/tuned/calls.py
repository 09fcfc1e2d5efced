"""The call of a tuned kernel: a constant record of its layer, the tensors, and scratch memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compress.ops import Op, inputs_of, outputs_of
from compress.types import Array, Graph
from hil.kernel_interface.call import Call, Instance, constant
from hil.types import Step


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a layer's record in C: a number or the name of a function."""

    name: str
    value: int | str


def room_bytes(step: Step) -> int:
    """Bytes of scratch that the plan gives the step: of a kernel's candidates, those of one."""
    return 0 if step.scratch is None else step.scratch.size_bytes


def job_call(
    graph: Graph,
    step: Step,
    op: Op,
    *,
    function: str,
    fields: Sequence[Field],
    arrays: Sequence[tuple[str, str, npt.NDArray[np.generic]]] = (),
    instances: tuple[Instance, ...] = (),
    operand: Array | None = None,
    clamp: tuple[int, int] | None = None,
    window: tuple[str, ...] = (),
) -> Call:
    """The call `function(&layer, inputs..., output, scratch)` with a `function_layer` record.

    Each of `arrays` (member, C type, values) is a constant of the layer, named after the last part
    of a member of members. `operand` is a constant int8 input, the last. With `clamp` the output is
    limited to that range afterwards.
    """
    constants = [
        constant(step, name.rpartition(".")[2], type_, values) for name, type_, values in arrays
    ]
    last = [] if operand is None else [constant(step, "operand", "int8_t", operand)]
    return Call(
        macro="tuned",
        values={
            "function": function,
            "groups": _groups(
                [
                    *(
                        Field(name, made.name)
                        for (name, _, _), made in zip(arrays, constants, strict=True)
                    ),
                    *fields,
                ]
            ),
            "clamp": clamp,
            "output_bytes": graph.tensors[outputs_of(op)[0]].size_bytes,
            "operands": range(len(inputs_of(op))),
            "operand": last[0].name if last else None,
        },
        constants=(*constants, *last),
        instances=instances,
        window=window,
    )


def _groups(fields: Sequence[Field]) -> list[tuple[str, list[Field]]]:
    """The fields by member of members ("" for those of the record itself), in order."""
    groups: dict[str, list[Field]] = {}
    for field in fields:
        member, _, name = field.name.rpartition(".")
        groups.setdefault(member, []).append(Field(name, field.value))
    return list(groups.items())
