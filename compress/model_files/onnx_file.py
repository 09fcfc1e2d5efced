"""Reads an ONNX file into its protobuf message, within bounds; a bad one is a UserError."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from compress.errors import UnsupportedLayer, UserError

if TYPE_CHECKING:
    from onnx import ModelProto

ONNX_SUFFIXES = (".onnx",)  # in lower or upper case
LARGEST_BYTES = 256 << 20  # of a file with its external data
_MOST_NODES = 10_000
_OLDEST_OPSET = 11
QUANTIZED = (
    "ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv",
    "QLinearMatMul", "QuantizeLinear",
)  # fmt: skip


def read_onnx(path: Path) -> ModelProto:
    """The model with its external data, and with local functions in place of their calls.

    Raises UserError for a file that cannot be read, is damaged, too large, or of an older opset;
    UnsupportedLayer for a model that is quantized already.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        size = path.stat().st_size
        _check_size(size)
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read it: {error.strerror}") from error
    except (DecodeError, ValueError) as error:
        raise UserError("not an ONNX model, or a damaged one: copy or export it again") from error
    if not model.graph.output:
        raise UserError("not an ONNX model: it has no graph; copy or export it again")
    _check_model(model, size)
    _load_external(model, path.parent, size)
    if model.functions:
        model = _inlined(model)
    return model


def self_contained(path: Path) -> bytes:
    """The bytes of the file, with its external data in it, so that it can be sent as one.

    A file without external data stays as it is. Raises as `read_onnx`, and OSError for a file that
    cannot be read.
    """
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import external_data_helper

    content = path.read_bytes()
    try:
        stored = onnx.load_model_from_string(content).graph.initializer
    except (DecodeError, ValueError):
        return content  # the import says what is wrong
    if not any(external_data_helper.uses_external_data(tensor) for tensor in stored):
        return content
    model = read_onnx(path)
    whole: bytes = model.SerializeToString(deterministic=True)  # type: ignore[no-untyped-call]
    return whole


def _check_size(size_bytes: int) -> None:
    if size_bytes > LARGEST_BYTES:
        raise UserError(
            f"has {size_bytes >> 20:,} MiB with its external data, at most {LARGEST_BYTES >> 20}: "
            "far more than a microcontroller holds"
        )


def _check_model(model: ModelProto, size_bytes: int) -> None:
    """Raises as `read_onnx`."""
    opset = opset_of(model)
    if opset < _OLDEST_OPSET:
        raise UserError(
            f"of opset {opset}, must be {_OLDEST_OPSET} or newer: export it again with "
            "opset_version=17 or newer"
        )
    nodes = [*model.graph.node, *(node for held in model.functions for node in held.node)]
    if len(nodes) > _MOST_NODES:
        raise UserError(f"has {len(nodes):,} nodes, at most {_MOST_NODES:,}")
    quantized = sorted({node.op_type for node in nodes} & set(QUANTIZED))
    if quantized:
        raise UnsupportedLayer(
            f"a quantized model ({', '.join(quantized)}): give the float model that it was made "
            "from, which is quantized here"
        )
    if model.graph.sparse_initializer:
        raise UnsupportedLayer("has sparse initializers: store the weights whole")


def _load_external(model: ModelProto, folder: Path, size_bytes: int) -> None:
    """Read the tensors that lie in files beside the model."""
    from onnx import checker, external_data_helper

    stored = [t for t in model.graph.initializer if external_data_helper.uses_external_data(t)]
    if not stored:
        return
    for tensor in stored:
        facts = {entry.key: entry.value for entry in tensor.external_data}
        length = facts.get("length", "0")
        size_bytes += int(length) if length.isdigit() else 0
    _check_size(size_bytes)
    location = facts.get("location", "")
    try:
        external_data_helper.load_external_data_for_model(model, str(folder))
    except (OSError, ValueError, checker.ValidationError) as error:
        raise UserError(
            f"its weights cannot be read from {location} beside it: keep both files in one folder, "
            "or export with external_data=False"
        ) from error


def _inlined(model: ModelProto) -> ModelProto:
    """The model with the bodies of its functions in place of their calls."""
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except (RuntimeError, ValueError) as error:
        raise UserError("its local functions cannot be put in place; export it again") from error


def opset_of(model: ModelProto) -> int:
    """The version of ONNX's own operators that the model uses; 1 if it does not say."""
    versions = [held.version for held in model.opset_import if held.domain in ("", "ai.onnx")]
    return max(versions, default=1)
