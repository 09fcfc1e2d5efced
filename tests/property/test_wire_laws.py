"""Properties of the serial protocol: frames survive encoding, damaged ones are rejected."""

from __future__ import annotations

import contextlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hil.target import wire
from hil.target.link import Link
from hil.target.wire import Frame, FrameError, RunRequest

frames = st.builds(
    Frame,
    kind=st.integers(0, 0xFF),
    sequence=st.integers(0, 0xFFFF),
    payload=st.binary(max_size=64),
    version=st.integers(0, 0xFF),
)


@given(frames)
def test_decode_undoes_encode(frame: Frame) -> None:
    data = wire.encode(frame)
    assert data.index(wire.DELIMITER) == len(data) - 1
    assert wire.decode(data[:-1]) == frame


@given(frames, st.data())
def test_a_damaged_frame_is_never_believed(frame: Frame, data: st.DataObject) -> None:
    """A burst of up to 32 bits in the body, which a CRC-32 always detects."""
    block = bytearray(wire.encode(frame)[:-1])
    at = data.draw(st.integers(0, len(block) - 1))
    block[at] ^= data.draw(st.integers(1, 0xFF))
    with contextlib.suppress(FrameError):
        assert wire.decode(bytes(block)) == frame  # the damage must have made no difference


@given(st.binary(max_size=300))
def test_random_bytes_decode_or_are_refused(block: bytes) -> None:
    try:
        frame = wire.decode(block)
    except FrameError:
        return
    assert wire.decode(wire.encode(frame)[:-1]) == frame


class Scripted:
    """A port that delivers `pieces` once something has been written to it."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.timeout: float | None = None
        self._pieces = pieces
        self._open = False

    def write(self, data: bytes, /) -> int:
        self._open = True
        return len(data)

    def read(self, size: int = 1, /) -> bytes:
        if not self._pieces or not self._open:
            return b""
        data = self._pieces[0][:size]
        self._pieces[0] = self._pieces[0][size:]
        if not self._pieces[0]:
            del self._pieces[0]
        return data

    def reset_input_buffer(self) -> None: ...
    def close(self) -> None: ...


@given(
    noise=st.lists(st.binary(max_size=300), max_size=4),
    payload=st.tuples(*[st.integers(0, 0xFFFF_FFFF)] * 3),
    cuts=st.lists(st.integers(0, 400), max_size=6),
)
def test_the_reply_is_found_behind_any_noise_in_any_pieces(
    noise: list[bytes], payload: tuple[int, int, int], cuts: list[int]
) -> None:
    words = b"".join(word.to_bytes(4, "little") for word in (0, *payload))
    stream = b"".join(block + b"\0" for block in noise)
    stream += wire.encode(Frame(wire.FrameKind.RUN_REPLY, 1, words))
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges) if a < b]
    link = Link(Scripted(pieces))
    reply = link.finish_run(link.start_run(RunRequest(1, 0, 0, 0, 0)), 5.0)
    assert (reply.correct, reply.stack_peak_bytes, reply.outputs_crc32) == payload
