"""The options of each builtin operator that the import uses: a table of the format, its fields."""

from __future__ import annotations

from compress.operators.registry import BUILTINS
from compress.tflite.fold_functions import FOLDED
from compress.tflite.variables import OPTIONS
from compress.tflite_records.file import BuiltinOperator

# Options of operators that are read in float models alone.
_OF_FLOATS = {
    BuiltinOperator.BATCH_MATMUL: ("BatchMatMulOptions", ("AdjX", "AdjY")),
    BuiltinOperator.DIV: ("DivOptions", ("FusedActivationFunction",)),
    BuiltinOperator.GELU: ("GeluOptions", ("Approximate",)),
}


def option_table(code: int) -> tuple[str, tuple[str, ...]]:
    """(name of the options' table, fields); ("", ()) for an operator without any."""
    if code in OPTIONS:
        return OPTIONS[code]
    sources = [source for source in (BUILTINS.get(code), FOLDED.get(code)) if source is not None]
    table = next((source.table for source in sources if source.table), "")
    fields = dict.fromkeys(name for source in sources for name in source.fields)
    return (table, tuple(fields)) if table else _OF_FLOATS.get(code, ("", ()))
