"""The process of a judge: it loads models into one interpreter's library and runs them.

Started by `compress.judging.process`, with the library's name and the number of a connected
socket. It ends when the other end is closed. Requests are answered in order:

- `open` (number, the library's own settings; the model's bytes)
- `run` (number, positions and types of inputs, which results; the inputs' bytes)
- both may name models to `drop`.
"""

from __future__ import annotations

import importlib
import resource
import socket
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from compress.judging.frames import receive, send

_Array = npt.NDArray[Any]

MEMORY_BYTES = 4 << 30  # of address space: the largest arena is 1 GiB
_WRITTEN_BYTES = 1 << 20  # of a file: what a library prints
# What the libraries raise for a model, or for values, that they refuse.
_REFUSALS = (ValueError, RuntimeError, MemoryError, TypeError, IndexError, OverflowError)


class _Micro:
    """A model in tflite-micro. Results are tensors where it keeps them all, else outputs."""

    def __init__(self, runtime: Any, model: bytes, settings: dict[str, Any]) -> None:
        self._keeps = bool(settings["keeps"])
        config = runtime.InterpreterConfig
        self._interpreter = runtime.Interpreter.from_bytes(
            model,
            arena_size=int(settings["arena_bytes"]),
            intrepreter_config=(
                config.kPreserveAllTensors if self._keeps else config.kAllocationRecording
            ),
        )

    def run(self, inputs: dict[int, _Array], results: Sequence[int]) -> list[_Array]:
        for position, value in inputs.items():
            self._interpreter.set_input(value, position)
        self._interpreter.invoke()
        if self._keeps:
            return [self._interpreter.GetTensor(tensor, 0)["tensor_data"] for tensor in results]
        return [self._interpreter.get_output(position) for position in results]


class _Runtime:
    """A model in tflite-runtime. Inputs and results are tensors."""

    def __init__(self, runtime: Any, model: bytes, settings: dict[str, Any]) -> None:
        self._interpreter = runtime.Interpreter(
            model_content=model,
            experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=bool(settings["keeps"]),
        )
        self._interpreter.allocate_tensors()

    def run(self, inputs: dict[int, _Array], results: Sequence[int]) -> list[_Array]:
        for tensor, value in inputs.items():
            self._interpreter.set_tensor(tensor, value)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(tensor) for tensor in results]


_LIBRARIES: dict[str, tuple[str, Any]] = {
    "tflite-micro": ("tflite_micro.python.tflite_micro.runtime", _Micro),
    "tflite-runtime": ("tflite_runtime.interpreter", _Runtime),
}


def main(package: str, handle: int) -> None:
    """Answer requests until the other end is closed."""
    module, kind = _LIBRARIES[package]
    end = socket.socket(fileno=handle)
    try:
        runtime: Any = importlib.import_module(module)
    except ImportError as error:
        send(end, {"unusable": str(error)})
        return
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, _WRITTEN_BYTES),
    ):
        resource.setrlimit(limit, (most, most))
    send(end, {})
    models: dict[int, Any] = {}
    while True:
        try:
            request, parts = receive(end)
        except (EOFError, OSError):
            return
        for number in request["drop"]:
            models.pop(number, None)
        try:
            if request["do"] == "open":
                models[request["number"]] = kind(runtime, parts[0], request)
                send(end, {})
            else:
                _run(end, models[request["number"]], request, parts)
        except _REFUSALS as error:
            send(end, {"refused": str(error)[:2000] or type(error).__name__})


def _run(end: socket.socket, model: Any, request: dict[str, Any], parts: list[bytes]) -> None:
    inputs = {
        place: np.frombuffer(part, np.dtype(name)).reshape(shape)
        for (place, name, shape), part in zip(request["inputs"], parts, strict=True)
    }
    values = [np.ascontiguousarray(value) for value in model.run(inputs, request["results"])]
    if any(value.dtype.hasobject for value in values):
        raise ValueError("a tensor that holds no numbers")
    types = [(value.dtype.name, value.shape) for value in values]
    send(end, {"types": types}, [value.tobytes() for value in values])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
