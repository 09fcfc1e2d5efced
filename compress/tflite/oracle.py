"""The oracle, an independent check of the integer semantics: tflite-runtime's reference kernels.

Only `OpResolverType.BUILTIN_REF` of tflite-runtime 2.14 rounds as the specification (twice); its
optimized kernels and later runtimes differ by one unit in places.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np

from compress.errors import UserError
from compress.tflite.edges import int8_core, to_outer
from compress.tflite.read import read
from compress.types import Int8Array


def available() -> bool:
    """True if tflite-runtime is installed; it has no wheels for Python 3.12 and later."""
    return importlib.util.find_spec("tflite_runtime") is not None


def interpret(tflite: bytes, inputs: Int8Array) -> Int8Array:
    """Outputs int8 (N, *output shape[1:]) of a single-input .tflite for N inputs, one by one.

    A model that converts from and to other types at its edges is run as a whole; the outputs are
    those of its int8 core.

    Raises UserError where tflite-runtime is missing or does not accept the model.
    """
    if not available():
        raise UserError("tflite-runtime is not installed (it needs Python 3.11): no oracle")
    runtime: Any = importlib.import_module("tflite_runtime.interpreter")
    file = read(tflite)
    core = int8_core(file)
    if len(file.inputs) != 1 or len(file.outputs) != 1:
        raise UserError("the model has several inputs or outputs: no oracle")

    try:
        interpreter = runtime.Interpreter(
            model_content=tflite,
            experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=core is not file,
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise UserError(f"tflite-runtime does not accept the model: {error}") from None
    outputs = []
    for sample in to_outer(inputs, file, core):
        interpreter.set_tensor(file.inputs[0], sample[np.newaxis])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(core.outputs[0])[0])
    return np.stack(outputs)
