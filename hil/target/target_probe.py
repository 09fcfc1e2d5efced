"""Target of a real board: locks its bench, connects under reset, checks the core."""

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

# Erase only the sectors that a program needs; ignore a pyocd.yaml in the current folder. A board's
# `connect_mode` adds connecting under reset (NRST), which reaches a chip whose program sleeps or
# uses the debug pins.
OPTIONS: dict[str, object] = {"chip_erase": "sector", "no_config": True}


class ProbeTarget(PyocdTarget):
    """A target on the first free bench of `benches`, which stays locked until `close()`.

    Failures are recorded: a bench that fails `QUARANTINE_FAILURES` times in a row is quarantined.
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
        self._check_core(
            f"probe {self.bench.probe_id} is on a chip with", "another board is connected"
        )

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
        """Handle errors as the base does, record each failure and report a quarantine."""
        try:
            with super()._bench_errors(doing, kind):
                yield
        except BenchError as error:
            if not record_failure(self.bench, error):
                raise
            refusal = quarantine_reason(self.bench)
            raise type(error)(f"{error}; {refusal}", error.transcript) from error
