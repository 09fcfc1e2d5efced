"""Instances of `firmware/tuned/instances/conv_panel.S` and `panel_sums.S`."""

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


def four_bits(kernel: Instance) -> Instance:
    """The same for weights of four bits."""
    name = kernel.name.replace("conv_panel", "conv_panel4")
    return Instance(name, kernel.type, kernel.source, (*kernel.macros, ("FOUR_BITS", 1)))


def sums_for(kernel: Instance) -> Instance:
    """What computes the sums of inputs that `four_bits(kernel)` needs."""
    name = kernel.name.replace("conv_panel", "panel_sums")
    return Instance(name, "panel_sums", "panel_sums.S", kernel.macros)
