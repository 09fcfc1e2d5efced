"""`hil bench --compare`: the changes between two results of `hil bench --json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from compress.errors import UserError


def show_comparison(old: Path, new: Path, tolerance: float, as_json: bool) -> None:
    """Print the changes from `old` to `new`; exit 1 if a cost grew by more than `tolerance` %."""
    from hil.benchmark.benchmark_json import compare_results

    rows = compare_results(_load(old), _load(new), tolerance / 100.0)
    worse = [row for row in rows if row.worse]
    if as_json:
        print(json.dumps({"changes": [row.to_json() for row in rows], "worse": len(worse)}))
    else:
        table = Table("cost", "old", "new", "change", box=None, pad_edge=False)
        for row in rows:
            style = "red" if row.worse else ""
            table.add_row(
                row.name, f"{row.old:,}", f"{row.new:,}", f"{100 * row.change:+.2f} %", style=style
            )
        Console().print(table)
    if worse:
        raise typer.Exit(1)


def _load(path: Path) -> dict[str, Any]:
    from hil.benchmark.benchmark_json import is_result

    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"--compare {path}: cannot be read as a result of hil bench --json: {error}"
        ) from error
    if not is_result(loaded):
        raise UserError(f"--compare {path}: not a result of hil bench --json")
    return loaded
