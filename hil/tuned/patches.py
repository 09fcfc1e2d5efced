"""Conv2D with short rows of filters, on cores with DSP: conv_patches.c.

Inputs of a window are copied together, once for all panels, where that costs less than to go from
row to row for each panel.
"""

from __future__ import annotations

from collections.abc import Iterator

from compress.ops import Conv2D
from compress.types import Graph
from hil.tuned.calls import Field
from hil.tuned.panel_kernel import PAIRS_KERNEL
from hil.tuned.panels import PANEL_CHANNELS
from hil.tuned.row_ring import RowRing, ring_channels, ring_of
from hil.tuned.weight_panels import PanelLayer, even_groups, panel_kernels, weight_bits

# Pixels whose inputs are copied at a time.
_GROUP_PIXELS = (24, 8, 4, 2)
_MOST_PATCH_BYTES = 4096  # of all patches of a group
# Cycles of Cortex-M4 for a pair of pixels, roughly: to the next row of the filter; and copies.
_NEXT_ROW_CYCLES = 30
_COPY_ROW_CYCLES = 40
_COPY_WORD_CYCLES = 10
_COPY_CYCLES = 120


def _pays(ring: RowRing) -> bool:
    panels = -(-ring.channels_out // PANEL_CHANNELS)
    copy = _COPY_ROW_CYCLES + _COPY_WORD_CYCLES * ring.run_words
    return ring.filter_rows * (panels * _NEXT_ROW_CYCLES - copy) > _COPY_CYCLES


def _writes(ring: RowRing, group: int) -> Iterator[tuple[int, int]]:
    """The last output row that was expanded for, and the pixels written, after each group."""
    pixels = ring.out_rows * ring.out_columns
    for end in range(group, pixels + group, group):
        count = min(end, pixels)
        yield (count - 1) // ring.out_columns, count


def _layers(graph: Graph, op: Conv2D, in_ram: bool) -> Iterator[PanelLayer]:
    ring = ring_of(graph, op)
    if ring is not None and _pays(ring):
        yield from _of_groups(graph, op, ring)


def _of_groups(graph: Graph, op: Conv2D, ring: RowRing) -> Iterator[PanelLayer]:
    channels = ring_channels(graph, op, ring)
    bits = weight_bits(graph, op)
    if channels is None or bits is None or not ring.is_countable(1):
        return
    patch_words = ring.filter_rows * ring.run_words
    for group in even_groups(_GROUP_PIXELS, ring.out_rows * ring.out_columns):
        if 4 * group * patch_words > _MOST_PATCH_BYTES:
            continue
        words = ring.filter_rows * (ring.slot_words + 1) + group * patch_words
        yield PanelLayer(
            function="conv_patches",
            channels=channels,
            order=ring.order(),
            micro_kernel=PAIRS_KERNEL,
            fields=(
                *ring.ring_fields(ring.slots(1)),
                *ring.window_fields(),
                Field("group", group),
            ),
            pairs=group // 2,
            scratch_bytes=4 * words,
            lead_bytes=ring.lead_bytes(_writes(ring, group)),
            bits=bits,
        )


KERNELS = panel_kernels("conv_patches", _layers)
