"""The oracles: other implementations of TensorFlow Lite that check the integer semantics.

- tflite-micro, TensorFlow Lite for Microcontrollers on the host, with its reference kernels.
- tflite-runtime 2.14 (Python 3.11 and NumPy 1 only). Only `OpResolverType.BUILTIN_REF` rounds as
  the specification (twice); its optimized kernels and later runtimes differ by one unit in places.
  It computes some operators in place, even when told to preserve tensors, so that only outputs can
  be compared; tflite-micro keeps the values of every layer.

Both are run where both are installed. tflite-micro combines scales in double precision, not in
single, for FULLY_CONNECTED with one scale for all weights, UNIDIRECTIONAL_SEQUENCE_LSTM, SVDF, MUL,
LEAKY_RELU, and RELU that stands alone, which moves one value in 100,000 or so by one unit.
For SOFTMAX on int16 it computes the table of reciprocals in single precision, not in double: two of
513 entries differ. `Oracle.as_computed` describes these differences to the reference, which must
then be equal.

The oracles obey whatever a file says, and some of it makes them write outside of their memory. So
they get a copy, written from the records that were read and checked here (`compress.tflite.write`):
fields that the import does not read are not in it, and its tensors are those of the file. And they
run in processes of their own, with limits (`compress.judging`): if one dies, that is its reason
not to judge.

Models in which another difference may change a value (`compress.tflite.oracle_gaps`) are refused by
`Oracle.open`: none is excused. tflite-micro has no kernels for models in uint8 quantization, and no
uint8 at a model's output, as it says itself.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from compress.errors import UserError
from compress.integer.rows import pack_rows, unpack_rows
from compress.judging.process import JudgeDied, RemoteModel
from compress.tflite.edges import int8_core, is_reached, left_out, to_outer
from compress.tflite.fold import simplified
from compress.tflite.fold_functions import constant_values
from compress.tflite.mend import with_biases, with_shapes, with_valid_dimensions
from compress.tflite.oracle_gaps import gap_in_micro, gap_in_runtime, lacking_operands
from compress.tflite.read import read
from compress.tflite.variables import without_variables
from compress.tflite.write import write
from compress.tflite_records.file import (
    KIND_NAMES,
    BuiltinOperator,
    File,
    FileOperator,
    FileTensor,
    Subgraph,
)
from compress.tflite_records.tensor import from_file
from compress.tflite_records.uint8 import as_int8, as_uint8, from_uint8, is_uint8
from compress.types import Array, Graph, Int8Array, IntArray

# (values (1, ...) of each input, indices of tensors) -> values of these tensors after an inference.
_Infer = Callable[[Sequence[Array], Sequence[int]], list[Array]]

_ARENA_PER_TENSOR_BYTES = 4 << 10  # records, alignment, working memory of operators
_LARGEST_ARENA_BYTES = 1 << 30
# Of the planner with which tflite-micro keeps all tensors: more activations than these give way to
# each other. Some room is left for the buffers of operators.
_MOST_KEPT_TENSORS = 1024 - 64


@dataclass(frozen=True, slots=True)
class Interpretation:
    """One model in an oracle. A model that converts at its edges is run as a whole if it can be.

    `remark` says how the copy that the oracle got differs; empty if it got the file itself.
    `keeps_layers` is true if every activation can be read after an inference, not only outputs.
    Tensors from `stored_tensors` on are of the copy alone.
    """

    file: File
    core: File
    infer: _Infer
    stored_tensors: int
    remark: str = ""
    keeps_layers: bool = False

    def trace(self, inputs: Int8Array, tensors: Sequence[int]) -> dict[int, IntArray]:
        """Values (N, ...) of tensors of the file, by index, for N consecutive inferences.

        `inputs` are those of the int8 core, int8 (N, ...), as `compress.integer.reference.run`
        takes them. States go on from the last call. Values of uint8 are returned as those of int8.
        """
        inner = [self.core.tensors[index] for index in self.core.inputs]
        whole = [replace(from_file(tensor), shape=(1, *tensor.shape)) for tensor in inner]
        given = zip(unpack_rows(whole, inputs), inner, strict=True)
        outer: list[Array] = []
        for index in self.file.inputs:
            stated = constant_values(self.core.tensors[index])
            if stated is None:
                value, tensor = next(given)
                outer.append(to_outer(value, self.file.tensors[index], tensor))
            else:
                outer.append(np.broadcast_to(stated, (len(inputs), *stated.shape)))
        rows = [
            self.infer([value[sample] for value in outer], tensors) for sample in range(len(inputs))
        ]
        columns = zip(*rows, strict=True)
        return {
            tensor: np.concatenate([_with_batch(from_uint8(value)) for value in column])
            for tensor, column in zip(tensors, columns, strict=True)
        }


@dataclass(frozen=True, slots=True)
class Oracle:
    """An implementation: its `package` on PyPI and the `module` that this provides.

    `start` makes an inference function, and a remark (`Interpretation`), from a file.
    `keeps_layers` is true if it keeps every activation of a model that is not too large.
    `other_precision` is true if it computes as the reference does for such a `Graph`.
    """

    package: str
    module: str
    start: Callable[[bytes, File], tuple[_Infer, str]]
    keeps_layers: bool
    other_precision: bool

    @property
    def installed(self) -> bool:
        """True if the package is there, be it usable or not."""
        return importlib.util.find_spec(self.module) is not None

    @property
    def name(self) -> str:
        """The package and its version, as in "tflite-runtime 2.14.0"."""
        try:
            return f"{self.package} {version(self.package)}"
        except PackageNotFoundError:  # a module without the package's metadata
            return f"{self.package} of unknown version"

    def open(self, tflite: bytes) -> Interpretation:
        """The model, ready to run.

        Raises UserError, with the reason, where the oracle is not installed or cannot judge the
        model.
        """
        if not self.installed:
            raise UserError(f"{self.package} is not installed")
        original = read(tflite)
        stored, biases = with_biases(original)
        stored = with_shapes(stored)
        tflite = _copy(stored)
        file = simplified(without_variables(stored))
        uint8, core = is_uint8(file), int8_core(as_int8(file))
        try:
            if not is_reached(file, core):
                raise UserError(f"{self.package}: the int8 core's inputs are computed")
            lacking = left_out(file, core)
            if lacking and not self.keeps_layers:
                raise UserError(f"{self.package}: {lacking[0]} may overwrite what it reads")
            if any(operator.code == BuiltinOperator.CUSTOM for operator in file.operators):
                # tflite-micro crashes at a decoder without the options that it has to have.
                raise UserError(f"{self.package}: a custom operator may not be as it expects")
            infer, remark = self.start(tflite, file)
            count = len(file.tensors)
            model = Interpretation(file, core, infer, count, remark, self._keeps_layers_of(file))
            if lacking:
                self._try(model)
                model = replace(model, infer=self.start(tflite, file)[0])  # with its first states
        except JudgeDied:
            raise
        except UserError:
            if core.operators == stored.operators or core.states:
                raise
            model = self._open_copy(core, uint8)
        if len(stored.tensors) > len(original.tensors):
            model = replace(model, stored_tensors=len(original.tensors))
        return replace(
            model, remark="; ".join(filter(None, (_bias_remark(self, biases), model.remark)))
        )

    def _try(self, model: Interpretation) -> None:
        """Raise UserError if the oracle fails in an operator that the int8 core lacks."""
        size = sum(from_file(model.core.tensors[index]).size_bytes for index in model.core.inputs)
        model.trace(np.zeros((1, size), np.int8), model.core.outputs)

    def _open_copy(self, core: File, uint8: bool) -> Interpretation:
        """A copy of the integers' part alone, for a model whose other operators are refused."""
        part = as_uint8(core) if uint8 else core
        copy = write(part)
        infer, _ = self.start(copy, simplified(read(copy)))
        remark = (
            f"{self.package} got a copy of the int8 core, with constants folded: the whole "
            "model cannot be compared there"
        )
        count, keeps = len(part.tensors), self._keeps_layers_of(part)
        return Interpretation(part, core, infer, count, remark, keeps)

    def _keeps_layers_of(self, file: File) -> bool:
        return self.keeps_layers and _can_keep_tensors(file)

    def as_computed(self, graph: Graph) -> Graph:
        """The graph for which the reference computes what the oracle does for `graph`."""
        return replace(graph, other_precision=True) if self.other_precision else graph

    def interpret(self, tflite: bytes, inputs: Int8Array) -> Int8Array:
        """Outputs of the int8 core for N inputs, both as in `compress.integer.reference.run`.

        Raises as `open`.
        """
        model = self.open(tflite)
        values = model.trace(inputs, model.core.outputs)
        outputs = [values[index] for index in model.core.outputs]
        shaped = len(outputs) == 1 and outputs[0].dtype == np.int8
        return outputs[0] if shaped else pack_rows(outputs)


def _copy(file: File) -> bytes:
    """The .tflite file of these records. Raises UserError if it does not hold their tensors."""
    copy = write(file)
    for graph, copied in zip(_graphs(file), _graphs(read(copy)), strict=True):
        if [*map(_content, graph.tensors)] != [*map(_content, copied.tensors)]:
            raise UserError("the .tflite file has tensors that cannot be written as they are read")
    return copy


def _graphs(file: File) -> tuple[Subgraph, ...]:
    return (file, *file.further)


def _content(tensor: FileTensor) -> tuple[object, ...]:
    """What an oracle computes with."""
    data = None if tensor.data is None else tensor.data.tobytes()
    quantization = (tensor.scales, tensor.zero_points, tensor.axis) if tensor.scales else ()
    return (tensor.type, tensor.shape, *quantization, tensor.variable, data)


def _bias_remark(oracle: Oracle, count: int) -> str:
    if not count:
        return ""
    return (
        f"{oracle.package} got a copy with zeros for {count} absent biases: TensorFlow Lite and "
        "TensorFlow Lite Micro compute such operators differently, or not at all"
    )


def _with_batch(value: Array) -> Array:
    """(1, ...) of one inference; several rows (rows, K) get one more dimension."""
    return value if value.shape[:1] == (1,) else value[np.newaxis]


def installed() -> tuple[Oracle, ...]:
    """The oracles that are installed, the first one first."""
    return tuple(oracle for oracle in ORACLES if oracle.installed)


def _start_micro(tflite: bytes, file: File) -> tuple[_Infer, str]:
    if is_uint8(file):
        raise UserError("tflite-micro has no kernels for a model in uint8 quantization")
    _require_equal(file, gap_in_micro, "tflite-micro")
    keeps = _can_keep_tensors(file)
    model = RemoteModel(
        "tflite-micro", tflite, arena_bytes=_arena_bytes(len(tflite), file), keeps=keeps
    )

    def infer(values: Sequence[Array], tensors: Sequence[int]) -> list[Array]:
        results = tensors if keeps else [file.outputs.index(tensor) for tensor in tensors]
        return model.run(dict(enumerate(values)), results)

    if not keeps and int8_core(as_int8(file)).outputs != file.outputs:
        raise UserError("tflite-micro: too many tensors to keep those before the last conversion")
    few = "tflite-micro: too many tensors to keep them all, so that only outputs were compared"
    return infer, "" if keeps else few


def _can_keep_tensors(file: File) -> bool:
    return sum(tensor.data is None for tensor in file.tensors) <= _MOST_KEPT_TENSORS


def _require_equal(file: File, unlike: Callable[[File, FileOperator], str], package: str) -> None:
    """Raise UserError for the first operator with a reason why its values do not compare."""
    for operator in file.operators:
        if reason := lacking_operands(operator) or unlike(file, operator):
            label = f" ({operator.name})" if operator.name else ""
            raise UserError(f"{package}: {KIND_NAMES[operator.code]}{label} {reason}")


def _arena_bytes(model_bytes: int, file: File) -> int:
    """Memory for a model of which no tensor gives way to another.

    Every tensor of activations has its own place; int4 weights are unpacked, to twice their bytes;
    each channel of weights has a multiplier and a shift; a TRANSPOSE_CONV keeps a sum of up to 64
    bits for each output.

    Raises UserError for a model that needs more than a GiB: none for a microcontroller does.
    """
    elements = sum(math.prod(tensor.shape) for tensor in file.tensors if tensor.data is None)
    transposed = (o for o in file.operators if o.code == BuiltinOperator.TRANSPOSE_CONV)
    sums = sum(math.prod(file.tensors[o.outputs[0]].shape) for o in transposed)
    bytes_ = (
        4 * elements
        + 8 * sums
        + 4 * model_bytes
        + _ARENA_PER_TENSOR_BYTES * (1 + len(file.tensors))
    )
    if bytes_ > _LARGEST_ARENA_BYTES:
        raise UserError(
            f"tflite-micro: the model's tensors take {bytes_ >> 20} MiB, at most "
            f"{_LARGEST_ARENA_BYTES >> 20}"
        )
    return bytes_


def _start_runtime(tflite: bytes, file: File) -> tuple[_Infer, str]:
    if int(np.__version__.split(".")[0]) > 1:
        raise UserError(f"tflite-runtime is built for NumPy 1, here is {np.__version__}")
    _require_equal(file, gap_in_runtime, "tflite-runtime")
    mended, count = with_valid_dimensions(tflite)
    remark = (
        f"tflite-runtime got a copy with {count} quantized dimensions set to 0: it refuses those "
        "beyond a tensor's rank, which tflite-micro ignores"
        if count
        else ""
    )
    keeps = int8_core(as_int8(file)).outputs != file.outputs
    model = RemoteModel("tflite-runtime", mended, keeps=keeps)

    def infer(values: Sequence[Array], tensors: Sequence[int]) -> list[Array]:
        return model.run(dict(zip(file.inputs, values, strict=True)), tensors)

    return infer, remark


MICRO = Oracle(
    "tflite-micro", "tflite_micro", _start_micro, keeps_layers=True, other_precision=True
)
RUNTIME = Oracle(
    "tflite-runtime", "tflite_runtime", _start_runtime, keeps_layers=False, other_precision=False
)
ORACLES = (MICRO, RUNTIME)
