"""What a file is that is no .tflite file, or one that no integer kernel can run as a whole.

Each answer is one line: what the file is, then what to do.
"""

from __future__ import annotations

import re

from compress.tflite_records.file import KIND_NAMES, BuiltinOperator, File, FileOperator, TensorType
from compress.tflite_records.tensor import type_name

_INT8_CONVERSION = (
    "converter.optimizations = [tf.lite.Optimize.DEFAULT], converter.representative_dataset = "
    "(a function that yields samples), converter.target_spec.supported_ops = "
    "[tf.lite.OpsSet.TFLITE_BUILTINS_INT8]"
)
# How the command line quantizes a float model itself.
CALIBRATE = "give samples to calibrate it with (hil bench FILE --data samples.npz, x float32)"
_FIRST_BYTES = (
    (b"\x89HDF\r\n\x1a\n", "a Keras or HDF5 file (.h5)", f"convert it to int8: {_INT8_CONVERSION}"),
    (b"PK\x03\x04", "a zip archive (or a .keras or PyTorch file)", "unpack the .tflite file in it"),
    (b"\x1f\x8b", "a gzip file", "unpack it with gunzip"),
    (b"\xfd7zXZ\x00", "an xz file", "unpack it with unxz"),
    (b"BZh", "a bzip2 file", "unpack it with bunzip2"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (b"\x93NUMPY", "a NumPy array", "give the .tflite file of the model"),
    (b"\x00\x05\x16\x07", "macOS's notes about a file", "give the file without ._ in its name"),
    (b"\x7fELF", "a program (ELF)", "give the .tflite file that it was built from"),
)
_LFS = b"version https://git-lfs.github.com/spec/"
_LFS_SIZE = re.compile(rb"^size (\d+)$", re.MULTILINE)
_HTML = (b"<!doctype html", b"<html")
_C_ARRAY = re.compile(rb"(unsigned\s+char|uint8_t)\s+[\w\[\]\s]*.{0,80}=\s*\{", re.DOTALL)
_LINK = re.compile(rb"[\x20-\x7e]{1,1000}\.(tflite|lite)\s*", re.IGNORECASE)
_ONNX_START = 0x08  # the key of ir_version, the first field of a ModelProto
_HEAD_BYTES = 4096

# Custom operators that hold a whole network in the form of one accelerator.
_COMPILED = (
    (re.compile(r"ethos-u"), "an Arm Ethos-U NPU by vela", "vela"),
    (re.compile(r"edgetpu-custom-op"), "Google's Edge TPU by edgetpu_compiler", "edgetpu_compiler"),
    (re.compile(r"XC_\w+"), "an xcore processor by XMOS's tools", "them"),
)
WITH_WEIGHTS = (
    BuiltinOperator.CONV_2D,
    BuiltinOperator.DEPTHWISE_CONV_2D,
    BuiltinOperator.FULLY_CONNECTED,
    BuiltinOperator.TRANSPOSE_CONV,
    BuiltinOperator.CONV_3D,
    BuiltinOperator.BATCH_MATMUL,
    BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM,
    BuiltinOperator.BIDIRECTIONAL_SEQUENCE_LSTM,
    BuiltinOperator.SVDF,
)
_QUANTIZED = (TensorType.INT8, TensorType.INT16, TensorType.UINT8)
_CONVERSIONS = (BuiltinOperator.QUANTIZE, BuiltinOperator.DEQUANTIZE)


def foreign_file(data: bytes) -> str:
    """What a file without the identifier of the .tflite format is, and what to do."""
    head = data[:_HEAD_BYTES]
    if not data:
        return "the file is empty: copy or download it again"
    if head.startswith(_LFS):
        size = _LFS_SIZE.search(head)
        stored = f" of {int(size.group(1)):,} bytes" if size else ""
        return f"a Git LFS pointer, not the file{stored} itself: fetch that with git lfs pull"
    for start, what, todo in _FIRST_BYTES:
        if head.startswith(start):
            return f"{what}, not a .tflite file: {todo}"
    if head[0] == _ONNX_START and (b"onnx" in head.lower() or b"pytorch" in head.lower()):
        return f"an ONNX model, not a .tflite file: name it FILE.onnx, and {CALIBRATE}"
    if head.lstrip().lower().startswith(_HTML):
        return "a web page, not a .tflite file: download the file itself (on GitHub: Raw)"
    if _LINK.fullmatch(data):
        target = data.decode("ascii").strip()
        return f"the text of a symbolic link, not a .tflite file: give the file itself, {target}"
    if _C_ARRAY.search(head):
        return "C source text, not a .tflite file: turn the array's bytes into a file"
    return "not a .tflite file: it lacks the identifier TFL3 at byte 4"


def whole_refusal(file: File) -> str:
    """Why none of the file can run: compiled for an accelerator, or not quantized; '' if it may."""
    customs = sorted({operator.custom for operator in file.operators if operator.custom})
    for pattern, target, tool in _COMPILED:
        for custom in customs:
            if pattern.fullmatch(custom):
                return (
                    f"compiled for {target} (custom operator {custom}), which this core does not "
                    f"have: give the .tflite file that went into {tool}"
                )
    if not is_float(file):
        return ""
    computing = [o for o in file.operators if o.code not in _CONVERSIONS]
    weights = {kind for o in computing if o.code in WITH_WEIGHTS for kind in _weights_of(file, o)}
    if weights & {TensorType.INT8, TensorType.UINT8, TensorType.INT4}:
        names = " and ".join(sorted(map(type_name, weights & {*_QUANTIZED, TensorType.INT4})))
        return (
            f"a dynamic-range (hybrid) model: {names} weights, but float32 activations; must be "
            f"int8 throughout: {CALIBRATE}, or convert it again with {_INT8_CONVERSION}"
        )
    stored = "float16" if TensorType.FLOAT16 in weights else "float32"
    return (
        f"a float model ({stored} weights), must be int8: {CALIBRATE}, or convert it again with "
        f"post-training int8 quantization: {_INT8_CONVERSION}"
    )


def is_float(file: File) -> bool:
    """True if operators of the file compute float32 and none computes quantized integers."""
    computing = [o for o in file.operators if o.code not in _CONVERSIONS]
    if any(_types(file, o, o.outputs) & set(_QUANTIZED) for o in computing):
        return False
    return any(TensorType.FLOAT32 in _types(file, o, o.outputs) for o in computing)


def _types(file: File, operator: FileOperator, indices: tuple[int, ...]) -> set[int]:
    return {file.tensors[index].type for index in indices if index >= 0}


def _weights_of(file: File, operator: FileOperator) -> set[int]:
    """Types in which the constant operands of an operator are stored, biases too.

    A constant that a DEQUANTIZE reads is stored in the type of that operator's input.
    """
    sources = {
        o.outputs[0]: o.inputs[0]
        for o in file.operators
        if o.code == BuiltinOperator.DEQUANTIZE and len(o.inputs) == len(o.outputs) == 1
    }
    operands = [sources.get(index, index) for index in operator.inputs if index >= 0]
    return {file.tensors[i].type for i in operands if file.tensors[i].data is not None}


def kind_of(operator: FileOperator) -> str:
    """The operator's kind as the format names it, or its own name if it is a custom operator."""
    if operator.custom and operator.code == BuiltinOperator.CUSTOM:
        return f"custom operator {operator.custom}"
    return KIND_NAMES.get(operator.code, f"operator {operator.code}")
