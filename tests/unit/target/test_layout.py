"""The memory layout of a run: inside the staging memory, disjoint, aligned for the firmware."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.errors import OverBudget
from hil.target.target import Layout, staging_capacity
from hil.types import Region

stagings = st.builds(Region, st.integers(0, 2**31), st.integers(0, 100_000))
sizes = st.integers(1, 5000)


@given(stagings, st.integers(1, 200), sizes, sizes)
def test_a_layout_keeps_everything_apart_and_inside(
    staging: Region, samples: int, input_bytes: int, output_bytes: int
) -> None:
    try:
        layout = Layout.within(staging, samples, input_bytes, output_bytes)
    except OverBudget:
        assert staging_capacity(staging, input_bytes, output_bytes) < samples
        return
    regions = [layout.inputs, layout.labels, layout.outputs, layout.counts]
    assert [region.length_bytes // samples for region in regions] == [
        input_bytes,
        2,
        output_bytes,
        16,
    ]
    taken = sorted(regions, key=lambda region: region.origin)
    assert staging.origin <= taken[0].origin
    assert taken[-1].end <= staging.end
    assert all(a.end <= b.origin for a, b in pairwise(taken))
    assert layout.labels.origin % 2 == 0
    assert layout.counts.origin % 8 == 0


@given(stagings, sizes, sizes)
def test_capacity_is_what_surely_fits(staging: Region, input_bytes: int, output_bytes: int) -> None:
    samples = staging_capacity(staging, input_bytes, output_bytes)
    if samples:
        Layout.within(staging, samples, input_bytes, output_bytes)
    with pytest.raises(OverBudget):
        Layout.within(staging, samples + 64, input_bytes, output_bytes)


def test_over_budget_says_how_much_is_missing() -> None:
    with pytest.raises(OverBudget, match=r"3 samples need 3104 bytes.*are 1000"):
        Layout.within(Region(0x2000_0000, 1000), 3, 1000, 10)


def test_a_request_names_the_places_of_a_layout() -> None:
    layout = Layout.within(Region(0x2000_0000, 10_000), 2, 100, 10)
    request = layout.request
    assert request.samples == 2
    assert request.inputs_address == layout.inputs.origin
    assert request.labels_address == layout.labels.origin
    assert request.outputs_address == layout.outputs.origin
    assert request.counts_address == layout.counts.origin
