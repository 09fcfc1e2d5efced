"""The entry point `pyocd.probe`, through which pyOCD finds the QEMU probe and emulated boards.

pyOCD loads its plug-ins in the middle of its own import, and importing the QEMU probe imports
pyOCD, which then loads this module: it must import neither before it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyocd.core.plugin import Plugin
    from pyocd.probe.debug_probe import DebugProbe


def qemu() -> Plugin:
    """The plug-in object."""
    from pyocd.core.plugin import Plugin
    from pyocd.probe.debug_probe import DebugProbe

    class QemuProbes(DebugProbe):
        """Finds an emulator by its address (`probe_qemu.py`); never lists any."""

        @classmethod
        def get_all_connected_probes(
            cls, unique_id: str | None = None, is_explicit: bool = False
        ) -> Sequence[DebugProbe]:
            return [_probe(unique_id)] if is_explicit and unique_id else []

        @classmethod
        def get_probe_with_id(cls, unique_id: str, is_explicit: bool = False) -> DebugProbe | None:
            return _probe(unique_id) if is_explicit else None

    class QemuPlugin(Plugin):
        name = "qemu"
        description = "QEMU's gdbstub as a debug probe"

        def load(self) -> type[DebugProbe]:
            return QemuProbes

    return QemuPlugin()


def _probe(address: str) -> DebugProbe:
    from hil.emulator.probe_qemu import QemuProbe
    from hil.emulator.pyocd_targets import register_boards

    register_boards()
    return QemuProbe(address)
