"""A float model's file as a network that can be pruned, retrained and lowered to integers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import RNNBase

from compress.errors import HilError, UnsupportedLayer, UserError
from compress.files import TFLITE_SUFFIXES
from compress.frontend.capture import capture, trace_module
from compress.model_files.imported import Imported
from compress.model_files.onnx_file import ONNX_SUFFIXES
from compress.model_files.values import Extents
from compress.scratch import scratch_folder
from compress.tracing.normalize import normalized
from compress.tracing.recording import symbolic_trace
from compress.types import Array

if TYPE_CHECKING:
    from torch import nn

_BATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class FloatModel:
    """A network from a file, with the file's weights.

    `input_shape` is that of a sample in torch, (C, H, W), (C, L) or (K,); `output_shape` that of
    an answer. `file_shape` is a sample's shape as the file has it, (H, W, C) for most .tflite
    files; `order[j]` is the axis of the file (0 is the batch) that is axis j of the network.
    """

    name: str
    module: nn.Module
    input_shape: Extents
    output_shape: Extents
    file_shape: Extents
    order: Extents
    producer: str

    @property
    def outputs(self) -> int:
        """Values of an answer along its first axis: the classes of a classifier."""
        return self.output_shape[0]

    def network_input(self, x: Array) -> Array:
        """Samples float32 (N, ...) in torch's layout, from those in the file's or in torch's own.

        Raises UserError for samples of another shape.
        """
        if x.shape[1:] == self.file_shape:
            moved = x.transpose(self.order)
        elif x.shape[1:] == self.input_shape:
            moved = x
        else:
            wanted = " or ".join(
                f"(N, {', '.join(map(str, shape))})"
                for shape in dict.fromkeys((self.file_shape, self.input_shape))
            )
            raise UserError(f"samples have the shape {x.shape}, must have {wanted}")
        return np.ascontiguousarray(moved, np.float32)

    def answers(self, x: Array) -> Array:
        """The outputs float64 (N, elements) for x in torch's layout; of maps with channels last."""
        parts = []
        with torch.no_grad():
            for start in range(0, len(x), _BATCH):
                y = self.module(torch.from_numpy(x[start : start + _BATCH])).numpy()
                parts.append(np.moveaxis(y, 1, -1).reshape(len(y), -1))
        outputs: Array = np.concatenate(parts).astype(np.float64)
        return outputs


def load_float_model(path: Path) -> FloatModel:
    """The network of an ONNX or float .tflite file, which can be lowered to integers.

    Raises UserError for a file that is damaged or of another kind, UnsupportedLayer for an
    operator without a form in torch or without an integer kernel; both begin with the path.
    """
    return _loaded(path, path)


def float_model_of(content: bytes, path: Path) -> FloatModel:
    """As `load_float_model`, of the bytes that the file at `path` had when it was read.

    An ONNX file has its external data in them (`compress.model_files.onnx_file.self_contained`).
    """
    with scratch_folder() as folder:
        copy = folder / path.name
        copy.write_bytes(content)
        return _loaded(copy, path)


def _loaded(source: Path, path: Path) -> FloatModel:
    """The network in the file `source`, which errors call `path`."""
    try:
        imported = imported_file(source)
        shape = tuple(imported.file_shape[axis - 1] for axis in imported.order[1:])
        _check_lowering(imported, shape)
        with torch.no_grad():
            answer = imported.module(torch.zeros(2, *shape))
    except HilError as error:
        said = "".join(c if c.isprintable() else "?" for c in str(error))  # names of the file
        raise type(error)(f"{path}: {said}") from error
    return FloatModel(
        path.stem,
        imported.module,
        shape,
        tuple(answer.shape[1:]),
        imported.file_shape,
        imported.order,
        imported.producer,
    )


def imported_file(path: Path) -> Imported:
    """The network of a file, whether it has an integer form or not. Raises as the importers."""
    if path.suffix.lower() in ONNX_SUFFIXES:
        from compress.model_files.onnx_network import import_onnx

        return import_onnx(path)
    if path.suffix.lower() in TFLITE_SUFFIXES:
        from compress.model_files.tflite_network import import_float_tflite

        return import_float_tflite(path)
    raise UserError("neither an .onnx nor a .tflite file")


def _check_lowering(imported: Imported, shape: Extents) -> None:
    """Raise UnsupportedLayer, naming the file's node, for what capture does not know."""
    module = imported.module
    try:
        capture(trace_module(normalized(module), shape))
    except UnsupportedLayer as error:
        name, _, said = str(error).partition(": ")
        names = _names(imported)
        own = names.get(name) or names.get(name.rpartition(".")[0])  # one layer of a GRU's
        raise UnsupportedLayer(f"{own}: {said}" if own else str(error)) from error


def _names(imported: Imported) -> dict[str, str]:
    """The file's node by the name that capture has for an operation of the network.

    Where a GRU or LSTM is replaced before the capture, functions get other names: modules only.
    """
    traced = [n for n in symbolic_trace(imported.module).graph.nodes if n.op.startswith("call")]
    own = [node for node in imported.module.graph.nodes if node.op.startswith("call")]
    if len(own) != len(traced):
        return {}
    recurrent = any(isinstance(part, RNNBase) for part in imported.module.modules())
    named = {}
    for node, again in zip(own, traced, strict=True):
        label = imported.origins.get(node, "")
        if not recurrent:
            named[again.name] = label
        if node.op == "call_module":
            named[str(node.target)] = label
    return named
