"""What a front end costs, as JSON and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hil import formatting

if TYPE_CHECKING:
    from hil.features.measure import FeatureCosts


def features_to_json(costs: FeatureCosts) -> dict[str, Any]:
    """The costs of a front end; counts, cycles and time are those of one new frame."""
    return {
        "count": costs.count,
        "unit": formatting.COUNT_NOUNS[costs.counter],
        "cycles": costs.cycles,
        "frame_ms": costs.frame_ms,
        "frames": costs.frames,
        "flash_bytes": costs.flash_bytes,
        "state_bytes": costs.state_bytes,
        "scratch_bytes": costs.scratch_bytes,
        "stack_bytes": costs.stack_bytes,
    }


def feature_words(costs: Mapping[str, Any]) -> str:
    """A sentence of the costs that `features_to_json` gives.

    Raises KeyError or TypeError for another mapping.
    """
    known = costs["cycles"] is not None
    count = costs["cycles"] if known else costs["count"]
    time = f" ({formatting.three_digits(costs['frame_ms'])} ms)" if known else ""
    scratch = formatting.kib(costs["scratch_bytes"])
    beside = f", {scratch} KiB scratch that may be the network's arena" if scratch != "0.00" else ""
    return (
        f"{count:,} {'cycles' if known else costs['unit']}{time} per new frame, "
        f"{costs['frames'] * count:,} per input of {costs['frames']} frames; "
        f"{formatting.kib(costs['flash_bytes'])} KiB flash, "
        f"{formatting.kib(costs['state_bytes'])} KiB RAM{beside}; not in the network's figures"
    )
