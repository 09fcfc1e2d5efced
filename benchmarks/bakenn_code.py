"""Code that the compiler bakenn (PyPI, 1.0.0) generates from a .tflite file, on a board of ours.

bakenn is no dependency: `pip install --target FOLDER bakenn==1.0.0`, then FOLDER in PYTHONPATH.
It takes fixed shapes only: the -1 of a batch in the file's shape signature is replaced by 1.
"""

import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import tflite

from compress.types import Graph, Samples
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.measure.measure import BoardRunner, measure
from hil.types import Board, Measurement

_MODEL = """#include <string.h>
#include "model.h"
#include "bknn_{name}.h"

static int8_t arena[MODEL_ARENA_BYTES] __attribute__((aligned(16), section(".arena")));
#define INPUT (arena + BKNN_{upper}_ARENA_SIZE)
#define OUTPUT (INPUT + MODEL_INPUT_BYTES)
const model_score *const model_scores = (const model_score *)OUTPUT;
void model_set_inputs(const int8_t *from) {{ memcpy(INPUT, from, MODEL_INPUT_BYTES); }}
void model_get_outputs(int8_t *to) {{ memcpy(to, OUTPUT, MODEL_OUTPUT_BYTES); }}
void model_reset(void) {{}}
void model_run(void) {{ bknn_{name}_infer((uint8_t *)arena, INPUT, OUTPUT); }}
"""


def measured(file: Path, graph: Graph, board: Board, runner: BoardRunner, samples: Samples) -> Any:
    """The measurement of bakenn's code, its outputs equal to the reference; or why there is none.

    A text: bakenn is not installed, or its error. Its flash is that of the whole image; what is
    counted as arena is bakenn's, its input and its output, which ours has in its arena, too.
    """
    try:
        import bakenn
    except ImportError:
        return "not installed"
    name = "network"
    with tempfile.TemporaryDirectory(prefix="bakenn-") as folder:
        fixed = Path(folder) / "fixed.tflite"
        fixed.write_bytes(_with_fixed_shapes(file.read_bytes()))
        try:
            bakenn.compile_tflite(str(fixed), f"{folder}/out", name=name, target="cortex-m4")
        except bakenn.BakeNNError as error:
            return str(error)
        made = {p.name: p.read_text(encoding="utf-8") for p in Path(f"{folder}/out").glob("*.[ch]")}
        return _run(made, name, graph, board, runner, samples, Path(folder))


def _with_fixed_shapes(data: bytes) -> bytes:
    changed = bytearray(data)
    graph = tflite.Model.GetRootAs(changed, 0).Subgraphs(0)
    for i in range(graph.TensorsLength()):
        signature = graph.Tensors(i).ShapeSignatureAsNumpy()
        if not isinstance(signature, int):  # 0: there is none
            signature[signature == -1] = 1
    return bytes(changed)


def _run(
    made: dict[str, str],
    name: str,
    graph: Graph,
    board: Board,
    runner: BoardRunner,
    samples: Samples,
    folder: Path,
) -> Measurement:
    """Build the code in our harness and measure it."""
    plan = make_plan(graph, board)
    program = render(plan, board)
    arena = re.search(r"ARENA_SIZE (\d+)u", made[f"bknn_{name}.h"])
    assert arena is not None
    arena_bytes = int(arena[1]) + graph.input_tensor.size_bytes + graph.output_tensor.size_bytes
    header = re.sub(r"(MODEL_ARENA_BYTES) \d+", rf"\1 {arena_bytes}", program.files["model.h"])
    files = {
        **{f"custom_{n}" if n.endswith(".c") else n: text for n, text in made.items()},
        "link.ld": program.files["link.ld"],
        "model.h": header,
        "model.c": _MODEL.format(name=name, upper=name.upper()),
        "weights.c": '#include "model.h"\n',
    }
    image = build(replace(program, files=files), board, folder / "image")
    return runner.run(lambda target: measure(target, image, plan, samples))
