"""The provenance of measurements: versions of the sources, tools, packages and the processor."""

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

from hil.codegen.build import FLAGS, compiler_version
from hil.emulator.plugin import qemu_version
from hil.files import checkout
from hil.kernels.cmsis_nn import cmsis_nn
from hil.types import Board, KernelSet, Memory, Provenance

# Fields of /proc/cpuinfo that identify a kind of processor, on x86 and on Arm.
_KIND = ("cpu family", "model", "CPU implementer", "CPU part")
# Vector extensions by decreasing width, in the order in which torch's libraries choose one.
_VECTORS = ("amx_tile", "avx512f", "avx2", "avx", "sse4_2", "sve", "asimd")


def provenance(
    board: Board, seed: int, saves: Memory = "flash", kernel_set: KernelSet = "tuned"
) -> Provenance:
    """The provenance of a measurement on `board` by this checkout or wheel, with `seed`.

    `saves` is the memory that stored weights save, `kernel_set` whose kernels may run.
    """
    return Provenance(
        git_sha=_git("rev-parse", "HEAD") or f"v{version('hil-compress')}",
        dirty=bool(_git("status", "--porcelain")),
        compiler=compiler_version(),
        flags=" ".join((*FLAGS, *board.compiler_flags)),
        kernels=f"tuned and {cmsis_nn()}" if kernel_set == "tuned" else str(cmsis_nn()),
        board=board.name,
        core=board.core,
        probe=f"pyocd {version('pyocd')}",
        emulator=qemu_version() if board.backend == "qemu" else "",
        python=platform.python_version(),
        torch=version("torch"),
        seed=seed,
        processor=processor(),
        saves=saves,
    )


@cache
def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The kind of processor and its widest vector extension, which decide how float sums round.

    It is that of the first core in `cpuinfo`; without such a file, the architecture.
    """
    try:
        lines = cpuinfo.read_text(errors="replace").split("\n\n")[0].splitlines()
    except OSError:
        return platform.machine()
    told = {
        name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    features = (told.get("flags") or told.get("Features") or "").split()
    kind = [f"{name} {told[name]}" for name in _KIND if name in told]
    vectors = [name for name in _VECTORS if name in features][:1]
    return ", ".join([told.get("model name", platform.machine()), *kind, *vectors])


def _git(*arguments: str) -> str:
    """The output of a git command in the checkout; '' without a checkout or git."""
    root = checkout()
    if root is None:  # a repository around an installed package is somebody else's
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
