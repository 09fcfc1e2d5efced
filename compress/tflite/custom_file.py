"""Custom operators from a Python file of the user that defines `OPERATORS`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from compress.errors import UserError
from compress.ops import CustomOperator
from compress.user_file import run_user_file

_C_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def load_custom_operators(path: Path) -> Mapping[str, CustomOperator]:
    """The definitions in the list `OPERATORS` of the file, by code.

    Raises UserError for a file that does not run, lacks the list, or defines a code or a C function
    twice.
    """
    module, _ = run_user_file(path, "operator file", "OPERATORS")
    found = getattr(module, "OPERATORS", None)
    if not isinstance(found, list | tuple) or not found:
        raise UserError(
            f"operator file {path} defines no OPERATORS: add OPERATORS = [CustomOperator(...)] of "
            "compress.ops, as in docs/custom-operators.md"
        )
    for one in found:
        if not isinstance(one, CustomOperator):
            raise UserError(
                f"operator file {path}: OPERATORS has a {type(one).__name__}, must have "
                "CustomOperators of compress.ops only"
            )
        if not _C_NAME.fullmatch(one.function):
            raise UserError(
                f"operator file {path}: function {one.function!r} of {one.code} is not a C name"
            )
    for what in ("code", "function"):
        names = [getattr(one, what) for one in found]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UserError(f"operator file {path}: {what} {', '.join(twice)} is defined twice")
    return {one.code: one for one in found}
