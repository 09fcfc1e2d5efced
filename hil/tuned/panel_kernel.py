"""Instances of `firmware/tuned/conv_panel.S`."""

from __future__ import annotations

from hil.kernel_interface.call import Instance

# Both pixels' words alternate: for 1x1 filters and for patches.
PAIRS_KERNEL = Instance(
    "conv_panel_pairs", "conv_panel", "conv_panel.S", (("NEXT", 4), ("XSTEP", 8), ("ONE_ROW", 1))
)


def rows_kernel(next_bytes: int) -> Instance:
    """For filters over rows of expanded inputs, the second pixel `next_bytes` after the first."""
    macros = (("NEXT", next_bytes), ("XSTEP", 4), ("ONE_ROW", 0))
    return Instance(f"conv_panel_next{next_bytes}", "conv_panel", "conv_panel.S", macros)
