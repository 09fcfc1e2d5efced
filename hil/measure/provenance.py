"""Where a number comes from: read once per process from git, the tools and the packages."""

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

from hil.codegen.build import FLAGS, compiler_version
from hil.codegen.cmsis_nn import cmsis_nn
from hil.emulator.plugin import qemu_version
from hil.files import checkout
from hil.types import Board, Provenance

# What tells kinds of processors apart, as /proc/cpuinfo calls it on x86 and on Arm.
_KIND = ("cpu family", "model", "CPU implementer", "CPU part")
# By falling width, as torch and its libraries choose among them.
_VECTORS = ("amx_tile", "avx512f", "avx2", "avx", "sse4_2", "sve", "asimd")


def provenance(board: Board, seed: int) -> Provenance:
    """The provenance of what is measured on `board` by this checkout with `seed`."""
    return Provenance(
        git_sha=_git("rev-parse", "HEAD") or f"v{version('hil-compress')}",
        dirty=bool(_git("status", "--porcelain")),
        compiler=compiler_version(),
        flags=" ".join((*FLAGS, *board.compiler_flags)),
        kernels=str(cmsis_nn()),
        board=board.name,
        core=board.core,
        probe=f"pyocd {version('pyocd')}",
        emulator=qemu_version() if board.backend == "qemu" else "",
        python=platform.python_version(),
        torch=version("torch"),
        seed=seed,
        processor=processor(),
    )


@cache
def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The kind of processor, and its widest vectors, which decide how float sums are rounded.

    Of the first core that Linux describes; elsewhere the architecture alone.
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
    """Output of a git command in the checkout; empty where there is none, or no git."""
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
