"""Errors of the bench and bugs on the device; `compress.errors` has the user's and candidates'.

HilError
├── BenchError           cable, probe, board, emulator: open again, retry, stop     exit 3
│   ├── ProbeLost            the debug probe or the emulator's gdbstub is gone
│   ├── FlashFailed          the image could not be written, or reads back different
│   └── NoReply              the firmware did not answer in time, or answered garbage
├── FirmwareFault        a bug: the program crashed on the device                   exit 4
└── Mismatch             a bug: device and reference differ; everything is saved    exit 4

A BenchError never becomes a fitness value.
"""

from collections.abc import Mapping

from compress.errors import HilError


class BenchError(HilError):
    """A failure of the bench; `transcript` is the last exchange on the serial port, in hex."""

    exit_code = 3

    def __init__(self, message: str, transcript: str = "") -> None:
        super().__init__(message)
        self.transcript = transcript


class ProbeLost(BenchError):
    """The debug probe (or QEMU, or its gdbstub) is gone or does not answer."""


class FlashFailed(BenchError):
    """The image could not be written to the target, or reads back different."""


class NoReply(BenchError):
    """The firmware did not answer within the time limit, or not in the serial protocol."""


class FirmwareFault(HilError):
    """The program crashed on the device (HardFault, lockup, stack overflow): a bug of this project.

    `registers` maps lower-case names of core and fault status registers to values, where known.
    """

    exit_code = 4

    def __init__(
        self, message: str, registers: Mapping[str, int] | None = None, transcript: str = ""
    ) -> None:
        super().__init__(message)
        self.registers = dict(registers or {})
        self.transcript = transcript


class Mismatch(HilError):
    """Two computations that must agree bit for bit differ: a bug of this project.

    `who` names both: the one that computed `expected` (by default the reference) and the one that
    computed `got` (by default the device).
    """

    exit_code = 4

    def __init__(
        self,
        layer: str,
        sample: int,
        index: int,
        expected: int,
        got: int,
        who: tuple[str, str] = ("reference", "device"),
    ) -> None:
        super().__init__(
            f"layer {layer}: sample {sample}, element {index}: "
            f"{who[1]} computed {got}, {who[0]} {expected}"
        )
        self.layer = layer
        self.sample = sample
        self.index = index
        self.expected = expected
        self.got = got
        self.who = who

    def __reduce__(
        self,
    ) -> tuple[type["Mismatch"], tuple[str, int, int, int, int, tuple[str, str]]]:
        values = (self.layer, self.sample, self.index, self.expected, self.got, self.who)
        return type(self), values
