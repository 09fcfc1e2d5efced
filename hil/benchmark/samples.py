"""The inputs that `hil bench` runs: random ones, those of a file, or a task's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from compress.arithmetic.fixedpoint import value_range
from compress.errors import UserError
from compress.integer import reference
from compress.integer.rows import pack_rows, unpack_rows
from compress.npz_file import read_npz
from compress.projects.find import TaskRef, find_task
from compress.tflite_records.uint8 import from_uint8
from compress.types import Array, Graph, Int8Array, IntArray, Samples, Tensor

_SAMPLES = 4
_LARGEST_LABEL = 0xFFFF  # the firmware's labels are u16
_SEQUENCE = 32  # a wake word's states last that long


def sample_count(graph: Graph, asked: int | None) -> int:
    """The number of samples that are `asked` for; else more for states, which must fill first."""
    return asked or (_SEQUENCE if graph.variables else _SAMPLES)


def random_samples(graph: Graph, count: int, seed: int = 0) -> Samples:
    """Samples with random inputs, labeled by the reference's outputs.

    Every second input is uniform noise, which saturates most networks; the others are waves of
    random frequency and phase, which do not.
    """
    rng = np.random.default_rng(seed)
    values = [_random_values(tensor, count, rng) for tensor in graph.input_tensors]
    return samples_of(graph, _rows(graph, values), None)


def _random_values(tensor: Tensor, count: int, rng: np.random.Generator) -> IntArray:
    low, high = value_range(tensor.dtype)
    shape = (count, *tensor.shape[1:])
    noise = rng.integers(low, high + 1, shape)
    positions = np.indices(shape[1:]).reshape(len(shape) - 1, math.prod(shape[1:]))
    frequencies = rng.uniform(0.02, 1.0, (count, len(shape) - 1))
    phases = rng.uniform(0, 2 * np.pi, (count, 1))
    unit = (high + 1) / 128
    waves = 100 * unit * np.sin(frequencies @ positions + phases)
    smooth = waves.reshape(shape) + rng.normal(0, 8 * unit, shape)
    odd = (np.arange(count) % 2 == 1).reshape(-1, *[1] * (len(shape) - 1))
    mixed = np.round(np.where(odd, noise, smooth))
    values: IntArray = np.clip(mixed, low, high).astype(tensor.item)
    return values


def file_samples(graph: Graph, path: Path, count: int) -> tuple[Samples, bool]:
    """The first `count` samples of an .npz, and whether it has labels.

    The file has an array `x` for the one input, or `x0`, `x1`, ... for several, in the network's
    order: (N, *input shape without batch), in the input's integer type, or float32 or float64,
    which are quantized with its scale; a network in uint8 quantization takes uint8, too. `y` has
    the labels (N,); without them, the samples are labeled by the reference's outputs.

    Raises UserError for another file, shape or type.
    """
    names = ["x"] if len(graph.inputs) == 1 else [f"x{i}" for i in range(len(graph.inputs))]
    arrays = read_arrays(path, names)
    values = [
        _given_values(path, name, _as_stored(graph, arrays[name]), tensor)
        for name, tensor in zip(names, graph.input_tensors, strict=True)
    ]
    labels = arrays.get("y")
    counted = (*values, *(() if labels is None else (labels,)))
    lengths = {len(array) if array.ndim else 0 for array in counted}
    if len(lengths) > 1 or lengths == {0} or (labels is not None and labels.ndim != 1):
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise UserError(f"--data {path}: {shapes}; needed are equally many samples, at least one")
    if labels is not None and not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"--data {path}: y is {labels.dtype}, must be integers")
    if labels is not None and labels.min() < 0:
        raise UserError(f"--data {path}: y has {labels.min()}, must be classes from 0 on")
    if labels is not None and labels.max() > _LARGEST_LABEL:
        raise UserError(f"--data {path}: y has {labels.max()}, at most {_LARGEST_LABEL}")
    inputs = _rows(graph, [value[:count] for value in values])
    chosen = None if labels is None else labels[:count].astype(np.int64)
    return samples_of(graph, inputs, chosen), labels is not None


def read_arrays(path: Path, names: list[str]) -> Mapping[str, Array]:
    """The arrays `names` of an .npz file, and `y` if it has that."""
    try:
        found = read_npz(path, (*names, "y"))
    except (OSError, ValueError) as error:
        raise UserError(f"--data {path}: not an .npz of plain arrays: {error}") from error
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(f"--data {path}: an .npz with arrays {', '.join(names)} and, for labels, y")
    return found


def _as_stored(graph: Graph, array: Array) -> Array:
    """The array with values of int8 where those of a network in uint8 quantization are uint8."""
    return from_uint8(array) if graph.uint8 else array


def _given_values(path: Path, name: str, array: Array, tensor: Tensor) -> IntArray:
    """Values of one input from the file's array, quantized if it holds real numbers."""
    real = array.dtype in (np.float32, np.float64)
    if array.shape[1:] != tensor.shape[1:] or not (real or array.dtype == tensor.item):
        raise UserError(
            f"--data {path}: {name} is {array.dtype} {array.shape}; needed is {tensor.dtype} or "
            f"float32 (N, {', '.join(map(str, tensor.shape[1:]))})"
        )
    if not real:
        return array
    if not np.isfinite(array).all():
        raise UserError(f"--data {path}: {name} has values that are not finite")
    low, high = value_range(tensor.dtype)
    steps = np.round(array / np.float32(tensor.scale)) + tensor.zero_point
    values: IntArray = np.clip(steps, low, high).astype(tensor.item)
    return values


def task_samples(graph: Graph, task: TaskRef, count: int) -> tuple[Samples, float | None]:
    """`count` samples of the task's validation split, evenly spaced, with their labels.

    Beside them is the task's metric of their outputs, in its unit; None if so few samples do not
    define it.
    """
    from compress.pipeline.judge import judge_of  # torch: only where it is needed
    from compress.pipeline.pipeline import evenly_spaced, samples_for_device

    wanted = find_task(task)
    data = wanted.load()
    return samples_for_device(graph, evenly_spaced(data.val, count), judge_of(wanted, data))


def samples_of(graph: Graph, inputs: Int8Array, labels: Array | None) -> Samples:
    """Samples with the reference's outputs; without labels, the argmax of the first is used."""
    outputs = reference.run(graph, inputs).reshape(len(inputs), -1)
    return Samples(inputs, scores(graph, outputs).argmax(1) if labels is None else labels, outputs)


def scores(graph: Graph, outputs: Int8Array) -> IntArray:
    """The values (N, elements) of the first output from rows of all outputs."""
    return unpack_rows(graph.output_tensors, outputs)[0].reshape(len(outputs), -1)


def _rows(graph: Graph, values: list[IntArray]) -> Int8Array:
    """`Samples.inputs` from the values of each input."""
    (first, *others) = graph.input_tensors
    return values[0] if not others and first.dtype == "int8" else pack_rows(values)
