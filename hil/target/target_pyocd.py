"""A board behind a debug probe (pyOCD) and a serial port (pyserial).

The probe loads and verifies images, reads and writes memory and sets breakpoints; requests and
replies go over the serial line. Real and emulated boards use the same code.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from pyocd.core import exceptions
from pyocd.core.session import Session
from pyocd.core.soc_target import SoCTarget
from pyocd.core.target import Target as PyocdTargetApi
from pyocd.flash.file_programmer import FileProgrammer
from pyocd.probe.aggregator import DebugProbeAggregator

from compress.errors import UserError
from hil.errors import BenchError, FirmwareFault, FlashFailed, NoReply, ProbeLost
from hil.target.link import Link, Port
from hil.target.serial_port import open_port
from hil.target.wire import HelloReply, RunRequest
from hil.types import Board, Image, RunReply

HELLO_TIMEOUT_S = 5.0
_POLL_S = 0.001
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

# Without a handler, Python prints pyOCD's warnings and errors on stderr; here they are raised as
# exceptions. An application that configures logging still gets the records.
logging.getLogger("pyocd").addHandler(logging.NullHandler())


class PyocdTarget:
    """A `Target` over the probe `probe_id` (pyOCD) and the serial port `port_url` (pyserial).

    `options` are options of pyOCD's session.
    """

    def __init__(self, board: Board, probe_id: str, port_url: str, **options: object) -> None:
        self.board = board
        self._halted_run: int | None = None
        self._link: Link | None = None
        with self._bench_errors(f"opening debug probe {probe_id}"):
            self._session = _open_session(board, probe_id, options)
        try:
            with self._bench_errors(f"opening serial port {port_url}"):
                self._link = Link(open_port(port_url))
        except BaseException:
            self._session.close()
            raise

    def load(self, image: Image) -> HelloReply:
        """Load an image, verify it and start it.

        Raises FlashFailed if the image is for another board, the memory cannot be written or
        another program answers.
        """
        self.start(image)
        with self._bench_errors(f"starting {image.elf}"):
            hello = self._serial.hello(HELLO_TIMEOUT_S)
            if hello.model_id != image.program.id:
                raise FlashFailed(
                    f"{image.elf}: program {hello.model_id:#010x} answers, "
                    f"loaded was {image.program.id:#010x}",
                    self._serial.transcript,
                )
        return hello

    def start(self, image: Image) -> Port:
        """Load an image, verify it and start it; returns the serial port that it answers on.

        For an image that speaks another protocol than ours. Raises FlashFailed as `load`.
        """
        if image.board.name != self.board.name:
            raise FlashFailed(f"{image.elf} is for board {image.board.name}, not {self.board.name}")
        self._halted_run = None
        with self._bench_errors(f"loading {image.elf}", FlashFailed):
            self._chip.reset_and_halt()  # turns caches and memory protection off, resets the clock
            FileProgrammer(self._session).program(str(image.elf), file_format="elf")
            self._verify(image.elf)
            self._chip.reset_and_halt()
            self._serial.discard_received()
            self._chip.resume()
        return self._serial.port

    def write(self, address: int, data: bytes) -> None:
        with self._bench_errors(f"writing {len(data)} bytes at {address:#010x}"):
            self._chip.write_memory_block8(address, data)

    def read(self, address: int, size_bytes: int) -> bytes:
        with self._bench_errors(f"reading {size_bytes} bytes at {address:#010x}"):
            return bytes(self._chip.read_memory_block8(address, size_bytes))

    def run(self, request: RunRequest, timeout_s: float) -> RunReply:
        with self._bench_errors("running"):
            return self._serial.finish_run(self._serial.start_run(request), timeout_s)

    def run_until(self, request: RunRequest, address: int, timeout_s: float) -> None:
        with self._bench_errors(f"running to {address:#010x}"):
            self._chip.halt()  # pyOCD sets breakpoints when it resumes a halted core
            if not self._chip.set_breakpoint(address, PyocdTargetApi.BreakpointType.HW):
                raise exceptions.DebugError("no hardware breakpoint is free for this address")
            self._chip.resume()
            sequence = self._serial.start_run(request)
            try:
                self._wait_until_halted(sequence, timeout_s)
            finally:
                self._chip.remove_breakpoint(address)
            self._halted_run = sequence

    def _wait_until_halted(self, sequence: int, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self._chip.get_state() != PyocdTargetApi.State.HALTED:
            if self._serial.poll_run(sequence, _POLL_S) is not None:
                raise NoReply("the run ended without reaching it", self._serial.transcript)
            if time.monotonic() > deadline:
                raise NoReply(f"not reached within {timeout_s:g} s", self._serial.transcript)

    def resume(self, timeout_s: float) -> RunReply:
        if self._halted_run is None:
            raise RuntimeError("resume() needs a run halted by run_until()")
        sequence, self._halted_run = self._halted_run, None
        with self._bench_errors("resuming the run"):
            self._chip.resume()
            return self._serial.finish_run(sequence, timeout_s)

    def close(self) -> None:
        """Release the board. Never raises: the probe may be gone already."""
        if self._link is not None:
            with suppress(OSError):
                self._link.close()
        with suppress(exceptions.Error, OSError):
            self._session.close()

    # ---- inside

    @property
    def _chip(self) -> SoCTarget:
        chip = self._session.target
        if chip is None:
            raise exceptions.ProbeError("the debug session has no target")
        return chip

    @property
    def _serial(self) -> Link:
        if self._link is None:
            raise RuntimeError("the serial port is not open yet")
        return self._link

    def _check_core(self, found: str, hint: str) -> None:
        """Raises UserError, and closes the target, if the core is not that of the board's file.

        The message is `found`, both cores, and `hint`.
        """
        try:
            part = int.from_bytes(self.read(_CPUID, 4), "little") >> 4 & 0xFFF
            core = _CORES.get(part, f"an unknown core ({part:#05x})")
            if core != self.board.core:
                board = f"board {self.board.name} has {self.board.core}"
                raise UserError(f"{found} {core}, {board}: {hint}")
        except BaseException:
            self.close()
            raise

    def _verify(self, elf: Path) -> None:
        with elf.open("rb") as file:
            for segment in ELFFile(file).iter_segments("PT_LOAD"):
                expected, address = segment.data(), segment["p_paddr"]
                found = bytes(self._chip.read_memory_block8(address, len(expected)))
                if found != expected:
                    at = next(
                        i for i in range(len(expected)) if found[i : i + 1] != expected[i : i + 1]
                    )
                    raise FlashFailed(
                        f"{elf}: the memory at {address + at:#010x} reads back different"
                    )

    @contextmanager
    def _bench_errors(self, doing: str, kind: type[BenchError] = ProbeLost) -> Iterator[None]:
        """Turn errors of pyOCD and pyserial into a BenchError of `kind` that names the action."""
        try:
            yield
        except NoReply as error:
            explained = self._explained(error)
            if explained is error:
                raise
            raise explained from error
        except (exceptions.Error, ELFError, OSError) as error:
            lost = isinstance(error, exceptions.ProbeError)
            transcript = "" if self._link is None else self._link.transcript
            failure = (ProbeLost if lost else kind)(f"{doing}: {error}", transcript)
            raise self._explained(failure) from error

    def _explained(self, error: BenchError) -> BenchError | FirmwareFault:
        """The error to raise in place of `error`; subclasses add the cause if they know it."""
        return error


def _open_session(board: Board, probe_id: str, options: dict[str, object]) -> Session:
    probes = DebugProbeAggregator.get_all_connected_probes(probe_id)
    if len(probes) != 1:
        raise ProbeLost(f"{len(probes) or 'no'} debug probes match {probe_id!r}")
    settings = {
        "target_override": board.pyocd_target,
        "hide_programming_progress": True,
        "resume_on_disconnect": False,
        **options,
    }
    try:
        session = Session(probes[0], options=settings)
    except exceptions.TargetSupportError as error:
        part = board.pack or board.pyocd_target
        raise UserError(
            f"board {board.name}: pyOCD does not know the chip {board.pyocd_target}, its pack is "
            f"missing: .venv/bin/pyocd pack update && .venv/bin/pyocd pack install {part}"
        ) from error
    try:
        session.open()
    except exceptions.Error:
        session.close()
        raise
    return session
