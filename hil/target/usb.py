"""Linux permissions of this user for debug probes and serial ports on USB."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# USB vendors whose devices are debug probes: ST-Link, DAPLink (Arm), J-Link, MCU-Link (NXP).
PROBE_VENDORS = {"0483": "ST-Link", "0d28": "DAPLink", "1366": "J-Link", "1fc9": "MCU-Link"}
SYS_DEVICES = Path("/sys/bus/usb/devices")
BUS = Path("/dev/bus/usb")
_GROUP = "dialout"
_HUB = "09"  # the class of a USB device that is a hub, as a host's root hubs are
_RULES = "/etc/udev/rules.d/50-hil-compress.rules"


def has_devices(sys_devices: Path = SYS_DEVICES, bus: Path = BUS) -> bool:
    """False if no device but hubs is on USB; True also where that cannot be told (not Linux)."""
    if not sys.platform.startswith("linux"):
        return True
    kinds = [_text(path) for path in sys_devices.glob("*/bDeviceClass")]
    return any(kind != _HUB for kind in kinds) or (not kinds and any(bus.glob("*/*")))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""  # unplugged just now


def inaccessible_probes(sys_devices: Path = SYS_DEVICES, bus: Path = BUS) -> list[Path]:
    """Device nodes of connected debug probes that this user may not open."""
    closed = []
    for vendor in sorted(sys_devices.glob("*/idVendor")):
        if vendor.read_text().strip() in PROBE_VENDORS:
            numbers = [int((vendor.parent / name).read_text()) for name in ("busnum", "devnum")]
            node = bus / f"{numbers[0]:03d}" / f"{numbers[1]:03d}"
            if not os.access(node, os.R_OK | os.W_OK):
                closed.append(node)
    return closed


def udev_command() -> str:
    """The shell command that lets the group of serial ports use debug probes, too."""
    rules = "\\n".join(
        f'SUBSYSTEM=="usb", ATTR{{idVendor}}=="{vendor}", MODE="0660", GROUP="{_GROUP}"'
        for vendor in PROBE_VENDORS
    )
    return (
        f"printf '{rules}\\n' | sudo tee {_RULES} && sudo udevadm control --reload && "
        f"sudo udevadm trigger; {group_command()}"
    )


def group_command() -> str:
    """The shell command that adds this user to the group of serial ports."""
    return f"sudo usermod -aG {_GROUP} $USER (then log in again)"


def port_problem(url: str) -> tuple[str, str]:
    """The problem of a serial port and the command that fixes it; ('', '') if there is none.

    Ports of other computers are not checked: opening one shows the problem.
    """
    if "://" in url:
        return "", ""
    if not Path(url).exists():
        return f"port {url} does not exist", "plug the board in; then: ls -l /dev/serial/by-id"
    if not os.access(url, os.R_OK | os.W_OK):
        return f"no permission for port {url}", group_command()
    return "", ""
