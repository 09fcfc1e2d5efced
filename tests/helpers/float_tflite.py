"""Float .tflite files, written record by record."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from compress.tflite.write import write
from compress.tflite_records.file import (
    BuiltinOperator,
    File,
    FileOperator,
    FileTensor,
    TensorType,
)
from compress.tflite_records.tensor import raw_bytes
from compress.types import Array

_TYPES = {"float32": TensorType.FLOAT32, "int32": TensorType.INT32, "float16": TensorType.FLOAT16}
SAME, VALID = 0, 1
RELU, RELU6 = 1, 3  # fused activations


class FloatFile:
    """A file under construction; tensors are known by their index."""

    def __init__(self, *input_shape: int, seed: int = 0) -> None:
        self.tensors: list[FileTensor] = []
        self.operators: list[FileOperator] = []
        self.rng = np.random.default_rng(seed)
        self.input = self.activation(input_shape)

    def activation(self, shape: tuple[int, ...]) -> int:
        return self._add(FileTensor(f"t{len(self.tensors)}", shape, TensorType.FLOAT32))

    def constant(self, values: Any, dtype: str = "float32") -> int:
        array = np.asarray(values, dtype)
        name = f"c{len(self.tensors)}"
        return self._add(FileTensor(name, array.shape, _TYPES[dtype], data=raw_bytes(array)))

    def numbers(self, *shape: int) -> int:
        """A constant of random numbers, small enough for sums of many."""
        scale = 1.0 / math.sqrt(max(1, math.prod(shape[1:])))
        return self.constant(self.rng.normal(0, scale, shape))

    def add(
        self, kind: str, inputs: tuple[int, ...], shape: tuple[int, ...], **options: Any
    ) -> int:
        """An operator with one output of this shape; the output."""
        output = self.activation(shape)
        code = getattr(BuiltinOperator, kind)
        self.operators.append(FileOperator(code, inputs, (output,), options))
        return output

    def conv(
        self, x: int, outputs: int, shape: tuple[int, ...], window: int = 3, stride: int = 1,
        padding: int = SAME, activation: int = 0, depthwise: bool = False, dilation: int = 1,
    ) -> int:  # fmt: skip
        """CONV_2D or DEPTHWISE_CONV_2D; `shape` is that of the result."""
        channels = self.tensors[x].shape[-1]
        sizes = (1, window, window, outputs) if depthwise else (outputs, window, window, channels)
        inputs = (x, self.numbers(*sizes), self.numbers(outputs))
        options = {
            "Padding": padding, "StrideH": stride, "StrideW": stride,
            "DilationHFactor": dilation, "DilationWFactor": dilation,
            "FusedActivationFunction": activation,
        }  # fmt: skip
        if depthwise:
            options["DepthMultiplier"] = outputs // channels
        return self.add("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", inputs, shape, **options)

    def pool(
        self, kind: str, x: int, shape: tuple[int, ...], window: int, stride: int, padding: int
    ) -> int:
        return self.add(
            kind, (x,), shape, Padding=padding, StrideH=stride, StrideW=stride,
            FilterHeight=window, FilterWidth=window,
        )  # fmt: skip

    def dense(self, x: int, outputs: int, activation: int = 0) -> int:
        inputs = self.tensors[x].shape[-1]
        operands = (x, self.numbers(outputs, inputs), self.numbers(outputs))
        shape = (*self.tensors[x].shape[:-1], outputs)
        keeps = len(shape) > 2
        return self.add("FULLY_CONNECTED", operands, shape, FusedActivationFunction=activation,
                        KeepNumDims=keeps)  # fmt: skip

    def finish(self, output: int) -> bytes:
        return write(
            File("float", tuple(self.tensors), tuple(self.operators), (self.input,), (output,))
        )

    def _add(self, tensor: FileTensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1


def runtime_output(tflite: bytes, x: Array) -> Array:
    """What tflite-runtime's float kernels compute for x (N, ...), one sample after the other."""
    import tflite_runtime.interpreter as runtime

    interpreter = runtime.Interpreter(model_content=tflite)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    answers = []
    for sample in x:
        interpreter.set_tensor(source["index"], sample[np.newaxis])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(result["index"])[0])
    return np.stack(answers)
