"""Figures of a measured network beside its costs: of each layer, and by halves of the data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerFigures:
    """One layer of a network that was profiled on the board, for models of costs by shape.

    `inputs` and `outputs` are the channels that it reads and writes (the last dimension), `count`
    is in the unit of the board's counter, `weight_bytes` what is stored, `live_bytes` what of the
    arena is in use while it runs.
    """

    name: str
    inputs: int
    outputs: int
    macs: int
    count: int
    weight_bytes: int
    live_bytes: int


@dataclass(frozen=True, slots=True)
class HalfFigures:
    """A network on one half of the validation split, with standard errors; all are shares of 1.

    `accuracy` is the task's metric as a share where more is better, `drop` the float network's on
    the same samples less it, whose error is that of a paired difference.
    """

    accuracy: float
    error: float
    drop: float
    drop_error: float
