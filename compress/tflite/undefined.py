"""Inputs with which TensorFlow Lite leaves what C defines, so that no oracle may compute them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compress.arithmetic.softmax_int8 import MOST_DEFINED_CLASSES, is_undefined_in_tflite
from compress.integer import reference
from compress.operators.softmax import softmax_parameters
from compress.ops import Softmax
from compress.types import Graph, Int8Array

_BLOCK = 16  # samples whose activations are held at the same time


def undefined_samples(graph: Graph, inputs: Int8Array) -> npt.NDArray[np.bool_]:
    """True for each input that makes a softmax's sum too large: tflite-micro ends the process."""
    undefined = np.zeros(len(inputs), np.bool_)
    wide = [op for op in graph.ops if isinstance(op, Softmax)]
    wide = [op for op in wide if graph.tensors[op.output].dtype == "int8"]
    wide = [op for op in wide if graph.tensors[op.input].shape[-1] > MOST_DEFINED_CLASSES]
    if not wide:
        return undefined
    block = len(inputs) if graph.variables else _BLOCK  # states make one sequence of all samples
    for start in range(0, len(inputs), block):
        values = reference.trace(graph, inputs[start : start + block])
        for op in wide:
            x = values[op.input].astype(np.int8, copy=False)
            rows = is_undefined_in_tflite(x.reshape(-1, x.shape[-1]), softmax_parameters(graph, op))
            undefined[start : start + block] |= rows.reshape(len(x), -1).any(axis=1)
    if graph.variables and undefined.any():  # what follows would be computed from it
        undefined[int(undefined.argmax()) :] = True
    return undefined
