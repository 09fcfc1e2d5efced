"""Each kind of file that cannot be imported, and the first words of the one line that says why."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from compress.errors import HilError, UnsupportedLayer, UserError
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.read import read
from compress.tflite.write import write
from compress.tflite_records.file import BuiltinOperator, File, FileOperator, FileTensor, TensorType
from helpers.graph_builder import GraphBuilder
from helpers.graph_variants import nameless, with_operator, with_tensor

INT8, FLOAT32, FLOAT16, UINT8 = (
    TensorType.INT8,
    TensorType.FLOAT32,
    TensorType.FLOAT16,
    TensorType.UINT8,
)
_SIZES = {INT8: 1, FLOAT32: 4, FLOAT16: 2, UINT8: 1}
LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 300568\n"
)


def constant(name: str, shape: tuple[int, ...], type_: int) -> FileTensor:
    scales = () if type_ in (FLOAT32, FLOAT16) else (0.5,)
    data = np.zeros(int(np.prod(shape)) * _SIZES[type_], np.uint8)
    return FileTensor(name, shape, type_, scales, (0,) * len(scales), data=data)


def activation(name: str, shape: tuple[int, ...], type_: int) -> FileTensor:
    scales = () if type_ == FLOAT32 else (0.5,)
    return FileTensor(name, shape, type_, scales, (0,) * len(scales))


def dense(activations: int, weights: int) -> File:
    """One FULLY_CONNECTED of 4 inputs and 2 outputs."""
    tensors = (
        activation("x", (1, 4), activations),
        constant("w", (2, 4), weights),
        activation("y", (1, 2), activations),
    )
    options = {"FusedActivationFunction": 0, "WeightsFormat": 0, "KeepNumDims": False}
    operator = FileOperator(BuiltinOperator.FULLY_CONNECTED, (0, 1, -1), (2,), options)
    return File("net", tensors, (operator,), (0,), (2,))


def float16_weights() -> File:
    """Weights that a DEQUANTIZE makes from float16 constants."""
    file = dense(FLOAT32, FLOAT16)
    unpacked = activation("w_float", (2, 4), FLOAT32)
    convert = FileOperator(BuiltinOperator.DEQUANTIZE, (1,), (3,))
    reader = replace(file.operators[0], inputs=(0, 3, -1))
    return replace(file, tensors=(*file.tensors, unpacked), operators=(convert, reader))


def custom(name: str) -> File:
    tensors = (activation("x", (1, 4), INT8), activation("y", (1, 2), INT8))
    operator = FileOperator(BuiltinOperator.CUSTOM, (0,), (1,), {}, "", name)
    return File("net", tensors, (operator,), (0,), (1,))


def many_kinds() -> File:
    """Two GATHER_ND, one CUMSUM and one softmax with a wrong beta."""
    long = "functional_1/" + "block/" * 12 + "gather;functional_1/other"
    names = ("x", long, "a/gather", "a/abs", "y")
    tensors = tuple(activation(name, (1, 4), INT8) for name in names)
    kinds = (
        BuiltinOperator.GATHER_ND,
        BuiltinOperator.GATHER_ND,
        BuiltinOperator.CUMSUM,
        BuiltinOperator.SOFTMAX,
    )
    operators = tuple(
        FileOperator(kind, (i,), (i + 1,), {"Beta": 2.0} if i == 3 else {})
        for i, kind in enumerate(kinds)
    )
    return File("net", tensors, operators, (0,), (4,))


def small() -> File:
    b = GraphBuilder()
    x = b.conv(b.input((4, 4, 2)), 3, (1, 1))
    return nameless(read(export_tflite(b.finish(b.softmax(b.conv(x, 3, (1, 1)))))))


def depthwise(options: dict[str, int]) -> File:
    b = GraphBuilder()
    file = nameless(read(export_tflite(b.finish(b.depthwise(b.input((4, 4, 3)))))))
    return with_operator(0, options=dict(file.operators[0].options) | options)(file)


def reshaped(shape: tuple[int, ...]) -> File:
    """A RESHAPE to (1, 2, 6) that says that it is one to `shape`."""
    b = GraphBuilder()
    file = nameless(read(export_tflite(b.finish(b.reshape(b.input((12,)), (2, 6))))))
    stated = np.frombuffer(np.array(shape, "<i4").tobytes(), np.uint8)
    return with_tensor(file.operators[0].inputs[1], data=stated)(file)


def changed(*edits: Callable[[File], File]) -> File:
    file = small()
    for edit in edits:
        file = edit(file)
    return file


REFUSALS: dict[str, tuple[bytes | File, type[HilError], str]] = {
    "empty": (b"", UserError, "the file is empty"),
    "git lfs": (LFS_POINTER, UserError, "a Git LFS pointer, not the file of 300,568 bytes itself"),
    "web page": (b"\n<!DOCTYPE html>\n<html>", UserError, "a web page, not a .tflite file"),
    "gzip": (gzip.compress(b"model"), UserError, "a gzip file, not a .tflite file: unpack it"),
    "zip": (b"PK\x03\x04" + bytes(40), UserError, "a zip archive (or a .keras or PyTorch file)"),
    "h5": (b"\x89HDF\r\n\x1a\n" + bytes(40), UserError, "a Keras or HDF5 file (.h5), not a"),
    "onnx": (b"\x08\x07\x12\x07pytorch\x1a\x05" + bytes(40), UserError, "an ONNX model, not a"),
    "c array": (
        b"#include <x.h>\nalignas(8) const unsigned char g_model[] = {\n  0x1c, 0x00",
        UserError,
        "C source text, not a .tflite file",
    ),
    "link": (
        b"../../models/a.tflite",
        UserError,
        "the text of a symbolic link, not a .tflite file",
    ),
    "other": (bytes(64), UserError, "not a .tflite file: it lacks the identifier TFL3"),
    "damaged": (b"\x1c\0\0\0TFL3" + b"\xff" * 64, UserError, "the .tflite file is damaged"),
    "float": (dense(FLOAT32, FLOAT32), UnsupportedLayer, "a float model (float32 weights), must"),
    "float16": (float16_weights(), UnsupportedLayer, "a float model (float16 weights), must be"),
    "hybrid": (
        dense(FLOAT32, INT8),
        UnsupportedLayer,
        "a dynamic-range (hybrid) model: int8 weights, but float32 activations",
    ),
    "hybrid, and an operator that does not fit": (
        with_operator(0, outputs=(2, 2))(dense(FLOAT32, INT8)),
        UnsupportedLayer,
        "a dynamic-range (hybrid) model: int8 weights, but float32 activations",
    ),
    "uint8 and int8": (
        dense(UINT8, INT8),
        UnsupportedLayer,
        "fully_connected_0: x is uint8, must be int8",
    ),
    "vela": (
        custom("ethos-u"),
        UnsupportedLayer,
        "compiled for an Arm Ethos-U NPU by vela (custom operator ethos-u)",
    ),
    "edge tpu": (
        custom("edgetpu-custom-op"),
        UnsupportedLayer,
        "compiled for Google's Edge TPU by edgetpu_compiler (custom operator edgetpu-custom-op)",
    ),
    "xcore": (
        custom("XC_conv2d_v2"),
        UnsupportedLayer,
        "compiled for an xcore processor by XMOS's tools (custom operator XC_conv2d_v2)",
    ),
    "custom": (
        custom("SignalWindow"),
        UnsupportedLayer,
        "custom_0: custom operator SignalWindow; supplied are: none (hil bench --operators",
    ),
    "custom of no input": (
        with_operator(0, inputs=())(custom("Generate")),
        UnsupportedLayer,
        "custom_0: custom operator Generate; supplied are: none",
    ),
    "many kinds": (
        many_kinds(),
        UnsupportedLayer,
        "there is no integer kernel for CUMSUM (cumsum_2, output a/abs), GATHER_ND (2, first "
        "gather_nd_0, output ...",
    ),
    "options of two kinds": (
        changed(
            with_operator(
                0,
                options={"FusedActivationFunction": 4, "StrideW": 1, "StrideH": 1}
                | {"Padding": 1, "DilationWFactor": 1, "DilationHFactor": 1},
            ),
            with_operator(2, options={"Beta": 2.0}),
        ),
        UnsupportedLayer,
        "conv_2d_0: fused activation 4, must be none, ReLU, ReLU6 or ReLU_N1_TO_1; "
        "softmax_2: beta 2.0, must be 1",
    ),
    "one kind twice": (
        changed(with_tensor(1, zero_points=(3,) * 3), with_tensor(4, zero_points=(3,) * 3)),
        UnsupportedLayer,
        "conv_2d_0: weights must be symmetric (zero point 0) (and 1 more Conv2D)",
    ),
    "nothing computed": (
        replace(dense(INT8, INT8), operators=(), outputs=(0,)),
        UnsupportedLayer,
        "no operator computes anything: the outputs are the inputs",
    ),
    "another multiplier": (
        depthwise({"DepthMultiplier": 32}),
        UserError,
        "depthwise_conv_2d_0: depth multiplier 32, must be output channels / input channels = 3",
    ),
    "no options": (
        depthwise({"StrideH": 0}),
        UserError,
        "depthwise_conv_2d_0: StrideH, StrideW = (0, 1), must be 1 ..",
    ),
    "another shape": (
        reshaped((1, 4, 3)),
        UserError,
        "reshape_0: to [1, 4, 3], but its output is (1, 2, 6)",
    ),
    "no scale": (
        changed(with_tensor(0, scales=(), zero_points=())),
        UnsupportedLayer,
        "conv_2d_0: input has no scale, must be quantized",
    ),
    "a float operator": (
        changed(with_tensor(3, type=FLOAT32, scales=(), zero_points=())),
        UnsupportedLayer,
        "conv_2d_0: conv_0 is float32, must be int8 (and 1 more CONV_2D)",
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_the_line_says_what_the_file_is(kind: str) -> None:
    content, error, words = REFUSALS[kind]
    data = content if isinstance(content, bytes) else write(content)
    with pytest.raises(error) as raised:
        import_tflite(data, "model")
    line = str(raised.value)
    assert line.startswith(words)
    assert line.isprintable()
    assert len(line) < 450


def test_long_names_of_tensors_are_cut_at_the_end_that_tells() -> None:
    with pytest.raises(UnsupportedLayer) as raised:
        import_tflite(write(many_kinds()), "model")
    (first, second) = str(raised.value).split("; ")
    assert "functional_1/other" not in first
    assert first.endswith("block/block/gather)")
    assert second == "softmax_3: beta 2.0, must be 1"
