"""Float models for `hil bench`: quantized to int8 with samples, and compared with themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from compress.errors import HilError, UserError
from compress.integer import reference
from compress.tflite.read import read
from compress.tflite.recognize import is_float
from compress.types import Array, Graph, Int8Array, Samples
from hil.benchmark.samples import read_arrays, samples_of
from hil.formatting import number_of, percent

if TYPE_CHECKING:
    from compress.model_files.float_model import FloatModel

_CALIBRATED = 256  # samples, as in a search
_COMPARED = 1024  # samples


@dataclass(frozen=True, slots=True)
class FloatComparison:
    """The integer network's outputs beside those of the float model that it was made from.

    `sqnr_db` is 10 log10(sum of squares of the float outputs / that of the differences), None
    without a difference. `agreeing` of the `samples` compared have the same largest output; None
    for outputs that are maps, or one number. `accuracy` (0..1) is the float model's, None without
    labels. `calibrated` is the number of samples that ranges were chosen from.
    """

    samples: int
    calibrated: int
    sqnr_db: float | None
    agreeing: int | None
    accuracy: float | None

    @property
    def text(self) -> str:
        """The comparison in one line."""
        ratio = "equal" if self.sqnr_db is None else f"SQNR {self.sqnr_db:.1f} dB"
        line = f"outputs against the float model's on {number_of(self.samples, 'sample')}: {ratio}"
        if self.agreeing is not None:
            line += f", the largest one the same for {self.agreeing}"
        if self.accuracy is not None:
            line += f"; accuracy of the float model {percent(self.accuracy)}"
        return f"{line} (calibrated on {self.calibrated})"


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedFile:
    """The int8 graph of a float model's file, its inputs int8 (N, ...) and labels (N,), if any."""

    graph: Graph
    inputs: Int8Array
    labels: Array | None
    comparison: FloatComparison

    def first(self, count: int) -> tuple[Samples, bool]:
        """The first samples, and whether they have labels."""
        labels = None if self.labels is None else self.labels[:count].astype(np.int64)
        return samples_of(self.graph, self.inputs[:count], labels), labels is not None


def is_float_file(path: Path, content: bytes) -> bool:
    """True for a model in float: an ONNX file, or a .tflite that computes float32."""
    if path.suffix.lower() == ".onnx":
        return True
    try:
        return is_float(read(content))
    except HilError:  # the import of integers says what is wrong
        return False


def quantized(path: Path, data: Path | None) -> QuantizedFile:
    """The file's network in int8, calibrated on the samples of `data`, an .npz with x and maybe y.

    x is float32 (N, ...) in the layout of the file, or of torch. Raises UserError for samples that
    do not fit or are not given, UnsupportedLayer for a network without an integer form.
    """
    from compress.genome import Quantize  # torch: only where it is needed
    from compress.model_files.float_model import load_float_model
    from compress.quantization.lower import lower, quantize_input

    model = load_float_model(path)
    if data is None:
        shape = ", ".join(map(str, model.file_shape))
        raise UserError(
            f"{path}: a float model, which is quantized to int8 here: add --data samples.npz with "
            f"x float32 (N, {shape}), samples as it will see them"
        )
    x, labels = _samples(model, data)
    try:
        chosen = np.linspace(0, len(x) - 1, min(_CALIBRATED, len(x))).round().astype(int)
        graph = lower(model.module, Quantize(), x[chosen], path.stem)
    except HilError as error:
        raise type(error)(f"{path}: {error}") from error
    inputs = quantize_input(graph, x)
    comparison = _compared(model, graph, x, inputs, labels, len(chosen))
    return QuantizedFile(graph, inputs, labels, comparison)


def _samples(model: FloatModel, data: Path) -> tuple[Array, Array | None]:
    """Samples in torch's layout, and labels if there are some. Raises UserError."""
    arrays = read_arrays(data, ["x"])
    given, labels = arrays["x"], arrays.get("y")
    if given.dtype.kind != "f" or not len(given) or not np.isfinite(given).all():
        raise UserError(
            f"--data {data}: x is {given.dtype} {given.shape}; needed are finite float32 values of "
            "at least one sample"
        )
    if labels is not None and (labels.dtype.kind not in "iu" or labels.shape != given.shape[:1]):
        raise UserError(
            f"--data {data}: y is {labels.dtype} {labels.shape}, must be integers ({len(given)},)"
        )
    try:
        return model.network_input(given), labels
    except UserError as error:
        raise UserError(f"--data {data}: {error}") from error


def _compared(
    model: FloatModel, graph: Graph, x: Array, inputs: Int8Array, labels: Array | None, used: int
) -> FloatComparison:
    from compress.quantization.sqnr import decibels

    count = min(len(x), _COMPARED)
    wanted = model.answers(x[:count])
    tensor = graph.output_tensor
    integers = reference.run(graph, inputs[:count]).reshape(count, -1).astype(np.float64)
    found = (integers - tensor.zero_point) * tensor.scale
    noise = float(np.sum((found - wanted) ** 2))
    ratio = decibels(float(np.sum(wanted**2)), noise) if noise > 0 and wanted.any() else None
    agreeing = accuracy = None
    if len(model.output_shape) == 1 and wanted.shape[1] > 1:
        agreeing = int(np.sum(found.argmax(1) == wanted.argmax(1)))
        if labels is not None:
            accuracy = float(np.mean(wanted.argmax(1) == labels[:count]))
    return FloatComparison(count, used, ratio, agreeing, accuracy)
