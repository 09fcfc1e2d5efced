"""Scale the inputs of a task: (x - mean) / std for each channel, before the network sees them."""

from __future__ import annotations

import numpy as np

from compress.errors import UserError
from compress.projects.project import ProjectSettings
from compress.types import Array, Dataset, Split


def scaled(data: Dataset, settings: ProjectSettings) -> Dataset:
    """The data with scaled samples; as they are if the project gives neither mean nor std.

    Raises UserError if there is not one number, or one for each channel (the second axis of x).
    """
    if settings.mean is None and settings.std is None:
        return data
    if data.train.x.dtype.names is not None:
        raise UserError(
            "mean, std: they are of one input; scale several "
            f"({', '.join(data.train.x.dtype.names)}) where the data are made"
        )
    channels = data.train.x.shape[1]
    mean = _for_channels("mean", settings.mean or (0.0,), channels)
    std = _for_channels("std", settings.std or (1.0,), channels)
    shape = (1, -1, *[1] * (data.train.x.ndim - 2))

    def one(split: Split) -> Split:
        x = (split.x - mean.reshape(shape)) / std.reshape(shape)
        return Split(x.astype(np.float32), split.y)

    return Dataset(one(data.train), one(data.val), one(data.test))


def _for_channels(key: str, numbers: tuple[float, ...], channels: int) -> Array:
    if len(numbers) not in (1, channels):
        raise UserError(
            f"{key}: {len(numbers)} numbers, but the samples have {channels} channels: give one "
            "number, or one for each channel"
        )
    return np.array(numbers * (channels if len(numbers) == 1 else 1), np.float32)
