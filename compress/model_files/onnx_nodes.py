"""One node of an ONNX graph on its way into a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from compress.errors import UnsupportedLayer, UserError
from compress.model_files.values import Constant, Value, whole_numbers
from compress.types import Array

if TYPE_CHECKING:
    from onnx import NodeProto


@dataclass(frozen=True, slots=True, eq=False)
class OnnxNode:
    """A node with its attributes as Python values, and its inputs; None for one left out.

    `uses` is how often each tensor of the graph is read, by name.
    """

    kind: str
    label: str
    attributes: Mapping[str, Any]
    inputs: Sequence[Value | Constant | None]
    outputs: Sequence[str]
    opset: int
    uses: Mapping[str, int] = field(default_factory=dict)
    input_names: Sequence[str] = ()

    @property
    def x(self) -> Value | Constant:
        """The first input."""
        return self.needed(0)

    def get(self, position: int) -> Value | Constant | None:
        """An input; None if it is left out."""
        return self.inputs[position] if position < len(self.inputs) else None

    def needed(self, position: int) -> Value | Constant:
        """An input. Raises UserError if it is left out."""
        found = self.get(position)
        if found is None:
            raise UserError(f"{self.label}: damaged: it lacks input {position}")
        return found

    def constant(self, position: int, what: str) -> Array:
        """An input that must be a constant. Raises UnsupportedLayer otherwise."""
        found = self.needed(position)
        if not isinstance(found, Constant):
            raise UnsupportedLayer(f"{self.label}: its {what} must be a constant of the file")
        return found.fixed(self.label)

    def optional(self, position: int, what: str) -> Array | None:
        """`constant`, None for an input that is left out."""
        return None if self.get(position) is None else self.constant(position, what)

    def integers(self, name: str, position: int | None = None) -> list[int] | None:
        """Whole numbers that newer opsets have as an input, older ones as an attribute."""
        if name in self.attributes:
            return [int(value) for value in np.ravel(self.attributes[name])]
        if position is None or self.get(position) is None:
            return None
        return whole_numbers(self.constant(position, name), self.label)

    def number(self, name: str, default: float) -> float:
        return float(self.attributes.get(name, default))

    def integer(self, name: str, default: int) -> int:
        return int(self.attributes.get(name, default))

    def text(self, name: str, default: str) -> str:
        value = self.attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """The attributes as Python values. Raises UnsupportedLayer for graphs: branches and loops."""
    from onnx import AttributeProto, helper

    graphs = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
    if any(held.type in graphs for held in node.attribute):
        raise UnsupportedLayer(
            f"{node.name or node.op_type} ({node.op_type}): branches and loops have no form here; "
            "export with fixed shapes, or with dynamo=True"
        )
    return {held.name: helper.get_attribute_value(held) for held in node.attribute}
