"""The files by which build systems know a library: one folder is a project of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hil.codegen.render import template

# As the firmware that is measured is compiled (`hil.codegen.build.LIBRARY_FLAGS`).
LIBRARY_FLAGS = "-O2 -ffunction-sections -fdata-sections -fno-common"


def layout_files(sources: Iterable[str], context: Mapping[str, Any]) -> dict[str, str]:
    """The files for CMake, Make, Arduino, Zephyr and CMSIS-Pack, by path in the folder.

    `sources` are the paths of what is compiled; `context` is that of the interface.
    """
    paths = sorted(sources)
    prefix = context["prefix"]
    whole = {
        **context,
        "c_files": [path for path in paths if path.endswith(".c")],
        "assembly": [path for path in paths if path.endswith(".S")],
        "flags": LIBRARY_FLAGS,
    }
    names = {
        "CMakeLists.txt": "CMakeLists.txt",
        f"{prefix}.mk": "make.mk",
        "library.properties": "library.properties",
        "examples/SelfTest/SelfTest.ino": "SelfTest.ino",
        "zephyr/module.yml": "module.yml",
        "zephyr/Kconfig": "Kconfig",
        "zephyr/CMakeLists.txt": "zephyr.cmake",
        f"hil-compress.{prefix}.pdsc": "pack.pdsc",
        "selftest/main.c": "main.c",
    }
    return {path: template(f"library/{name}").render(whole) for path, name in names.items()}
