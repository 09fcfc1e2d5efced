"""Target of an emulated board: QEMU, with its UART on a socket and its gdbstub behind pyOCD."""

from __future__ import annotations

import os

from hil.cycle_model import MODELED_CORES, DelayedRam, FlashTiming
from hil.emulator.plugin import counting_arguments
from hil.emulator.process import Emulator
from hil.emulator.pyocd_targets import register_board
from hil.errors import BenchError, FirmwareFault, ProbeLost
from hil.target.target_pyocd import PyocdTarget
from hil.types import Board

_EXIT_WAIT_S = 0.5  # between QEMU closing its connections and its process ending


class QemuTarget(PyocdTarget):
    """A target that owns a QEMU process: one for any number of images, killed by `close()`.

    QEMU also ends with the thread that made the target. If QEMU dies or hangs earlier, the
    operation in progress raises ProbeLost (with the end of QEMU's stderr) or NoReply in time.
    Cycles are modeled for memory without wait states, or with those of `flash` and `ram` (slower to
    emulate); without `modeled` only instructions are counted.
    """

    def __init__(
        self,
        board: Board,
        flash: FlashTiming | None = None,
        modeled: bool = True,
        ram: DelayedRam | None = None,
    ) -> None:
        register_board(board)
        core = board.core if modeled and board.core in MODELED_CORES else ""
        arguments = counting_arguments(core, flash, ram) if board.counter == "insn" else ()
        self.emulator = Emulator(board, arguments)
        try:
            super().__init__(
                board,
                f"qemu:fd:{self.emulator.gdb.fileno()}",
                f"fd:{self.emulator.uart.fileno()}",
                no_config=True,  # a pyocd.yaml in the current folder is for real boards
                project_dir=os.getcwd(),  # pyOCD changes to it
                **{"reset.post_delay": 0.0},
            )
        except BaseException:
            self.emulator.kill()
            raise
        # The cycles of another core would be modeled wrongly.
        self._check_core(
            f"QEMU's machine {board.machine} has", "correct machine or core in the board's file"
        )

    def close(self) -> None:
        self._serial.close()
        # QEMU before pyOCD: once QEMU is gone, no pending access to the chip can hang.
        self.emulator.kill()
        self._session.context_state.suppress_disconnect_error = True  # it is expected
        super().close()

    def _explained(self, error: BenchError) -> BenchError | FirmwareFault:
        status = self.emulator.wait(_EXIT_WAIT_S)
        if status is None:
            return error
        words = self.emulator.stderr()
        if "Lockup" in words:
            return FirmwareFault(f"the core locked up: {words}", transcript=error.transcript)
        ending = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        last_words = f": {words}" if words else ""
        return ProbeLost(f"QEMU ended ({ending}){last_words} [{error}]", error.transcript)
