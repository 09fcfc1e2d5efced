"""The answers and targets of several outputs: one structured array with a field for each.

So they are sliced, shuffled and hashed as a whole, like samples of several inputs
(`compress.inputs`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from compress.types import Array


def by_output(parts: Mapping[str, Array]) -> Array:
    """One structured array from arrays (N, ...), in their order, of their types.

    Raises ValueError for arrays of different lengths.
    """
    lengths = [len(part) for part in parts.values()]
    if len(set(lengths)) != 1:
        raise ValueError(f"outputs of {', '.join(map(str, lengths))} samples")
    fields = [(name, part.dtype, part.shape[1:]) for name, part in parts.items()]
    made = np.empty(lengths[0], np.dtype(fields))
    for name, part in parts.items():
        made[name] = part
    return made


def of_output(values: Array, name: str) -> Array:
    """The array (N, ...) of one output, contiguous."""
    return np.ascontiguousarray(values[name])


def names_in(values: Array) -> tuple[str, ...]:
    """The names of the outputs; none for the array of a single one."""
    return values.dtype.names or ()
