"""The options of `hil bench` for wait states: what they set, and what they refuse."""

from __future__ import annotations

import pytest

from compress.errors import UserError
from hil.board import load_board, without_waits
from hil.cycle_model import DelayedRam, FlashTiming
from hil.options.bench_options import NONE, OF_PART, with_memory

M3, M4 = load_board("m3"), load_board("m4")


def test_the_parts_memories_are_the_default() -> None:
    for name in ("m3", "m4", "m55", "nucleo-f446re"):
        board = load_board(name)
        assert with_memory(board, OF_PART, OF_PART) == board
    assert with_memory(M4, NONE, OF_PART) == without_waits(M4)


def test_other_memories_are_told_from_the_parts() -> None:
    flash = with_memory(M3, "8:2:2:0", OF_PART).memory
    assert flash.flash == FlashTiming(M3.flash.origin, M3.flash.length_bytes, 8, 2, 2, 0)
    assert flash.source == "as asked for"
    both = with_memory(M4, OF_PART, "0x2001C000:0x4000").memory
    assert (both.flash, both.ram) == (M4.memory.flash, DelayedRam(0x2001_C000, 0x4000))
    assert both.key.endswith(",ram=536985600:16384")


@pytest.mark.parametrize(
    ("board", "flash", "ram", "words"),
    [
        ("m4", "16:5:64", OF_PART, "must be part, none or LINE:WAIT:INSTRUCTIONS:DATA"),
        ("m4", "fast", OF_PART, "'fast': must be part"),
        ("m4", "16:16:64:8", OF_PART, "wait must be from 1 to 15"),
        ("m4", OF_PART, "0x20000000", "must be part, none or ORIGIN:LENGTH"),
        ("m4", OF_PART, "0xFFFF0000:0x20000", "a range of addresses below 0x100000000"),
        ("m55", "16:5:64:8", OF_PART, "cycles of board m55 are not modelled"),
        ("nucleo-f446re", OF_PART, "0:4", "cycles of board nucleo-f446re are not modelled"),
    ],
)
def test_what_cannot_be_is_refused(board: str, flash: str, ram: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        with_memory(load_board(board), flash, ram)
    assert words in str(caught.value)
