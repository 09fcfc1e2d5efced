"""A real board on a bench: ours alone while it is open, reset by its pin, known by its core."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from compress.errors import UserError
from hil.bench_state import WAIT_S, claim, note_failure, note_success, quarantine_text
from hil.benches import Location
from hil.errors import BenchError, ProbeLost
from hil.pyocd_remote import use_mended_client
from hil.target_pyocd import PyocdTarget
from hil.types import Board, RunReply
from hil.wire import RunRequest

# Only the sectors a program needs are erased, and nothing lying around in the current folder
# changes what pyOCD does. Boards connect under NRST (their `connect_mode`): that reaches a chip
# whose program sleeps or has taken its debug pins.
OPTIONS: dict[str, object] = {"chip_erase": "sector", "no_config": True}
_CPUID = 0xE000ED00
# CPUID.PARTNO: the Technical Reference Manuals of the cores, "CPUID Base Register"
_CORES = {
    0xC20: "cortex-m0",
    0xC60: "cortex-m0plus",
    0xC23: "cortex-m3",
    0xC24: "cortex-m4",
    0xC27: "cortex-m7",
    0xD21: "cortex-m33",
    0xD22: "cortex-m55",
}


class ProbeTarget(PyocdTarget):
    """The first free one of several benches with the same board; locked until `close()`.

    Failures are noted: a board that fails three times with no run in between is quarantined.
    """

    def __init__(
        self, board: Board, benches: Sequence[Location], wait_s: float = WAIT_S, **options: object
    ) -> None:
        self._claim = claim(benches, wait_s)
        self.location = self._claim.location
        use_mended_client()
        try:
            super().__init__(
                board,
                self.location.probe_id,
                self.location.port_url,
                **{**OPTIONS, "connect_mode": board.connect_mode, **options},
            )
        except BaseException:
            self._claim.release()
            raise
        self._check_core()

    def run(self, request: RunRequest, timeout_s: float) -> RunReply:
        reply = super().run(request, timeout_s)
        note_success(self.location)
        return reply

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._claim.release()

    # ---- inside

    def _check_core(self) -> None:
        """Raises UserError if the probe is on another board than bench.toml says."""
        try:
            part = int.from_bytes(self.read(_CPUID, 4), "little") >> 4 & 0xFFF
            core = _CORES.get(part, f"an unknown core ({part:#05x})")
            if core != self.board.core:
                raise UserError(
                    f"probe {self.location.probe_id} is on a chip with {core}, "
                    f"board {self.board.name} has {self.board.core}: another board is connected"
                )
        except BaseException:
            self.close()
            raise

    @contextmanager
    def _bench_errors(self, doing: str, kind: type[BenchError] = ProbeLost) -> Iterator[None]:
        """As before, and every failure is noted; the one that was once too often says so."""
        try:
            with super()._bench_errors(doing, kind):
                yield
        except BenchError as error:
            if not note_failure(self.location, error):
                raise
            refusal = quarantine_text(self.location)
            raise type(error)(f"{error}; {refusal}", error.transcript) from error
