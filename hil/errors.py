"""The bench's errors and our own; the user's and the candidate's are in `compress.errors`.

HilError
├── BenchError           cable, probe, board, emulator: reset, retry, then stop     exit 3
│   ├── ProbeLost            the debug probe or the emulator's gdb stub went away
│   ├── FlashFailed          the image could not be written, or reads back different
│   └── NoReply              the firmware did not answer in time, or answered garbage
├── FirmwareFault        ours: our code crashed on the device                       exit 4
└── Mismatch             ours: device and reference differ; everything is saved     exit 4

A BenchError never becomes a fitness value.
"""

from collections.abc import Mapping

from compress.errors import HilError


class BenchError(HilError):
    """Something between us and the chip failed; `transcript` says what was exchanged."""

    exit_code = 3

    def __init__(self, message: str, transcript: str = "") -> None:
        super().__init__(message)
        self.transcript = transcript


class ProbeLost(BenchError):
    """The debug probe (or QEMU, or its gdb stub) is gone or does not answer."""


class FlashFailed(BenchError):
    """The image could not be written to the target, or reads back different."""


class NoReply(BenchError):
    """The firmware did not answer within its time limit, or not in our protocol."""


class FirmwareFault(HilError):
    """Our program crashed on the device (HardFault, lockup, stack overflow): a bug of ours.

    `registers` are the core's and its fault status registers by lower-case name, as far as known.
    """

    exit_code = 4

    def __init__(
        self, message: str, registers: Mapping[str, int] | None = None, transcript: str = ""
    ) -> None:
        super().__init__(message)
        self.registers = dict(registers or {})
        self.transcript = transcript


class Mismatch(HilError):
    """Device and integer reference differ, or two others that must agree: a bug of ours.

    `who` names them: whose value is `expected`, and whose is `got`.
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
