"""Emulated CoreSight debug registers, which let pyOCD debug a chip behind QEMU's gdbstub.

QEMU models the core but not its debug hardware. `SystemBus` is the memory bus of the emulated
chip as a debug probe sees it: this module emulates a ROM table, the halting-debug registers of
the System Control Space (SCS) and a Flash Patch and Breakpoint unit (FPB), and translates accesses
to gdb packets; everything else is QEMU's own memory and registers.

Names and bit positions: Armv7-M Architecture Reference Manual (DDI 0403), C1.6 and C1.11;
component identification: Arm Debug Interface (IHI 0031), part D, and CoreSight (IHI 0029).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from hil.emulator.rsp import SIGINT, SIGTRAP, RspClient

ROM_TABLE = 0xE00FF000
SCS = 0xE000E000
FPB = 0xE0002000
_PRIVATE_PERIPHERAL_BUS = 0xE0000000

CPUID = SCS + 0xD00
AIRCR = SCS + 0xD0C  # Application Interrupt and Reset Control
DFSR = SCS + 0xD30  # Debug Fault Status
DHCSR = SCS + 0xDF0  # Debug Halting Control and Status
DCRSR = SCS + 0xDF4  # Debug Core Register Selector
DCRDR = SCS + 0xDF8  # Debug Core Register Data
DEMCR = SCS + 0xDFC  # Debug Exception and Monitor Control
DEVARCH = SCS + 0xFBC
DEVTYPE = SCS + 0xFCC
FP_CTRL = FPB
FP_COMP0 = FPB + 8
BREAKPOINTS = 8

DHCSR_KEY = 0xA05F << 16
DHCSR_C_DEBUGEN, DHCSR_C_HALT, DHCSR_C_STEP, DHCSR_C_MASKINTS = 1 << 0, 1 << 1, 1 << 2, 1 << 3
DHCSR_S_REGRDY, DHCSR_S_HALT = 1 << 16, 1 << 17
DHCSR_S_RETIRE_ST, DHCSR_S_RESET_ST = 1 << 24, 1 << 25
DCRSR_REGWNR = 1 << 16
DEMCR_VC_CORERESET = 1 << 0
DFSR_BKPT, DFSR_VCATCH = 1 << 1, 1 << 3
AIRCR_KEY = 0x05FA << 16
AIRCR_VECTRESET, AIRCR_SYSRESETREQ = 1 << 0, 1 << 2
FP_CTRL_REV2, FP_CTRL_KEY, FP_CTRL_ENABLE = 1 << 28, 1 << 1, 1 << 0
FP_COMP_ENABLE = 1 << 0
_KEY_MASK = 0xFFFF << 16

_ARMV8M_PARTS = (0xD20, 0xD21, 0xD22)  # Cortex-M23, M33, M55: CPUID.PartNo
_ARMV6M_PARTS = (0xC20, 0xC60)  # Cortex-M0, M0+
_CORE_REGISTERS = (*(f"r{i}" for i in range(13)), "sp", "lr", "pc", "xpsr")
_DCRSR_MSP, _DCRSR_PSP, _DCRSR_FPSCR, _DCRSR_S0 = 17, 18, 33, 64


def _identification(base: int, component_class: int, part: int) -> dict[int, int]:
    """PIDR0-7 and CIDR0-3 of an Arm component (JEP106 continuation 4, identity 0x3B)."""
    pidr = (part & 0xFF, 0xB0 | part >> 8, 0x0B, 0x00)
    cidr = (0x0D, component_class << 4, 0x05, 0xB1)
    words = {base + 0xFD0: 4, base + 0xFD4: 0, base + 0xFD8: 0, base + 0xFDC: 0}
    words |= {base + 0xFE0 + 4 * i: value for i, value in enumerate(pidr)}
    return words | {base + 0xFF0 + 4 * i: value for i, value in enumerate(cidr)}


def _constant_words(part: int) -> dict[int, int]:
    """Read-only words of a core (CPUID.PARTNO): ROM table (SCS, FPB, end), identification."""
    words = dict.fromkeys(range(ROM_TABLE, ROM_TABLE + 64, 4), 0)
    words[ROM_TABLE] = (SCS - ROM_TABLE) & 0xFFFFF000 | 3
    words[ROM_TABLE + 4] = (FPB - ROM_TABLE) & 0xFFFFF000 | 3
    words |= _identification(ROM_TABLE, 0x1, 0x4C3)
    if part in _ARMV8M_PARTS:
        words |= _identification(FPB, 0xE, 0x00E) | _identification(SCS, 0x9, part)
        return words | {DEVARCH: 0x47702A04, DEVTYPE: 0}
    scs_part = 0x008 if part in _ARMV6M_PARTS else 0x00C
    return words | _identification(FPB, 0xE, 0x003) | _identification(SCS, 0xE, scs_part)


class SystemBus:
    """The memory bus of the emulated chip. Raises RspRefused where QEMU has nothing mapped."""

    def __init__(self, client: RspClient) -> None:
        self._client = client
        self._control = 0  # the C_ bits of DHCSR as last written
        self._demcr = self._dfsr = self._dcrdr = 0
        self._reset_seen = 0  # S_RESET_ST, cleared by reading DHCSR
        self._resumed = False  # the debugger resumed the core; a stop since then is a debug event
        self._fpb_enabled = 0
        self._breakpoints: dict[int, int] = {}  # FP_COMPn -> code address
        part = self._read_word(CPUID) >> 4 & 0xFFF
        self._constants = _constant_words(part)

    def read(self, address: int, size_bytes: int) -> bytes:
        if not self._hits_emulated(address, size_bytes):
            with self._machine_stopped():
                return self._client.read_memory(address, size_bytes)
        words = [self._read_register(a) for a in range(address, address + size_bytes, 4)]
        return struct.pack(f"<{len(words)}I", *words)

    def write(self, address: int, data: bytes) -> None:
        if not self._hits_emulated(address, len(data)):
            with self._machine_stopped():
                self._client.write_memory(address, data)
            return
        for offset, (value,) in enumerate(struct.iter_unpack("<I", data)):
            self._write_register(address + 4 * offset, value)

    def system_reset(self) -> None:
        """Reset the chip. It stays halted if DEMCR.VC_CORERESET is set, otherwise it runs."""
        self._client.halt()
        self._client.system_reset()
        self._reset_seen = DHCSR_S_RESET_ST
        if self._demcr & DEMCR_VC_CORERESET:
            self._dfsr |= DFSR_VCATCH
        else:
            self._client.resume()

    @contextmanager
    def _machine_stopped(self) -> Iterator[None]:
        """Stop the machine for a memory access, as QEMU requires, and resume it afterwards."""
        was_running = self._client.running()
        self._client.halt()
        try:
            yield
        finally:
            if was_running and self._client.stop_signal == SIGINT:  # by halt(), not a breakpoint
                self._client.resume()

    def _read_word(self, address: int) -> int:
        with self._machine_stopped():
            return int.from_bytes(self._client.read_memory(address, 4), "little")

    def _write_word(self, address: int, value: int) -> None:
        with self._machine_stopped():
            self._client.write_memory(address, value.to_bytes(4, "little"))

    # ---- registers

    def _hits_emulated(self, address: int, size_bytes: int) -> bool:
        if address < _PRIVATE_PERIPHERAL_BUS or address % 4 or size_bytes % 4:
            return False
        return any(self._is_emulated(a) for a in range(address, address + size_bytes, 4))

    def _is_emulated(self, address: int) -> bool:
        return (
            address in (AIRCR, DFSR, DHCSR, DCRSR, DCRDR, DEMCR)
            or FPB <= address < FP_COMP0 + 4 * BREAKPOINTS
            or address in self._constants
        )

    def _read_register(self, address: int) -> int:
        if address in self._constants:
            return self._constants[address]
        if address == DHCSR:
            return self._read_dhcsr()
        if address == FP_CTRL:
            return FP_CTRL_REV2 | BREAKPOINTS << 4 | self._fpb_enabled
        if address in self._breakpoints:
            return self._breakpoints[address] | FP_COMP_ENABLE
        if address in (DFSR, DCRDR, DEMCR):
            return {DFSR: self._dfsr, DCRDR: self._dcrdr, DEMCR: self._demcr}[address]
        if address == DCRSR or address < FP_COMP0 + 4 * BREAKPOINTS:
            return 0
        return self._read_word(address)  # AIRCR, and QEMU's own registers within a block

    def _read_dhcsr(self) -> int:
        was_running = self._client.running()
        value = self._control | DHCSR_S_REGRDY | self._reset_seen
        self._reset_seen = 0
        if was_running:
            return value | DHCSR_S_RETIRE_ST
        if self._resumed and self._client.stop_signal == SIGTRAP:
            self._dfsr |= DFSR_BKPT
        self._resumed = False
        return value | DHCSR_C_HALT | DHCSR_S_HALT

    def _write_register(self, address: int, value: int) -> None:
        if address == DHCSR and value & _KEY_MASK == DHCSR_KEY:
            self._write_dhcsr(value)
        elif address == DCRSR:
            self._transfer_core_register(value & 0x7F, write=bool(value & DCRSR_REGWNR))
        elif address == DCRDR:
            self._dcrdr = value
        elif address == DEMCR:
            self._demcr = value
        elif address == DFSR:
            self._dfsr &= ~value  # write one to clear
        elif address == AIRCR:
            self._write_aircr(value)
        elif address == FP_CTRL and value & FP_CTRL_KEY:
            self._fpb_enabled = value & FP_CTRL_ENABLE
        elif FP_COMP0 <= address < FP_COMP0 + 4 * BREAKPOINTS:
            self._write_comparator(address, value)
        elif not self._is_emulated(address):
            self._write_word(address, value)

    def _write_aircr(self, value: int) -> None:
        keyed = value & _KEY_MASK == AIRCR_KEY
        if keyed and value & (AIRCR_SYSRESETREQ | AIRCR_VECTRESET):
            self.system_reset()
        else:
            self._write_word(AIRCR, value)

    def _write_dhcsr(self, value: int) -> None:
        self._control = value & (DHCSR_C_DEBUGEN | DHCSR_C_MASKINTS)
        if value & DHCSR_C_DEBUGEN and value & DHCSR_C_HALT:
            self._client.halt()
        elif self._client.running():
            return
        elif value & DHCSR_C_DEBUGEN and value & DHCSR_C_STEP:
            self._client.step()
        else:
            self._resumed = True
            self._client.resume()

    def _write_comparator(self, address: int, value: int) -> None:
        with self._machine_stopped():
            if (old := self._breakpoints.pop(address, None)) is not None:
                self._client.clear_breakpoint(old)
            if value & FP_COMP_ENABLE:
                self._breakpoints[address] = value & ~FP_COMP_ENABLE
                self._client.set_breakpoint(self._breakpoints[address])

    def _transfer_core_register(self, selector: int, *, write: bool) -> None:
        """DCRSR: move a core register from or to DCRDR. Registers that QEMU 7.2 lacks read as 0."""
        name, shift = self._register_name(selector)
        if name not in self._client.registers:
            self._dcrdr = self._dcrdr if write else 0
            return
        value = self._client.read_register(name)
        if write:
            mask = 0xFFFFFFFF << shift
            self._client.write_register(name, value & ~mask | self._dcrdr << shift)
        else:
            self._dcrdr = value >> shift & 0xFFFFFFFF

    def _register_name(self, selector: int) -> tuple[str, int]:
        """gdb's register name for a DCRSR.REGSEL value, and the bit offset in that register."""
        if selector < len(_CORE_REGISTERS):
            return _CORE_REGISTERS[selector], 0
        if selector >= _DCRSR_S0:
            single = selector - _DCRSR_S0
            return f"d{single // 2}", 32 * (single % 2)
        if selector == _DCRSR_MSP and "msp" not in self._client.registers:
            return "sp", 0  # QEMU exposes only the stack pointer in use
        return {_DCRSR_MSP: "msp", _DCRSR_PSP: "psp", _DCRSR_FPSCR: "fpscr"}.get(selector, ""), 0
