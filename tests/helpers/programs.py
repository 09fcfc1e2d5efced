"""Hand-written programs and a fake CMSIS-NN, for tests of the firmware and the build."""

from __future__ import annotations

import hashlib
from pathlib import Path

import jinja2

from helpers.checkout import ROOT
from hil.target.target import Layout, Target
from hil.types import Board, Image, Program, RunReply

TEMPLATES = ROOT / "firmware" / "templates"
# Adds 1 to four int8 inputs at the arena's start (layer 0, to its middle) and 1 again (to its end).
PLUS_TWO = """\
    for (int i = 0; i < 4; i++)
        model_arena[4 + i] = (int8_t)(model_arena[i] + 1);
    __asm volatile(".global model_layer_end_0\\nmodel_layer_end_0:" ::: "memory");
    for (int i = 0; i < 4; i++)
        model_arena[12 + i] = (int8_t)(model_arena[4 + i] + 1);
"""


def linker_script(board: Board) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("link.ld.j2").render(board=board)


def program(
    board: Board,
    body: str = "",
    *,
    declarations: str = "",
    weights: str = "",
    input_bytes: int = 4,
    output_bytes: int = 4,
    arena_bytes: int = 16,
) -> Program:
    """A program whose model_run is `body`; input at the arena's start, output at its end."""
    model_h = f"""\
#ifndef MODEL_H
#define MODEL_H
#include <stdint.h>
#define MODEL_ID 0x12345678u
#define MODEL_INPUT_BYTES {input_bytes}
#define MODEL_OUTPUT_BYTES {output_bytes}
#define MODEL_ARENA_BYTES {arena_bytes}
#define MODEL_SCORES {output_bytes}
typedef int8_t model_score;
extern const model_score *const model_scores;
void model_set_inputs(const int8_t *from);
void model_get_outputs(int8_t *to);
void model_reset(void);
void model_run(void);
#endif
"""
    model_c = f"""\
#include "model.h"
#include <string.h>
{declarations}
static int8_t model_arena[MODEL_ARENA_BYTES] __attribute__((aligned(16), section(".arena")));
int8_t *const model_input = model_arena;
const int8_t *const model_output = model_arena + {arena_bytes - output_bytes};
const model_score *const model_scores = model_output;
void model_set_inputs(const int8_t *from)
{{
    memcpy(model_input, from, MODEL_INPUT_BYTES);
}}
void model_get_outputs(int8_t *to)
{{
    memcpy(to, model_output, MODEL_OUTPUT_BYTES);
}}
void model_reset(void)
{{
}}
void model_run(void)
{{
{body}
}}
"""
    weights_c = f"#include <stdint.h>\n{weights}\ntypedef int file_is_not_empty;\n"
    files = {
        "model.h": model_h,
        "model.c": model_c,
        "weights.c": weights_c,
        "link.ld": linker_script(board),
    }
    sha256 = hashlib.sha256("".join(files.values()).encode()).hexdigest()
    return Program(files, sha256, 0x12345678)


def run_once(target: Target, image: Image, timeout_s: float = 20.0) -> RunReply:
    """Load a program and run one sample of arbitrary data."""
    target.load(image)
    return target.run(Layout.within(image.staging, 1, 4, 4).request, timeout_s)


PARTS = (
    "ConvolutionFunctions",
    "FullyConnectedFunctions",
    "NNSupportFunctions",
    "PoolingFunctions",
)


def write_pack(folder: Path, *, revision: str = "V.18.0.0", release: str = "7.0.0") -> Path:
    """Write a fake CMSIS-NN, one useless function per part; `release` 0.0.0 is a git checkout's."""
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
