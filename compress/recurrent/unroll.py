"""Recurrences as operators of TensorFlow Lite, step by step: what they are defined as.

The steps share their weights and biases, so that a file grows by the records of its operators only.
Before the first step states are zero: what only depends on them are constants there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from compress.arithmetic.fixedpoint import INT16_MAX, INT16_MIN, multiply_by_reduced_multiplier
from compress.arithmetic.recurrence import (
    DIFFERENCE_LOG2,
    GATE_NAMES,
    STATE_LOG2,
    TANH_GATES,
    GateSums,
    recurrence_parameters,
    units_of,
    wide_scale,
)
from compress.ops import (
    Activation,
    Add,
    Concatenate,
    FullyConnected,
    Function,
    Lookup,
    Mul,
    Op,
    Recurrence,
    Requantize,
    Reshape,
    StridedSlice,
)
from compress.types import Array, Graph, Tensor

_MOST_PARTS = 10  # of a CONCATENATION of tflite-micro


def unrolled(graph: Graph) -> Graph:
    """The graph with operators in place of each Recurrence; itself if it has none."""
    if not any(isinstance(op, Recurrence) for op in graph.ops):
        return graph
    tensors, ops = list(graph.tensors), []
    for op in graph.ops:
        if isinstance(op, Recurrence):
            unrolling = _Unrolling(graph, op, tensors)
            unrolling.run()
            ops += unrolling.ops
        else:
            ops.append(op)
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops))


@dataclass
class _Unrolling:
    """Appends the operators of one Recurrence to `ops`, their tensors to `tensors`.

    Each method that computes a value appends an operator of this name and returns the value's
    index. `prefix` is that of names in the present step.
    """

    graph: Graph
    op: Recurrence
    tensors: list[Tensor]
    ops: list[Op] = field(default_factory=list)
    prefix: str = ""

    def run(self) -> None:
        op, out = self.op, self.graph.tensors[self.op.output]
        source, steps = self._wide_input(), self.graph.tensors[op.input].shape[2]
        hidden: int | None = None
        cell: int | None = None
        states: list[int] = []
        for step in range(steps):
            self.prefix = f"{op.name}.{step}"
            x = self._input_of(source, step)
            last_only = len(out.shape) == 2 and step == steps - 1
            if op.kind == "gru":
                hidden = self._gru(x, hidden, last_only)
            else:
                hidden, cell = self._lstm(x, hidden, cell, last_only)
            states.append(hidden)
        if len(out.shape) != 2:
            self.prefix = op.name
            self.ops.append(Reshape(op.name, self._joined(states), op.output))
        else:
            self.ops[-1] = replace(self.ops[-1], name=op.name)

    def _wide_input(self) -> int:
        x = self.graph.tensors[self.op.input]
        if x.dtype == "int16":
            return self.op.input
        name = f"{self.op.name}.wide"
        wide = self._tensor(Tensor(name, x.shape, "int16", (wide_scale(x),)))
        self.ops.append(Requantize(name, self.op.input, wide))
        return wide

    def _input_of(self, source: int, step: int) -> int:
        x = self.tensors[source]
        part = self._tensor(Tensor(f"{self.prefix}.x", (1, 1, 1, x.shape[3]), "int16", x.scales))
        begin = (0, 0, step, 0)
        self.ops.append(StridedSlice(f"{self.prefix}.x", source, part, begin, (1, 1, 1, 1)))
        return part

    def _gru(self, x: int, hidden: int | None, last: bool) -> int:
        sums, state = self.op.sum_log2, STATE_LOG2
        sides = self._sides(x, hidden)
        reset, update = (
            self._function(gate, self._add(f"{gate}.sum", *sides[gate], sums))
            for gate in ("reset", "update")
        )
        from_x, from_h = sides["new"]
        kept = self._multiply("new.kept", reset, from_h, sums)
        new = self._function("new", self._add("new.sum", from_x, kept, sums))
        if hidden is None:
            zero = self._constant("zero", np.zeros(units_of(self.graph, self.op)), state)
            change = self._add("difference", new, zero, DIFFERENCE_LOG2, subtract="reversed")
        else:
            change = self._add("difference", hidden, new, DIFFERENCE_LOG2, subtract="plain")
        change = self._multiply("change", update, change, DIFFERENCE_LOG2)
        return self._add("hidden", new, change, state, last=last)

    def _lstm(self, x: int, hidden: int | None, cell: int | None, last: bool) -> tuple[int, int]:
        sides, log2 = self._sides(x, hidden), self.op.cell_log2
        gates = {
            gate: self._function(gate, self._add(f"{gate}.sum", *side, self.op.sum_log2))
            for gate, side in sides.items()
        }
        added = self._multiply("added", gates["input"], gates["cell"], log2)
        if cell is not None:
            kept = self._multiply("kept", gates["forget"], cell, log2)
            added = self._add("state", kept, added, log2)
        shown = self._function("cell_shown", added, Function.TANH)
        return self._multiply("hidden", gates["output"], shown, STATE_LOG2, last=last), added

    def _sides(self, x: int, hidden: int | None) -> dict[str, tuple[int, int]]:
        """What each gate gets from the input and from the hidden state.

        Left out is the forget gate of the first step, which has no cell state to forget.
        """
        op, found = self.op, dict[str, tuple[int, int]]()
        constants = recurrence_parameters(self.graph, op).recurrent if hidden is None else ()
        for index, gate in enumerate(GATE_NAMES[op.kind]):
            if hidden is None and gate == "forget":
                continue
            own = (op.input_weights[index], op.input_biases[index])
            other = (op.recurrent_weights[index], op.recurrent_biases[index])
            found[gate] = (
                self._fully_connected(f"{gate}.input", x, *own),
                self._of_zeros(f"{gate}.recurrent", constants[index])
                if hidden is None
                else self._fully_connected(f"{gate}.recurrent", hidden, *other),
            )
        return found

    def _of_zeros(self, name: str, sums: GateSums) -> int:
        """What a gate gets from a hidden state of zeros, as a constant."""
        values = multiply_by_reduced_multiplier(sums.offset, *sums.factor)
        return self._constant(name, np.clip(values, INT16_MIN, INT16_MAX), self.op.sum_log2)

    def _fully_connected(self, name: str, source: int, weights: int, bias: int) -> int:
        out = self._value(name, self.op.sum_log2)
        self.ops.append(FullyConnected(self._name(name), source, weights, bias, out))
        return out

    def _function(self, name: str, source: int, function: Function | None = None) -> int:
        out = self._value(name, STATE_LOG2)
        known = Function.TANH if name in TANH_GATES else Function.LOGISTIC
        self.ops.append(Lookup(self._name(name), source, out, function or known))
        return out

    def _multiply(self, name: str, left: int, right: int, log2: int, last: bool = False) -> int:
        out = self.op.output if last else self._value(name, log2)
        self.ops.append(Mul(self._name(name), left, right, out, constant=self._is_fixed(right)))
        return out

    def _add(
        self,
        name: str,
        left: int,
        right: int,
        log2: int,
        subtract: str = "",
        last: bool = False,
    ) -> int:
        """A sum; a difference if `subtract` is "plain" or, with exchanged operands, "reversed"."""
        out = self.op.output if last else self._value(name, log2)
        self.ops.append(
            Add(
                self._name(name),
                left,
                right,
                out,
                Activation.NONE,
                subtract=bool(subtract),
                constant=self._is_fixed(right),
                reverse=subtract == "reversed",
            )
        )
        return out

    def _joined(self, parts: Sequence[int], level: int = 0) -> int:
        """The values one after the other, (1, U * parts), joined a few at a time."""
        if len(parts) == 1:
            return parts[0]
        groups = [parts[i : i + _MOST_PARTS] for i in range(0, len(parts), _MOST_PARTS)]
        joined = list[int]()
        for number, group in enumerate(groups):
            if len(group) == 1:
                joined += group
                continue
            name = f"{self.prefix}.joined{level}.{number}"
            extent = sum(self.tensors[part].shape[1] for part in group)
            out = self._tensor(Tensor(name, (1, extent), "int16", (2.0**STATE_LOG2,)))
            self.ops.append(Concatenate(name, tuple(group), out, 1))
            joined.append(out)
        return self._joined(joined, level + 1)

    def _value(self, name: str, log2: int) -> int:
        shape = (1, units_of(self.graph, self.op))
        return self._tensor(Tensor(self._name(name), shape, "int16", (2.0**log2,)))

    def _constant(self, name: str, values: Array, log2: int) -> int:
        data = values.astype(np.int16)[np.newaxis]
        return self._tensor(Tensor(self._name(name), data.shape, "int16", (2.0**log2,), data=data))

    def _is_fixed(self, index: int) -> bool:
        return self.tensors[index].data is not None

    def _name(self, name: str) -> str:
        return f"{self.prefix}.{name}"

    def _tensor(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1
