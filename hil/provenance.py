"""Where a number comes from: read once per process from git, the tools and the packages."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from hil.build import FLAGS, compiler_version
from hil.cmsis_nn import cmsis_nn
from hil.emulator import qemu_version
from hil.types import Board, Provenance

_ROOT = Path(__file__).resolve().parent.parent


def provenance(board: Board, seed: int) -> Provenance:
    """The provenance of what is measured on `board` by this checkout with `seed`."""
    return Provenance(
        git_sha=_git("rev-parse", "HEAD"),
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
    )


def _git(*arguments: str) -> str:
    """Output of a git command in the checkout; empty where this is none."""
    try:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), *arguments],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
