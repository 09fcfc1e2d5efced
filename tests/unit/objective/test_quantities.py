"""Quantities and weights in option texts: accepted forms, values, and refused texts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.errors import UserError
from hil.objective.goal import ObjectiveWeights
from hil.objective.quantities import (
    bytes_in,
    joules_in,
    microjoules_in,
    milliseconds_in,
    weights_in,
)


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        *(
            (bytes_in, text, 65_536)
            for text in ("64K", "64KB", "64KiB", "64 kib", "65536", "65536B")
        ),
        (bytes_in, "1M", 1_048_576),
        (bytes_in, "0.5M", 524_288),
        (bytes_in, ".5K", 512),
        *((milliseconds_in, text, 50.0) for text in ("50", "50ms", "0.05s", "50000us", "50000 µs")),
        *((microjoules_in, text, 1000.0) for text in ("1000", "1mJ", "0.001J", "1000uJ", "1000μJ")),
        *((joules_in, text, 20_000.0) for text in ("20kJ", "20000", "0.02MJ", "20 KJ")),
    ],
)
def test_units(read: Callable[[str, str], float], text: str, value: float) -> None:
    assert read("--x", text) == pytest.approx(value)


@pytest.mark.parametrize("read", [bytes_in, milliseconds_in, microjoules_in, joules_in])
@pytest.mark.parametrize("text", ["", "K", "0", "-1", "1e9999", "1 2", "1,5", "5 apples", "nan"])
def test_a_text_that_is_no_quantity_is_refused(
    read: Callable[[str, str], float], text: str
) -> None:
    with pytest.raises(UserError) as caught:
        read("--max-x", text)
    assert f"--max-x {text!r}" in str(caught.value)
    assert "written like" in str(caught.value)


def test_units_of_other_quantities_are_refused() -> None:
    for read, text in (
        (bytes_in, "5ms"),
        (milliseconds_in, "5K"),
        (microjoules_in, "5MJ"),
        (joules_in, "5mJ"),
        (bytes_in, "5m"),
    ):
        with pytest.raises(UserError, match="written like"):
            read("--x", text)


@settings(deadline=None)
@given(st.integers(1, 2**40))
def test_bytes_read_back(size: int) -> None:
    assert bytes_in("--x", str(size)) == size
    assert bytes_in("--x", f"{size}K") == 1024 * size


def test_weights_not_named_are_0() -> None:
    assert weights_in(
        "--weights", "flash=1, ram=0.5,latency=2,energy=0,accuracy=0.1"
    ) == ObjectiveWeights(accuracy=0.1, flash=1.0, ram=0.5, latency=2.0, energy=0.0)
    assert weights_in("--weights", "ram=3") == ObjectiveWeights(0.0, 0.0, 3.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "text",
    ["", "flash", "flash=", "flash=-1", "size=1", "flash=0,ram=0", "flash=1,flash=2", "ram=nan"],
)
def test_malformed_weights_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="of accuracy, flash, ram, latency, energy") as caught:
        weights_in("--weights", text)
    assert f"--weights {text!r}" in str(caught.value)
