"""The benchmarks of MLPerf Tiny: how their runner sends inputs, and what results it expects.

Source: mlcommons/tiny, `benchmark/api`, `benchmark/runner` and the reference submissions (2026).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from compress.errors import UserError
from compress.types import Array, Graph, Int8Array, Tensor
from hil.codegen.runner import RunnerSettings


@dataclass(frozen=True, slots=True)
class RunnerBenchmark:
    """One benchmark: its name in the runner, and the sizes of its input and output.

    Inputs are sent as bytes. A byte b, read as int8 if `signed`, stands for the real value
    `scale` * (b - `zero`), in the units of the reference model's input. `scale` is None for inputs
    sent as float32; their result is the mean squared error of the reconstruction.
    """

    name: str
    title: str
    inputs: int
    outputs: int
    scale: float | None
    zero: int = 0
    signed: bool = False

    @property
    def sent_bytes(self) -> int:
        """Bytes of an input as the runner sends it."""
        return self.inputs * (4 if self.scale is None else 1)


BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        RunnerBenchmark(
            "kws01", "keyword spotting", 490, 12, scale=0.5847029089927673, zero=83, signed=True
        ),
        RunnerBenchmark("ic01", "image classification", 3072, 10, scale=1.0),
        RunnerBenchmark("vww01", "visual wake words", 27648, 2, scale=0.003921568859368563),
        RunnerBenchmark("ad01", "anomaly detection", 640, 640, scale=None),
    )
}


def runner_settings(benchmark: RunnerBenchmark, graph: Graph) -> RunnerSettings:
    """The settings of the runner's firmware for a model of this benchmark.

    Raises UserError for a model of other inputs or outputs.
    """
    source, result = (
        _only(benchmark, graph, graph.input_tensors, "input", benchmark.inputs),
        _only(benchmark, graph, graph.output_tensors, "output", benchmark.outputs),
    )
    table = None if benchmark.scale is None else tuple(_table(benchmark, source).tolist())
    return RunnerSettings(
        benchmark.name,
        benchmark.sent_bytes,
        table,
        source.scale,
        source.zero_point,
        result.scale,
        result.zero_point,
    )


def _only(
    benchmark: RunnerBenchmark, graph: Graph, tensors: tuple[Tensor, ...], what: str, elements: int
) -> Tensor:
    """The only tensor, int8 with so many elements. Raises UserError for others."""
    found = ", ".join(f"{tensor.dtype} {list(tensor.shape)}" for tensor in tensors)
    if len(tensors) != 1 or tensors[0].dtype != "int8" or tensors[0].elements != elements:
        raise UserError(
            f"--mlperf-runner {benchmark.name} ({benchmark.title}): the benchmark's models have "
            f"one int8 {what} of {elements} values; {graph.name} has {found}"
        )
    return tensors[0]


def _table(benchmark: RunnerBenchmark, source: Tensor) -> Int8Array:
    """The model's input for each byte: its own value if the model has the reference's grid."""
    stored = np.arange(256)
    if benchmark.signed:
        stored = stored.astype(np.uint8).view(np.int8).astype(np.int64)
    if benchmark.scale is None:
        raise TypeError(f"{benchmark.name} sends no bytes")
    real = benchmark.scale * (stored - benchmark.zero)
    steps = np.floor(real / source.scale + 0.5) + source.zero_point
    values: Int8Array = np.clip(steps, -128, 127).astype(np.int8)
    return values


def model_inputs(settings: RunnerSettings, sent: bytes) -> Int8Array:
    """The model's input values for the bytes of one input, as `firmware/runner.c` converts them."""
    if settings.table is not None:
        return np.array(settings.table, np.int8)[np.frombuffer(sent, np.uint8)]
    steps = _floats(sent) / np.float32(settings.input_scale)
    steps = np.clip(steps, np.float32(-256), np.float32(256))
    rounded = np.trunc(steps + np.copysign(np.float32(0.5), steps)).astype(np.int64)
    values: Int8Array = np.clip(rounded + settings.input_zero, -128, 127).astype(np.int8)
    return values


def expected_results(settings: RunnerSettings, sent: bytes, outputs: Int8Array) -> list[float]:
    """The results that the firmware must print for the model's int8 `outputs`, not rounded."""
    values = (outputs.reshape(-1).astype(np.int64) - settings.output_zero) * settings.output_scale
    if settings.table is not None:
        return [float(value) for value in values]
    return [float(np.mean((values - _floats(sent).astype(np.float64)) ** 2))]


def agree(found: float, expected: float) -> bool:
    """True for equal results but for three decimals and sums in single precision."""
    return math.isclose(found, expected, rel_tol=1e-4, abs_tol=6e-4)


def random_input(benchmark: RunnerBenchmark, rng: np.random.Generator) -> bytes:
    """The bytes of a random input."""
    if benchmark.scale is not None:
        return rng.integers(0, 256, benchmark.inputs, dtype=np.uint8).tobytes()
    return rng.uniform(-40, 10, benchmark.inputs).astype("<f4").tobytes()


def _floats(sent: bytes) -> Array:
    return np.frombuffer(sent, "<f4")
