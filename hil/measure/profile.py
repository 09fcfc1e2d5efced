"""Counts per layer, from one inference of a build that reads the counter between layers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compress.types import Samples
from hil.measure.batch import first_samples, subset
from hil.measure.measure import measure
from hil.target.target import Target
from hil.types import Image, LayerCount, Plan, Step

_READING = np.dtype([("count", "<u8"), ("model_cycles", "<u8")])


def measure_layers(
    target: Target, image: Image, plan: Plan, samples: Samples, inferences: int = 1
) -> tuple[LayerCount, ...]:
    """Run first samples on the profile build `image`; a count is the difference of two readings.

    The readings are those of the last of the `inferences`. They are all of the first sample, or of
    consecutive samples for a network with states.

    Nothing runs between the first two readings, nor between those around a Reshape: the smallest
    difference is the cost of a reading, and is subtracted; for a layer that is computed row by row
    as often as it made a row. Raises Mismatch and BenchError as
    `measure`, ValueError for an image that is not a profile build.
    """
    if image.layer_counts_address is None:
        raise ValueError(f"{image.elf} is not a profile build")
    total = measure(target, image, plan, subset(samples, _chosen(plan, samples, inferences)))
    readings = 2 + len(plan.steps)
    data = target.read(image.layer_counts_address, readings * _READING.itemsize)
    read = np.frombuffer(data, _READING)
    counts = np.diff(read["count"].astype(np.int64))
    cycles = np.diff(read["model_cycles"].astype(np.int64))
    return tuple(
        LayerCount(
            index=step.index,
            name=step.op.name,
            op=type(step.op).__name__,
            kernel=step.kernel,
            macs=step.macs,
            count=int(count - times * counts.min()),
            model_cycles=None if total.model_cycles is None else int(cycle - times * cycles.min()),
            choice=step.choice,
        )
        for step, count, cycle in zip(plan.steps, counts[1:], cycles[1:], strict=True)
        for times in [_readings(plan, step)]
    )


def _readings(plan: Plan, step: Step) -> int:
    """How often the counter is read for a layer in one inference."""
    segment = plan.segment_of(step.index)
    return 1 if segment is None else segment.runs(step.index - segment.first)


def _chosen(plan: Plan, samples: Samples, inferences: int) -> npt.NDArray[np.intp]:
    if plan.graph.variables:
        return first_samples(plan, samples, inferences)
    return np.zeros(inferences, np.intp)
