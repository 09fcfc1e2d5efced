"""The samples that a library carries to prove itself: inputs, and the reference's outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compress.types import Graph, Int8Array, Samples
from hil.codegen.render import template

MOST_SAMPLES = 4
MOST_SEQUENCE = 16  # of a network with states, which are filled by earlier samples
_MOST_BYTES = 24 * 1024  # of flash, for inputs and outputs together
_PER_LINE = 24


@dataclass(frozen=True, slots=True)
class _Row:
    bytes: int
    lines: tuple[str, ...]


def golden_count(graph: Graph) -> int:
    """The number of samples that fit: few, at least one."""
    tensors = (*graph.input_tensors, *graph.output_tensors)
    each = sum(tensor.size_bytes for tensor in tensors)
    most = MOST_SEQUENCE if graph.variables else MOST_SAMPLES
    return max(1, min(most, _MOST_BYTES // each))


def golden_files(samples: Samples, origin: str, prefix: str) -> Mapping[str, str]:
    """golden.h and golden.c; `origin` says in a comment what the samples are."""
    inputs, outputs = _rows(samples.inputs), _rows(samples.outputs)
    context = {
        "samples": len(inputs),
        "input_bytes": inputs[0].bytes,
        "output_bytes": outputs[0].bytes,
        "origin": origin,
        "arrays": [("golden_inputs", inputs), ("golden_outputs", outputs)],
        "PREFIX": prefix.upper(),
    }
    return {
        "golden.h": template("library/golden.h").render(context),
        f"{prefix}_golden.c": template("library/golden.c").render(context),
    }


def _rows(values: Int8Array) -> list[_Row]:
    flat = np.ascontiguousarray(values).reshape(len(values), -1).view(np.int8)
    return [
        _Row(
            row.size,
            tuple(
                ", ".join(map(str, row[i : i + _PER_LINE].tolist()))
                for i in range(0, row.size, _PER_LINE)
            ),
        )
        for row in flat
    ]
