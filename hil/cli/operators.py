"""`hil operators`: what runs of a .tflite file, made from the table of operators."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from compress.operator_interface.operator import Family
from compress.operators.registry import FAMILIES
from compress.tflite.fold_functions import FOLDED
from compress.tflite_records.file import KIND_NAMES
from compress.tflite_records.uint8 import UINT8_OPERATORS
from hil.cli.options import JsonFlag

_TITLE = """# Operators

Made by `hil operators --markdown`. A `.tflite` file whose operators are in this table runs on
int8, bit for bit as TensorFlow Lite's reference kernels compute it; those marked so run on int16
activations, too (16x8). What a file has besides is refused in one line. Activations have batch 1,
weights and tables are constants.

| TensorFlow Lite | imported as | int16 | limits |
|---|---|---|---|
"""
_REST = """
Evaluated where all inputs are constants, as in shapes that are computed from a dynamic batch:
{folded}.

VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE and CALL_ONCE become states that last from one
inference to the next ([states](states.md)); WHILE and IF are refused. Conversions from and to
float32 and uint8 at the edges of a network are left out: the graph is what lies between them, and
its name says so. So are operators without weights that compute no int8 or int16, and what follows
them, at the end (ARG_MAX, LOG_SOFTMAX, a QUANTIZE to int32, TFLite_Detection_PostProcess) and
before the first QUANTIZE: the graph gives the last integers, or takes the first ones.

A model in TensorFlow 1's uint8 quantization runs as int8 throughout: values and zero points less
128, and weights with a zero point. Parts of a concatenation may have scales of their own there.
Its operators are of these:
{uint8}.

Where an oracle lacks an operator, or computes it otherwise, the result names it; the table of
such cases is in `compress/tflite/oracle_gaps.py`. How an operator is added is in
[CONTRIBUTING.md](../CONTRIBUTING.md).
"""


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One family: the stored operators, what they become, which of these take int16, limits."""

    tflite: tuple[str, ...]
    operators: tuple[str, ...]
    int16: tuple[str, ...]
    limits: str


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def operators(
        as_json: JsonFlag = False,
        markdown: Annotated[
            bool, typer.Option("--markdown", help="Print the page docs/operators.md.")
        ] = False,
    ) -> None:
        """List the operators of .tflite files that run, with their types and limits."""
        rows = operator_rows()
        if as_json:
            print(json.dumps({"operators": [asdict(row) for row in rows]}))
        elif markdown:
            print(operators_page(), end="")
        else:
            Console().print(_table(rows))


def operator_rows() -> list[OperatorRow]:
    """The rows of all families that are imported from files."""
    return [_row(family) for family in FAMILIES if any(b.build for b in family.builtins)]


def operators_page() -> str:
    """The text of docs/operators.md."""
    lines = [
        f"| {', '.join(row.tflite)} | {', '.join(row.operators)} | {_int16(row)} | {row.limits} |\n"
        for row in operator_rows()
    ]
    folded = ", ".join(sorted(KIND_NAMES[code] for code in FOLDED))
    uint8 = ", ".join(sorted(KIND_NAMES[code] for code in UINT8_OPERATORS))
    return _TITLE + "".join(lines) + _REST.format(folded=folded, uint8=uint8)


def _row(family: Family) -> OperatorRow:
    return OperatorRow(
        tflite=tuple(KIND_NAMES[b.code] for b in family.builtins if b.build),
        operators=tuple(operator.op.__name__ for operator in family.operators),
        int16=tuple(o.op.__name__ for o in family.operators if o.on_int16),
        limits=family.limits,
    )


def _int16(row: OperatorRow) -> str:
    return "yes" if row.int16 == row.operators else ", ".join(row.int16) or "no"


def _table(rows: list[OperatorRow]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("TensorFlow Lite", "int16", "limits"):
        table.add_column(name)
    for row in rows:
        table.add_row("\n".join(row.tflite), _int16(row), row.limits)
        table.add_section()
    return table
