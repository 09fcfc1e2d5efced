"""Makes a torch network of a float .tflite file, operator by operator."""

from __future__ import annotations

from pathlib import Path

from compress.errors import UnsupportedLayer, UserError
from compress.model_files.imported import Imported, without_form
from compress.model_files.network_builder import NetworkBuilder
from compress.model_files.onnx_file import LARGEST_BYTES
from compress.model_files.tflite_nodes import FloatOperator, real_constant
from compress.model_files.tflite_operators import TFLITE_OPERATORS
from compress.model_files.values import Constant, Value
from compress.tflite.fold import simplified
from compress.tflite.read import read
from compress.tflite.recognize import is_float, kind_of, whole_refusal
from compress.tflite_records.file import KIND_NAMES, File, TensorType
from compress.tflite_records.names import shortened


def import_float_tflite(path: Path) -> Imported:
    """The network of a float .tflite file; weights that are stored as integers become real.

    Raises UserError for a file that is damaged or not of one input and output, UnsupportedLayer
    for one that is no float model and for operators without a form in torch.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise UserError(f"has {size >> 20:,} MiB, at most {LARGEST_BYTES >> 20}")
        stored = read(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read it: {error.strerror}") from error
    if not is_float(stored):
        raise UnsupportedLayer(whole_refusal(stored) or "quantized already, not a float model")
    return _network(simplified(stored))


def _network(file: File) -> Imported:
    if len(file.inputs) != 1 or len(file.outputs) != 1:
        raise UserError(
            f"has {len(file.inputs)} inputs and {len(file.outputs)} outputs; one of each is "
            "supported"
        )
    unknown = [
        f"{_name(file, place)} ({kind_of(operator)})"
        for place, operator in enumerate(file.operators)
        if operator.code not in TFLITE_OPERATORS
    ]
    if unknown:
        raise UnsupportedLayer(without_form(unknown, {}))
    source = file.tensors[file.inputs[0]]
    if source.type != TensorType.FLOAT32 or len(source.shape) < 2 or min(source.shape) < 1:
        raise UserError(
            f"its input {shortened(source.name)} has the shape {source.shape}; needed is float32 "
            "with a batch and fixed extents"
        )
    builder = NetworkBuilder(source.shape[0], channels_last=True)
    order = builder.order(len(source.shape))
    known: dict[int, Value | Constant] = {}
    for index, tensor in enumerate(file.tensors):
        constant = real_constant(tensor, shortened(tensor.name) or f"tensor_{index}")
        if constant is not None:
            known[index] = constant
    name = shortened(source.name) or "input"
    with builder.at(f"{name} (input)"):
        known[file.inputs[0]] = builder.input(name, source.shape[1:], order)
    _read_operators(builder, file, known)
    result = known.get(file.outputs[0])
    if not isinstance(result, Value):
        raise UserError("its output does not depend on its input")
    with builder.at("output (of the file)"):
        module = builder.finish((result,))
    return Imported(module, source.shape[1:], order, builder.origins, "TensorFlow Lite")


def _read_operators(
    builder: NetworkBuilder, file: File, known: dict[int, Value | Constant]
) -> None:
    """Add all operators; `known` gets their outputs by the file's index."""
    for place, stored in enumerate(file.operators):
        label = f"{_name(file, place)} ({kind_of(stored)})"
        inputs = [
            None if index < 0 or file.tensors[index].variable else known.get(index)
            for index in stored.inputs
        ]
        shapes = [file.tensors[index].shape for index in stored.outputs]
        if not stored.outputs or min(stored.outputs) < 0:
            raise UserError(f"{label}: damaged: outputs {stored.outputs}")
        node = FloatOperator(label, stored.code, stored.options, inputs, shapes)
        with builder.at(label):
            made = TFLITE_OPERATORS[stored.code](builder, node)
        known.update(zip(stored.outputs, made, strict=False))


def _name(file: File, place: int) -> str:
    """The name of an operator: its own, else that of its output, else kind and place."""
    operator = file.operators[place]
    outputs = [file.tensors[index].name for index in operator.outputs if index >= 0]
    kind = KIND_NAMES.get(operator.code, "operator").lower()
    return operator.name or shortened(outputs[0] if outputs else "") or f"{kind}_{place}"
