"""An emulated board: QEMU with its UART on pyserial and its gdbstub behind pyOCD."""

from __future__ import annotations

import os

from hil.cycle_model import MODELED_CORES, FlashTiming
from hil.emulator.plugin import counting_arguments
from hil.emulator.process import Emulator
from hil.emulator.pyocd_targets import register_board
from hil.errors import BenchError, FirmwareFault, ProbeLost
from hil.target.target_pyocd import PyocdTarget
from hil.types import Board

_DYING_S = 0.5  # from QEMU's connections closing to its process being gone


class QemuTarget(PyocdTarget):
    """Starts QEMU and owns it: one process for any number of images, gone after `close()`.

    QEMU dies with the thread that made the target. If it dies before, or hangs, whatever was
    going on raises ProbeLost (with QEMU's last words) or NoReply within its time limit.
    Modelled cycles are of memory that never waits, or of `flash` (slower to emulate).
    """

    def __init__(self, board: Board, flash: FlashTiming | None = None) -> None:
        register_board(board)
        core = board.core if board.core in MODELED_CORES else ""
        arguments = counting_arguments(core, flash) if board.counter == "insn" else ()
        self.emulator = Emulator(board, arguments)
        try:
            super().__init__(
                board,
                f"qemu:127.0.0.1:{self.emulator.gdb_port}",
                f"socket://127.0.0.1:{self.emulator.uart_port}",
                no_config=True,  # a pyocd.yaml lying around is for real boards
                project_dir=os.getcwd(),  # pyOCD changes to it
                **{"reset.post_delay": 0.0},
            )
        except BaseException:
            self.emulator.kill()
            raise
        # The cycles of another core would be modelled wrongly.
        machine = f"QEMU's machine {board.machine} has"
        self._check_core(machine, "correct machine or core in the board's file")

    def close(self) -> None:
        self._serial.close()
        # QEMU before pyOCD: with it gone, nothing that is still to be told to the chip can hang.
        self.emulator.kill()
        self._session.context_state.suppress_disconnect_error = True  # it is to be expected
        super().close()

    def _explained(self, error: BenchError) -> BenchError | FirmwareFault:
        status = self.emulator.wait(_DYING_S)
        if status is None:
            return error
        words = self.emulator.stderr()
        if "Lockup" in words:
            return FirmwareFault(f"the core locked up: {words}", transcript=error.transcript)
        ending = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        last_words = f": {words}" if words else ""
        return ProbeLost(f"QEMU ended ({ending}){last_words} [{error}]", error.transcript)
