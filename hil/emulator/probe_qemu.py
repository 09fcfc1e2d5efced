"""pyOCD debug probe for QEMU, named by its gdbstub: `qemu:fd:N`, `qemu:HOST:PORT`.

`fd:N` is a connected socket of this process, as `hil.emulator.process.Emulator` has it. A port is
of a QEMU that somebody else started: `pyocd … -u qemu:127.0.0.1:PORT -t <a board's pyocd_target>`.
The probe emulates an ADIv5 SW-DP with one AHB-AP on the emulated chip's bus
(`hil.emulator.debug_registers.SystemBus`, over QEMU's gdbstub). pyOCD thus discovers, resets, loads
and halts an emulated board with the same code as a real one. Registers: Arm Debug Interface
Architecture Specification ADIv5 (IHI 0031), B2.2 and C2.6.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from pyocd.core import exceptions
from pyocd.core.memory_interface import MemoryInterface
from pyocd.probe.debug_probe import DebugProbe

from hil.emulator.debug_registers import ROM_TABLE, SystemBus
from hil.emulator.rsp import RspClient, RspError, RspRefused

GDB_ANSWER_TIMEOUT_S = 5.0  # for the gdbstub's answer to one packet

DP_DPIDR, DP_CTRL_STAT, DP_SELECT, DP_RDBUFF = 0x0, 0x4, 0x8, 0xC
AP_CSW, AP_TAR, AP_DRW = 0x00, 0x04, 0x0C
AP_CFG, AP_BASE, AP_IDR = 0xF4, 0xF8, 0xFC

DPIDR_SW_DP = 0x2BA01477  # SW-DP, DPv1, designer Arm
IDR_AHB_AP = 0x24770011  # MEM-AP, AHB, designer Arm
POWER_UP_REQUESTS = 1 << 30 | 1 << 28  # CTRL/STAT: CSYSPWRUPREQ, CDBGPWRUPREQ
CSW_RESET = 0x03000042  # HPROT data and privileged, DeviceEn, 32 bit
CSW_READ_ONLY = 0x00800080  # SPIStatus, TrInProg
CSW_DEVICE_EN = 1 << 6
CSW_SIZE = 0x7
CSW_ADDR_INC = 0x30


@contextmanager
def _pyocd_errors(address: int, size_bytes: int) -> Iterator[None]:
    """Turn errors of the gdbstub into pyOCD's: a failed access, or a failed probe."""
    try:
        yield
    except RspRefused as error:
        raise exceptions.TransferFaultError(fault_address=address, length=size_bytes) from error
    except RspError as error:
        raise exceptions.ProbeError(str(error)) from error


def _deliver(value: Any, now: bool) -> Any:
    """The value, or for pyOCD's `now=False` a callable that returns it."""
    return value if now else lambda: value


def _connect(host: str, number: int) -> socket.socket:
    """A connection of the probe's own to the gdbstub. Raises OSError."""
    if host == "fd":
        return socket.socket(fileno=os.dup(number))
    connection = socket.create_connection((host, number), GDB_ANSWER_TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class QemuMemory(MemoryInterface):
    """pyOCD's accelerated memory interface: blocks instead of words through DRW."""

    def __init__(self, probe: QemuProbe) -> None:
        self._probe = probe

    def write_memory(self, addr: int, data: int, transfer_size: int = 32, **attrs: Any) -> None:
        self._probe.write_bus(addr, data.to_bytes(transfer_size // 8, "little"))

    def read_memory(  # type: ignore[override]
        self, addr: int, transfer_size: int = 32, now: bool = True, **attrs: Any
    ) -> int | Callable[[], int]:
        data = self._probe.read_bus(addr, transfer_size // 8)
        return _deliver(int.from_bytes(data, "little"), now)  # type: ignore[no-any-return]

    def write_memory_block32(self, addr: int, data: Sequence[int], **attrs: Any) -> None:
        self._probe.write_bus(addr, struct.pack(f"<{len(data)}I", *data))

    def read_memory_block32(self, addr: int, size: int, **attrs: Any) -> Sequence[int]:
        return list(struct.unpack(f"<{size}I", self._probe.read_bus(addr, 4 * size)))

    def write_memory_block8(self, addr: int, data: Sequence[int], **attrs: Any) -> None:
        self._probe.write_bus(addr, bytes(data))

    def read_memory_block8(self, addr: int, size: int, **attrs: Any) -> Sequence[int]:
        return list(self._probe.read_bus(addr, size))


class QemuProbe(DebugProbe):
    """A debug probe whose unique ID is the address of a gdbstub, `fd:number` or `host:port`."""

    vendor_name = "QEMU"
    product_name = "gdbstub"
    supported_wire_protocols = (DebugProbe.Protocol.DEFAULT, DebugProbe.Protocol.SWD)
    capabilities: ClassVar[set[DebugProbe.Capability]] = set()

    def __init__(self, address: str) -> None:
        super().__init__()
        host, _, number = address.rpartition(":")
        if not number.isdecimal():
            raise exceptions.ProbeError(f"QEMU probe {address!r}: expected qemu:<host>:<port>")
        self._address = (host or "127.0.0.1", int(number))
        self._protocol: DebugProbe.Protocol | None = None
        self._client: RspClient | None = None
        self._bus: SystemBus | None = None
        self._reset_asserted = False
        self._ctrl_stat = self._select = self._tar = 0
        self._csw = CSW_RESET

    @property
    def unique_id(self) -> str:
        return f"{self._address[0]}:{self._address[1]}"

    @property
    def wire_protocol(self) -> DebugProbe.Protocol | None:
        return self._protocol

    @property
    def is_open(self) -> bool:
        return self._bus is not None

    def open(self) -> None:
        try:
            self._client = RspClient(_connect(*self._address), GDB_ANSWER_TIMEOUT_S)
            self._bus = SystemBus(self._client)
        except (OSError, RspError) as error:
            self.close()
            raise exceptions.ProbeError(f"gdbstub at {self.unique_id}: {error}") from error

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = self._bus = None

    def connect(self, protocol: DebugProbe.Protocol | None = None) -> None:
        self._protocol = DebugProbe.Protocol.SWD

    def disconnect(self) -> None:
        self._protocol = None

    def set_clock(self, frequency: float) -> None:
        """Do nothing: there is no SWCLK."""

    def reset(self) -> None:
        with _pyocd_errors(0, 0):
            self._open_bus().system_reset()

    def assert_reset(self, asserted: bool) -> None:
        released = self._reset_asserted and not asserted
        self._reset_asserted = asserted
        if released:
            self.reset()

    def is_reset_asserted(self) -> bool:
        return self._reset_asserted

    # ---- the emulated chip's bus

    def _open_bus(self) -> SystemBus:
        if self._bus is None:
            raise exceptions.ProbeError(f"QEMU probe {self.unique_id} is not open")
        return self._bus

    def read_bus(self, address: int, size_bytes: int) -> bytes:
        with _pyocd_errors(address, size_bytes):
            return self._open_bus().read(address, size_bytes)

    def write_bus(self, address: int, data: bytes) -> None:
        with _pyocd_errors(address, len(data)):
            self._open_bus().write(address, data)

    def get_memory_interface_for_ap(self, ap_address: Any) -> MemoryInterface:
        return QemuMemory(self)

    # ---- debug port

    def read_dp(self, addr: int, now: bool = True) -> Any:
        value = 0
        if addr == DP_DPIDR:
            value = DPIDR_SW_DP
        elif addr == DP_CTRL_STAT and not self._select & 0xF:  # DPBANKSEL 0
            value = self._ctrl_stat | self._ctrl_stat << 1  # every request is acknowledged
        return _deliver(value, now)

    def write_dp(self, addr: int, data: int) -> None:
        if addr == DP_SELECT:
            self._select = data
        elif addr == DP_CTRL_STAT and not self._select & 0xF:
            self._ctrl_stat = data & POWER_UP_REQUESTS

    # ---- access port: the AHB-AP is APSEL 0, all others are absent (read as 0)

    def read_ap(self, addr: int, now: bool = True) -> Any:
        return _deliver(self._read_ap(addr), now)

    def _read_ap(self, addr: int) -> int:
        register = addr & 0xFC
        if addr >> 24:
            return 0
        if register == AP_DRW:
            address, size_bytes = self._next_transfer()
            data = int.from_bytes(self.read_bus(address, size_bytes), "little")
            return data << 8 * (address % 4)  # byte lanes
        values = {AP_CSW: self._csw, AP_TAR: self._tar, AP_BASE: ROM_TABLE | 3, AP_IDR: IDR_AHB_AP}
        return values.get(register, 0)

    def write_ap(self, addr: int, data: int) -> None:
        register = addr & 0xFC
        if addr >> 24:
            return
        if register == AP_CSW:
            self._csw = data & ~CSW_READ_ONLY | CSW_DEVICE_EN
        elif register == AP_TAR:
            self._tar = data
        elif register == AP_DRW:
            address, size_bytes = self._next_transfer()
            value = data >> 8 * (address % 4) & (1 << 8 * size_bytes) - 1
            self.write_bus(address, value.to_bytes(size_bytes, "little"))

    def _next_transfer(self) -> tuple[int, int]:
        """Address and size of a DRW access; advances TAR if CSW.AddrInc is set."""
        address, size_bytes = self._tar, 1 << (self._csw & CSW_SIZE)
        if self._csw & CSW_ADDR_INC:
            self._tar += size_bytes
        return address, size_bytes

    def read_ap_multiple(self, addr: int, count: int = 1, now: bool = True) -> Any:
        return _deliver([self._read_ap(addr) for _ in range(count)], now)

    def write_ap_multiple(self, addr: int, values: Sequence[int]) -> None:
        for value in values:
            self.write_ap(addr, value)
