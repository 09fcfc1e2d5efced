"""The entry point `pyocd.probe`: how pyOCD finds the QEMU probe and the emulated boards.

pyOCD loads its plug-ins in the middle of its own import. Whoever imports our probe first thereby
imports pyOCD, which comes here: so this module must import neither before it is called.
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
        """Finds probes: an emulator has to be asked for by address, `-u qemu:HOST:PORT`."""

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
