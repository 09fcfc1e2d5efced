"""No public name of a package has two homes: what a name means does not depend on its import."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from helpers.checkout import ROOT

# Names by which every module of a folder answers to the same caller.
PROTOCOLS = {
    "compress/datasets": {
        *("LAYOUT", "CLASSES", "SHAPE", "SAMPLE_RATE_HZ", "CLIP_SAMPLES", "CHANNELS", "SPLITS"),
        *("KEYWORDS", "VARIABLE", "Bytes", "Clip", "Recording", "find_files", "read_images"),
    },
    # Handlers of operators, registered by the names of what they read.
    "compress/model_files": {"prelu", "split", "transposed_convolution"},
    "compress/movement": {"FAMILY"},
    "compress/operators": {"FAMILY"},
    "compress/recurrent": {"FAMILY"},
    "compress/tasks": {
        *("TASK", "load", "net", "make", "WINDOW", "VALUES", "FRAMES", "CHANNELS", "windows"),
        *("mel", "mel_filters", "FloatArray", "SAMPLE_RATE_HZ", "STRIDE_SAMPLES"),
        *("WINDOW_SAMPLES", "SPLITS", "front_end"),
    },
    "hil/cli": {"register"},
    "hil/kernels": {"OPERATORS"},
    "hil/recurrent": {"OPERATORS"},
    # What the registry of tuned kernels reads of each.
    "hil/tuned": {"KERNELS"},
    "hil/tuned_depthwise": {"KERNELS"},
    "hil/tuned_mve": {"KERNELS"},
    "hil/tuned_scalar": {"KERNEL", "NAME"},
    "hil/tuned_short": {"KERNELS"},
}


def public_names(path: Path) -> set[str]:
    """Names that a module defines at its top level and that do not start with an underscore."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Assign():
                names |= {one.id for one in node.targets if isinstance(one, ast.Name)}
            case ast.AnnAssign(target=ast.Name() as target):
                names.add(target.id)
            case _:
                pass
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("package", ["compress", "hil"])
def test_a_public_name_has_one_home(package: str) -> None:
    homes = defaultdict(list)
    for path in sorted((ROOT / package).rglob("*.py")):
        folder = path.parent.relative_to(ROOT).as_posix()
        for name in public_names(path) - PROTOCOLS.get(folder, set()):
            homes[name].append(path.relative_to(ROOT).as_posix())
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_names_of_every_kind_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("A = 1\nb: int = 2\n_c = 3\n\ndef d(): ...\nclass E: ...\n")
    assert public_names(path) == {"A", "b", "d", "E"}
