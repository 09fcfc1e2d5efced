"""The interface of an operator family: the functions that `compress` needs of an operator type.

`check`, `kernel` and `export` are required. The rest has defaults that are valid for any operator:
no multiplications, bounds of the whole type and fixed channels for the elimination of channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from compress.arithmetic.intervals import Bounds, full_range_of_output
from compress.arithmetic.tables import Kernel
from compress.operator_interface.channels import Channels, CutConstants, Kept, Tie, all_fixed, uncut
from compress.ops import Op
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.import_node import ImportNode
from compress.types import Graph

_OpT = TypeVar("_OpT", bound=Op)


def no_macs(graph: Graph, op: Op) -> Mapping[int, int]:
    """The multiply-accumulates of an operator without weights."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator(Generic[_OpT]):
    """The functions of one operator type; each takes the graph and the operator.

    `check` raises UserError for an inconsistent operator and UnsupportedLayer for one without a
    kernel. Types, order and activations are already checked (`compress.integer.check`).
    `kernel` returns the reference kernel, derived from the tensors once; that of several outputs
    returns a tuple.
    `export` adds the operator's record to the context, last, after those that it needs.
    `macs` has the multiply-accumulates of one inference by the index of the weight tensor.
    `bounds` has bounds of the output from those of the inputs; several outputs have none.
    `ties` yields the channels that must be kept or removed together. Only `Conv2D` and
    `FullyConnected` may leave input channels untied: `compress.integer.eliminate` decides on those.
    `cut` returns the operator with its constants, and extents of its own, cut to the kept channels.
    `on_int16` is True if inputs and output may be int16; `converts` if their types may differ;
    `int16_zero_points` if `check` decides on their zero points: all others must have zero point 0.
    """

    op: type[_OpT]
    check: Callable[[Graph, _OpT], None]
    kernel: Callable[[Graph, _OpT], Kernel]
    export: Callable[[ExportContext, _OpT], None]
    macs: Callable[[Graph, _OpT], Mapping[int, int]] = no_macs
    bounds: Callable[[Graph, _OpT, Sequence[Bounds]], Bounds] = full_range_of_output
    ties: Callable[[Graph, _OpT, Channels], Iterator[Tie]] = all_fixed
    cut: Callable[[Graph, _OpT, Kept, CutConstants], _OpT] = uncut
    on_int16: bool = False
    converts: bool = False
    int16_zero_points: bool = False


@dataclass(frozen=True, slots=True)
class Builtin:
    """A builtin operator of the file format: `code` of BuiltinOperator, and how it is imported.

    `version` is the lowest that has the int8 kernel. A version only tells a runtime whether it is
    new enough; int16 and int4 kernels have newer ones, but release 2.14, which runs them, does
    not know them all. `table` is the class of the options, `fields` those of its fields that
    matter. `build` makes the operator, or the operators in execution order; None if the file
    format needs the code, but no import. With `several`, a stored operator has any number of
    outputs.
    """

    code: int
    version: int
    build: Callable[[ImportNode], Op | tuple[Op, ...]] | None
    table: str = ""
    fields: tuple[str, ...] = ()
    several: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """Operator types that share code, and the builtin operators that are imported as them.

    `limits` says in words what is refused: for the page of operators (`hil operators`).
    """

    operators: tuple[Operator[Any], ...]
    builtins: tuple[Builtin, ...]
    limits: str
