"""Parts of a split: evenly spaced samples, and halves that are alike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compress.types import Split


def evenly_spaced(split: Split, samples: int) -> Split:
    """A subset of at most `samples` samples of the split, evenly spaced."""
    return split if len(split) <= samples else _part(split, _spaced_indices(len(split), samples))


def _spaced_indices(count: int, limit: int) -> npt.NDArray[np.int64]:
    """At most `limit` indices below `count`, evenly spaced from the first to the last."""
    indices: npt.NDArray[np.int64] = (
        np.linspace(0, count - 1, min(limit, count)).round().astype(np.int64)
    )
    return indices


def halves(split: Split) -> tuple[Split, Split]:
    """Two halves of a split: every other sample, of those with a class every other one of a class.

    What is chosen by the first half can be judged by the second. Each keeps the split's order.
    Every class (y int64 (N,)) with two samples or more is in both.
    """
    by_class = split.y.ndim == 1 and np.issubdtype(split.y.dtype, np.integer)
    order = np.argsort(split.y, kind="stable") if by_class else np.arange(len(split))
    return _part(split, np.sort(order[0::2])), _part(split, np.sort(order[1::2]))


def _part(split: Split, indices: npt.NDArray[np.intp]) -> Split:
    return Split(split.x[indices], split.y[indices])
