"""A real board on a bench: ours alone while it is open, reset by its pin, known by its core."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hil.errors import BenchError, ProbeLost
from hil.target.bench_file import Bench
from hil.target.bench_lock import (
    CLAIM_WAIT_S,
    claim,
    quarantine_reason,
    record_failure,
    record_success,
)
from hil.target.pyocd_remote import use_patched_client
from hil.target.target_pyocd import PyocdTarget
from hil.target.wire import RunRequest
from hil.types import Board, RunReply

# Only the sectors a program needs are erased, and nothing lying around in the current folder
# changes what pyOCD does. Boards connect under NRST (their `connect_mode`): that reaches a chip
# whose program sleeps or has taken its debug pins.
OPTIONS: dict[str, object] = {"chip_erase": "sector", "no_config": True}


class ProbeTarget(PyocdTarget):
    """The first free one of several benches with the same board; locked until `close()`.

    Failures are noted: a board that fails three times with no run in between is quarantined.
    """

    def __init__(
        self,
        board: Board,
        benches: Sequence[Bench],
        wait_s: float = CLAIM_WAIT_S,
        **options: object,
    ) -> None:
        self._claim = claim(benches, wait_s)
        self.bench = self._claim.bench
        use_patched_client()
        try:
            super().__init__(
                board,
                self.bench.probe_id,
                self.bench.port_url,
                **{**OPTIONS, "connect_mode": board.connect_mode, **options},
            )
        except BaseException:
            self._claim.release()
            raise
        there = f"probe {self.bench.probe_id} is on a chip with"
        self._check_core(there, "another board is connected")

    def run(self, request: RunRequest, timeout_s: float) -> RunReply:
        reply = super().run(request, timeout_s)
        record_success(self.bench)
        return reply

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._claim.release()

    # ---- inside

    @contextmanager
    def _bench_errors(self, doing: str, kind: type[BenchError] = ProbeLost) -> Iterator[None]:
        """As before, and every failure is noted; the one that was once too often says so."""
        try:
            with super()._bench_errors(doing, kind):
                yield
        except BenchError as error:
            if not record_failure(self.bench, error):
                raise
            refusal = quarantine_reason(self.bench)
            raise type(error)(f"{error}; {refusal}", error.transcript) from error
