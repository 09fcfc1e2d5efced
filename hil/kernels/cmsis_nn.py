"""Sources of CMSIS-NN: the 4.0.0 subset in firmware/third_party, or a folder chosen by the user.

The environment variable CMSIS_NN names that folder: an unpacked ARM::CMSIS-NN pack or a checkout
of github.com/ARM-software/CMSIS-NN; both have Include/ and Source/. The revision in
Include/arm_nnfunctions.h decides which functions can be called: it counts changes of the interface,
and a checkout has no other version. Packs also state their release.
"""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from compress.cache import content_hash
from compress.errors import UserError
from hil.files import data_folder

VARIABLE = "CMSIS_NN"

# Major revisions of arm_nnfunctions.h from arm_convolve_s8's `upscale_dims` on: release 7.0.0 is
# V.18.0.0; V.19 adds floating point and leaves the int8 kernels as they are.
SUPPORTED = (18, 19)
_SUPPORTED_TEXT = "V.18 and V.19 are supported (CMSIS-NN 7.0.0 and its successors)"

# Folders of the functions that generated programs call, and of those that these call in turn.
_PARTS = (
    "ConvolutionFunctions",
    "FullyConnectedFunctions",
    "NNSupportFunctions",
    "PoolingFunctions",
)
_HEADER = "Include/arm_nnfunctions.h"


@dataclass(frozen=True, slots=True)
class CmsisNn:
    """A CMSIS-NN to compile; `since_7` if it has the kernels and interfaces of 7.0.0, not 4.0.0."""

    version: str
    origin: str
    since_7: bool
    sources: tuple[Path, ...]
    includes: tuple[Path, ...]

    @property
    def headers(self) -> tuple[Path, ...]:
        """All headers that a source may include."""
        return tuple(path for folder in self.includes for path in sorted(folder.rglob("*.h")))

    def __str__(self) -> str:
        return f"CMSIS-NN {self.version} ({self.origin})"


def cmsis_nn() -> CmsisNn:
    """The CMSIS-NN that this process compiles.

    Raises UserError, naming the folder, if CMSIS_NN is set to one without a supported CMSIS-NN.
    """
    folder = os.environ.get(VARIABLE)
    return _in_folder(Path(os.path.expanduser(folder)).resolve()) if folder else _bundled()


@functools.cache
def _bundled() -> CmsisNn:
    """The subset in firmware/third_party, with the two headers of CMSIS-Core that 4.0.0 needs."""
    folder = data_folder("firmware") / "third_party"
    record = (folder / "PROVENANCE.md").read_text(encoding="utf-8")
    release = re.search(r"release version: (\S+),", record)
    return CmsisNn(
        version=release.group(1) if release else "of unknown version",
        origin="firmware/third_party",
        since_7=False,
        sources=tuple(sorted((folder / "cmsis_nn" / "Source").rglob("*.c"))),
        includes=(folder / "cmsis_nn" / "Include", folder / "cmsis_core" / "Include"),
    )


@functools.cache
def _in_folder(root: Path) -> CmsisNn:
    """The CMSIS-NN in `root`; since 4.1.0 it has a compiler header of its own, not CMSIS-Core's."""
    header = root / _HEADER
    if not header.is_file():
        raise UserError(
            f"{VARIABLE}={root}: no {_HEADER} there ({_contents(root)}); name the folder of an "
            "unpacked ARM::CMSIS-NN pack or of a checkout"
        )
    revision = _revision(header)
    major = re.match(r"V\.(\d+)\.", revision)
    if major is None or int(major.group(1)) not in SUPPORTED:
        raise UserError(
            f"{VARIABLE}={root}: {_HEADER} has revision {revision or 'unknown'}; "
            f"{_SUPPORTED_TEXT}; without {VARIABLE} {_bundled().version} is used"
        )
    sources = {part: _integer_sources(root / "Source" / part) for part in _PARTS}
    missing = [part for part, files in sources.items() if not files]
    if missing:
        raise UserError(f"{VARIABLE}={root}: no sources in Source/{missing[0]}: incomplete")
    whole = CmsisNn(
        version=_release(root) or f"of revision {revision}",
        origin=VARIABLE,
        since_7=True,
        sources=tuple(path for files in sources.values() for path in files),
        includes=(root / "Include",),
    )
    content = content_hash((), [*whole.sources, *whole.headers])
    return replace(whole, origin=f"{VARIABLE}, hash {content[:12]}")


def _integer_sources(folder: Path) -> list[Path]:
    """Sources of `folder` without later releases' floating point, which needs other flags."""
    return [path for path in sorted(folder.glob("*.c")) if not path.stem.endswith(("_f16", "_f32"))]


def _contents(folder: Path) -> str:
    if not folder.is_dir():
        return "no such folder"
    names = sorted(path.name for path in folder.iterdir())
    return f"it holds {', '.join(names[:6]) or 'nothing'}{', ...' if len(names) > 6 else ''}"


def _revision(header: Path) -> str:
    """The revision that the header states, such as "V.18.0.0"; empty if it states none."""
    text = header.read_text(encoding="utf-8", errors="replace")
    found = re.search(r"\$Revision:\s*(V\.[\d.]+)", text)
    return found.group(1) if found else ""


def _release(root: Path) -> str:
    """The newest release in a pack's description; empty for a checkout, which lists 0.0.0."""
    for description in sorted(root.glob("*.pdsc")):
        text = description.read_text(encoding="utf-8", errors="replace")
        found = re.search(r'<release\s[^>]*version="([^"]+)"', text)
        if found and not found.group(1).startswith("0.0.0"):
            return found.group(1)
    return ""
