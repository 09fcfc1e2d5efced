"""Checks of everything that measuring needs, each with the command that fixes it.

Nothing here installs or repairs anything. The tools are asked at the same time, and what takes long
to import (pyOCD, NumPy, the oracles) is imported by the check that needs it: the first answers are
there at once.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points, requires, version
from pathlib import Path

from compress.cache import cache_folder
from compress.errors import HilError
from hil import formatting
from hil.codegen.build import compiler_version
from hil.kernels.cmsis_nn import VARIABLE, cmsis_nn
from hil.measure import emulator_checks
from hil.measure.check import APT, Check, attempt
from hil.target import bench_file
from hil.target.bench_lock import quarantine_reason, state_folder
from hil.target.usb import has_devices, inaccessible_probes, port_problem, udev_command
from hil.types import Board, Measurement

_GCC = "arm-none-eabi-gcc"
_TIMEOUT_S = 60
_MIN_FREE_BYTES = 200 << 20


def examine(board: Board | None) -> Iterator[Check]:
    """Yield every check for `board` (None: for all emulated boards), in a fixed order.

    Those of tools are made at the same time, then those with slow imports, and those of a board one
    after the other.
    """
    emulated = board is None or board.backend == "qemu"
    slow = (_oracle, _probes_at_all) if board is None else (_oracle,)
    all_ok = True
    for looks in (_TOOLS + (_EMULATOR if emulated else ()), slow):
        for check in _at_once(looks):
            all_ok &= check.ok or not check.needed
            yield check
    if board is None:
        return
    for check in (_build(board), *(() if emulated else _examine_bench(board))):
        all_ok &= check.ok
        yield check
    if all_ok:
        yield attempt("smoke test", lambda: _smoke(board), _again(board))
    else:
        yield Check("smoke test", False, "not tried: fix the above first")


def _at_once(looks: Sequence[Callable[[], Check]]) -> Iterator[Check]:
    """Make all of these checks at the same time; yield them in their order."""
    with ThreadPoolExecutor(len(looks)) as threads:
        for asked in [threads.submit(look) for look in looks]:
            yield asked.result()


# ---- tools


def _tool(name: str) -> str:
    """The path of a program in this Python environment, as the user has to type it."""
    path = Path(sys.executable).parent / name
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _compiler() -> Check:
    return attempt("cross compiler", compiler_version, f"{APT} gcc-arm-none-eabi")


def _newlib() -> Check:
    mend = f"{APT} libnewlib-arm-none-eabi"
    if shutil.which(_GCC) is None:
        return Check("newlib-nano", False, "not checked: there is no cross compiler", mend)
    command = [_GCC, "-mcpu=cortex-m3", "-mthumb", "-print-file-name=libc_nano.a"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
    path = Path(done.stdout.strip())
    if not path.is_absolute():  # gcc prints the bare name of a file that it does not find
        return Check("newlib-nano", False, f"{_GCC} has no {path}", mend)
    return Check("newlib-nano", True, str(path.resolve()))


def _kernels() -> Check:
    mend = f"unset {VARIABLE}, or set it to the folder of a CMSIS-NN of at least 7.0.0"
    return attempt("kernels", lambda: str(cmsis_nn()), mend)


def _pyocd() -> Check:
    kinds = sorted(one.name for one in entry_points(group="pyocd.probe"))
    found = f"pyOCD {version('pyocd')}, probes: {', '.join(kinds)}"
    if "qemu" in kinds:
        return Check("pyOCD", True, found)
    return Check(
        "pyOCD", False, f"{found}; the QEMU probe is not registered", f"{_tool('pip')} install -e ."
    )


def _oracle() -> Check:
    """The check that the oracles work, not only that they are installed."""
    from compress.tflite.exporter import export_tflite
    from hil.measure.oracle_check import check_oracle
    from hil.measure.smoke_network import smoke_graph, smoke_samples

    def look() -> str:
        graph = smoke_graph()
        judged = check_oracle(export_tflite(graph), smoke_samples(graph))
        reasons = "; ".join(judged.remarks)
        if not judged.oracles:
            raise HilError(reasons)
        words = f"{' and '.join(judged.oracles)} agree{'s' * (len(judged.oracles) == 1)}"
        return f"{words} with the reference" + (f" ({reasons})" if reasons else "")

    mend = (
        f"{_tool('pip')} install '{_tflite_micro()}' (without it only this cross-check is left out)"
    )
    return attempt("oracle", look, mend, needed=False)


def _tflite_micro() -> str:
    """The requirement of tflite-micro, as the package states it."""
    stated = (text.partition(";")[0].strip() for text in requires("hil-compress") or ())
    return next((text for text in stated if text.startswith("tflite-micro")), "tflite-micro")


def _folders() -> Check:
    mend = "free some space, or name other folders: XDG_CACHE_HOME, XDG_STATE_HOME"
    return attempt("caches", _writable_folders, mend)


def _writable_folders() -> str:
    folders = (cache_folder(), state_folder())
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
        free_bytes = shutil.disk_usage(folder).free
        if free_bytes < _MIN_FREE_BYTES:
            raise HilError(f"{folder}: only {free_bytes >> 20} MiB free")
    return ", ".join(map(str, folders))


_TOOLS = (_compiler, _newlib, _kernels, _pyocd, _folders)
_EMULATOR = (emulator_checks.emulator, emulator_checks.host_compiler, emulator_checks.plugin)


# ---- boards


def _probes_at_all() -> Check:
    def look() -> str:
        if not has_devices():  # without pyOCD, whose import takes a second
            return "none"
        probes = bench_file.connected_probes()
        return ", ".join(f"{p.title} {p.id} ({p.board or 'any board'})" for p in probes) or "none"

    return attempt("debug probes", look, udev_command(), needed=False)


def _build(board: Board) -> Check:
    def look() -> str:
        from hil.measure import smoke

        flash = smoke.smoke_build(board)
        return f"{flash.total} bytes of flash, {flash.parts['harness']} of them harness"

    return attempt("firmware", look, f"hil doctor --board {board.name} (after the above)")


def _again(board: Board) -> str:
    if board.backend == "qemu":
        return f"try again: hil doctor --board {board.name}"
    return (
        "check the board's cable, power and jumpers; no other program may use its port "
        f"(lsof); then: hil doctor --board {board.name} --release"
    )


def _examine_bench(board: Board) -> Iterator[Check]:
    yield _target(board)
    closed = inaccessible_probes()
    if closed:
        found = f"no permission for {', '.join(map(str, closed))}"
        yield Check("USB permission", False, found, udev_command())
    try:
        benches = bench_file.find_benches(board)
    except HilError as error:
        mend = f"plug it in; then: {_tool('pyocd')} list"
        yield Check("probe and port", False, str(error), mend)
        return
    for bench in benches:
        found = f"probe {bench.probe_id}, port {bench.port_url}"
        problem, mend = port_problem(bench.port_url)
        yield Check("probe and port", not problem, problem or found, mend)
        refusal = quarantine_reason(bench)
        release = f"hil doctor --board {board.name} --release"
        yield Check("quarantine", not refusal, refusal or "not quarantined", release)


def _target(board: Board) -> Check:
    """The check that pyOCD has the chip's flash algorithm, built in or from a pack."""
    from pyocd.core import exceptions
    from pyocd.target import TARGET
    from pyocd.target.pack.pack_target import ManagedPacks

    name = board.pyocd_target
    pyocd = _tool("pyocd")
    mend = f"{pyocd} pack update && {pyocd} pack install {board.pack or name}"
    if name.lower() in TARGET:
        return Check("flash algorithm", True, f"{name}, built into pyOCD")
    try:
        packed = {device.part_number.lower() for device in ManagedPacks.get_installed_targets()}
    except (OSError, exceptions.Error) as error:
        return Check("flash algorithm", False, f"installed packs: {error}", mend)
    if name.lower() in packed:
        return Check("flash algorithm", True, f"{name}, from an installed pack")
    return Check("flash algorithm", False, f"pyOCD does not know {name} without its pack", mend)


def _smoke(board: Board) -> str:
    from hil.measure import smoke

    measured: Measurement = smoke.smoke_test(board)
    return (
        f"HELLO, {measured.total} inferences bit-equal to the reference, "
        f"{formatting.short_count(measured.count)} {formatting.COUNT_NOUNS[measured.counter]} each"
    )
