"""A folder that looks like an unpacked CMSIS-NN and holds a single useless function per part."""

from __future__ import annotations

from pathlib import Path

PARTS = (
    "ConvolutionFunctions",
    "FullyConnectedFunctions",
    "NNSupportFunctions",
    "PoolingFunctions",
)


def write_pack(folder: Path, *, revision: str = "V.18.0.0", release: str = "7.0.0") -> Path:
    """Fill `folder` and return it; a `release` of 0.0.0 makes it look like a checkout."""
    (folder / "Include" / "Internal").mkdir(parents=True)
    (folder / "Include" / "Internal" / "arm_nn_compiler.h").write_text("#define ONE 1\n")
    (folder / "Include" / "arm_nnfunctions.h").write_text(
        f"/*\n * Title:        arm_nnfunctions.h\n * $Revision:    {revision}\n */\n"
        '#include "Internal/arm_nn_compiler.h"\n'
    )
    for part in PARTS:
        (folder / "Source" / part).mkdir(parents=True)
        name = part.lower()
        (folder / "Source" / part / f"{name}.c").write_text(
            f'#include "arm_nnfunctions.h"\nint {name}(void);\nint {name}(void) {{ return ONE; }}\n'
        )
    (folder / "ARM.CMSIS-NN.pdsc").write_text(
        '<package schemaVersion="1.7.36">\n  <releases>\n'
        f'    <release version="{release}" date="2024-11-11">words</release>\n'
        '    <release version="1.0.0" date="2020-01-01">older</release>\n'
        "  </releases>\n</package>\n"
    )
    return folder
