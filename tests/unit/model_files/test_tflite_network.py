"""Float .tflite files become networks that compute what tflite-runtime's float kernels compute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from compress.model_files.float_model import imported_file
from helpers.float_tflite import RELU, RELU6, SAME, VALID, FloatFile, runtime_output

pytest.importorskip("tflite_runtime", reason="tflite-runtime has wheels for Python 3.11 only")


def mobile() -> bytes:
    """Odd extents, SAME with strides, depthwise, a residual, a mean, a classifier."""
    f = FloatFile(1, 9, 11, 3)
    x = f.conv(f.input, 8, (1, 5, 6, 8), stride=2, activation=RELU6)
    y = f.conv(x, 8, (1, 5, 6, 8), depthwise=True, activation=RELU6)
    y = f.conv(y, 8, (1, 5, 6, 8), window=1)
    x = f.add("ADD", (x, y), (1, 5, 6, 8), FusedActivationFunction=RELU)
    x = f.conv(x, 16, (1, 3, 3, 16), stride=2, depthwise=True)
    x = f.add("MEAN", (x, f.constant([1, 2], "int32")), (1, 16), KeepDims=False)
    return f.finish(f.add("SOFTMAX", (f.dense(x, 4),), (1, 4), Beta=1.0))


def flattened() -> bytes:
    """A map that is flattened before two dense layers, after pools of both kinds of padding."""
    f = FloatFile(1, 8, 7, 2)
    x = f.conv(f.input, 6, (1, 6, 5, 6), padding=VALID, activation=RELU)
    x = f.pool("AVERAGE_POOL_2D", x, (1, 3, 3, 6), 3, 2, SAME)
    x = f.pool("MAX_POOL_2D", x, (1, 2, 2, 6), 2, 2, SAME)
    x = f.add("RESHAPE", (x, f.constant([1, 24], "int32")), (1, 24))
    return f.finish(f.dense(f.dense(x, 5, RELU), 3))


def series() -> bytes:
    """A convolution over time, as Keras stores it: on maps of height 1."""
    f = FloatFile(1, 12, 3)
    x = f.add("EXPAND_DIMS", (f.input, f.constant(1, "int32")), (1, 1, 12, 3))
    inputs = (x, f.numbers(6, 1, 5, 3), f.numbers(6))
    options = {"Padding": SAME, "StrideH": 1, "StrideW": 2, "DilationHFactor": 1,
               "DilationWFactor": 1, "FusedActivationFunction": RELU}  # fmt: skip
    x = f.add("CONV_2D", inputs, (1, 1, 6, 6), **options)
    x = f.add("RESHAPE", (x, f.constant([1, 6, 6], "int32")), (1, 6, 6))
    x = f.dense(x, 4)
    x = f.add("TRANSPOSE", (x, f.constant([0, 2, 1], "int32")), (1, 4, 6))
    x = f.add("MEAN", (x, f.constant([2], "int32")), (1, 4), KeepDims=False)
    return f.finish(f.dense(x, 2))


def arithmetic() -> bytes:
    """Constants per channel and per position, slices, joins, padding and comparisons."""
    f = FloatFile(1, 4, 6, 3)
    shape = (1, 4, 6, 3)
    x = f.add("MUL", (f.input, f.numbers(3)), shape)
    x = f.add("SUB", (f.numbers(1, 4, 6, 3), x), shape)
    x = f.add("DIV", (x, f.constant(0.7)), shape, FusedActivationFunction=RELU6)
    y = f.add("LEAKY_RELU", (f.input,), shape, Alpha=0.2)
    y = f.add("PRELU", (y, f.numbers(1, 1, 3)), shape)
    z = f.add("MAXIMUM", (x, y), shape)
    z = f.add("MINIMUM", (z, f.constant(0.9)), shape)
    joined = f.add("CONCATENATION", (x, y, z), (1, 4, 6, 9), Axis=-1)
    pads = f.constant([[0, 0], [1, 0], [0, 2], [0, 0]], "int32")
    joined = f.add("PAD", (joined, pads), (1, 5, 8, 9))
    bounds = [f.constant(n, "int32") for n in ([0, 1, 0, 0], [1, 5, 8, 9], [1, 2, 3, 1])]
    x = f.add("STRIDED_SLICE", (joined, *bounds), (1, 2, 3, 9))
    x = f.add("HARD_SWISH", (x,), (1, 2, 3, 9))
    x = f.add("LOGISTIC", (x,), (1, 2, 3, 9))
    sizes = [f.constant(n, "int32") for n in ([0, 0, 0, 3], [1, 2, 3, 4])]
    return f.finish(f.add("SLICE", (x, *sizes), (1, 2, 3, 4)))


def decoder() -> bytes:
    """Transposed convolutions of both kinds of padding, and enlargement in two ways."""
    f = FloatFile(1, 4, 5, 3)
    options = {"StrideH": 2, "StrideW": 2}
    inputs = (f.constant([1, 8, 10, 4], "int32"), f.numbers(4, 3, 3, 3), f.input)
    x = f.add("TRANSPOSE_CONV", inputs, (1, 8, 10, 4), Padding=SAME, **options)
    inputs = (f.constant([1, 17, 21, 2], "int32"), f.numbers(2, 3, 3, 4), x)
    x = f.add("TRANSPOSE_CONV", inputs, (1, 17, 21, 2), Padding=VALID, **options)
    size = f.constant([34, 42], "int32")
    x = f.add("RESIZE_NEAREST_NEIGHBOR", (x, size), (1, 34, 42, 2))
    size = f.constant([20, 30], "int32")
    x = f.add("RESIZE_BILINEAR", (x, size), (1, 20, 30, 2), HalfPixelCenters=True)
    return f.finish(f.add("ELU", (x,), (1, 20, 30, 2)))


def half_weights() -> bytes:
    """float16 weights that are widened by a DEQUANTIZE."""
    f = FloatFile(1, 6)
    weights = f.constant(f.rng.normal(0, 0.4, (4, 6)), "float16")
    widened = f.add("DEQUANTIZE", (weights,), (4, 6))
    return f.finish(f.add("FULLY_CONNECTED", (f.input, widened, f.numbers(4)), (1, 4)))


FILES = (mobile, flattened, series, arithmetic, decoder, half_weights)


@pytest.mark.parametrize("made", FILES, ids=lambda made: made.__name__)
def test_a_network_computes_what_tflite_runtime_does(
    made: Callable[[], bytes], tmp_path: Path
) -> None:
    data, path = made(), tmp_path / "net.tflite"
    path.write_bytes(data)
    found = imported_file(path)
    x = np.random.default_rng(1).normal(size=(5, *found.file_shape)).astype(np.float32)
    wanted = runtime_output(data, x)
    with torch.no_grad():
        answer = found.module(torch.from_numpy(x.transpose(found.order).copy())).numpy()
    if answer.ndim > 2:
        answer = np.moveaxis(answer, 1, -1)  # NCHW
    assert answer.shape == wanted.shape
    assert np.abs(answer - wanted).max() <= 1e-5 * np.abs(wanted).max()
