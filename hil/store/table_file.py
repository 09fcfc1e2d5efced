"""Table files in .csv, .csv.gz or .parquet, chosen by the suffix.

A written cell is text, a number or None; a read cell is text. CSV is as in RFC 4180, in UTF-8.
Equal rows give equal .csv.gz files, since those hold no date or name. Floats are written so that
reading gives the same float.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compress.errors import UserError
from hil.files import file_errors, write_file

SUFFIXES = (".csv", ".csv.gz", ".parquet")
_LARGEST_BYTES = 128 << 20  # decompressed; a trial takes a few KiB
_MOST_CELLS = 100_000_000
_LONGEST_CELL = 2**31 - 1  # characters; the csv module's own limit is 128 Ki

Cell = str | int | float | None


def check_suffix(path: Path) -> str:
    """The suffix of `path`, one of `SUFFIXES`. Raises UserError for any other."""
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return suffix
    raise UserError(f"{path}: the file name must end in one of {', '.join(SUFFIXES)}")


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Cell]]) -> None:
    """Write the rows to `path` atomically. Raises UserError if that fails."""
    suffix = check_suffix(path)
    parquet = suffix == ".parquet"
    write_file(path, _parquet(columns, rows) if parquet else _csv(columns, rows, suffix))


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows with every cell as text, None as "". Raises UserError if it is not such a table."""
    suffix = check_suffix(path)
    with file_errors(path):
        content = path.read_bytes()
    try:
        if suffix == ".parquet":
            return _parquet_rows(content)
        return _csv_rows(_decompressed(content) if suffix == ".csv.gz" else content)
    except (OSError, EOFError, zlib.error, ValueError, csv.Error) as error:
        why = " ".join(str(error).split())  # Arrow's messages may have several lines
        raise UserError(f"{path} is damaged or not a {suffix} table: {why}") from error


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, Cell]], suffix: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    return gzip.compress(content, mtime=0) if suffix == ".csv.gz" else content


def _decompressed(content: bytes) -> bytes:
    """The text, read only as far as it may be long: a small file may hold any amount of zeros."""
    with gzip.open(io.BytesIO(content)) as file:
        text = file.read(_LARGEST_BYTES + 1)
    if len(text) > _LARGEST_BYTES:
        raise ValueError(f"it holds more than {_LARGEST_BYTES >> 20} MiB")
    return text


def _csv_rows(content: bytes) -> list[dict[str, str]]:
    csv.field_size_limit(_LONGEST_CELL)
    # Spreadsheets write a byte order mark, and editors leave empty lines at the end.
    lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
    header, *rows = [line for line in lines if line] or [[]]
    if not header:
        raise ValueError("it is empty")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells, the header {len(header)}")
    return [dict(zip(header, row, strict=True)) for row in rows]


def _parquet(columns: Sequence[str], rows: Sequence[Mapping[str, Cell]]) -> bytes:
    # Importing Arrow is slow, and most commands do not need it.
    import pyarrow
    from pyarrow import parquet

    sink = io.BytesIO()
    cells = {column: [row[column] for row in rows] for column in columns}
    parquet.write_table(pyarrow.table(cells), sink, compression="zstd")
    return sink.getvalue()


def _parquet_rows(content: bytes) -> list[dict[str, str]]:
    import pyarrow
    from pyarrow import parquet

    rows: list[dict[str, str]] = []
    size_bytes = 0
    try:
        file = parquet.ParquetFile(io.BytesIO(content))
        for batch in file.iter_batches(batch_size=_rows_at_once(file.metadata)):
            for row in batch.to_pylist():
                rows.append({name: "" if cell is None else str(cell) for name, cell in row.items()})
                size_bytes += sum(map(len, rows[-1].values()))
            if size_bytes > _LARGEST_BYTES:
                raise ValueError(f"it holds more than {_LARGEST_BYTES >> 20} MiB")
    except pyarrow.ArrowException as error:  # not all of its kinds are ValueErrors
        raise ValueError(str(error)) from error
    return rows


def _rows_at_once(metadata: Any) -> int:
    """Rows of which none can be so long that all of them are too much to hold.

    A cell may be any of a dictionary that is stored once, so that no row is longer than all that
    is stored. Raises ValueError if that alone is too much.
    """
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    stored_bytes = sum(group.total_byte_size for group in groups)
    if stored_bytes > _LARGEST_BYTES or metadata.num_rows * metadata.num_columns > _MOST_CELLS:
        raise ValueError(
            f"it holds {metadata.num_rows} rows of {metadata.num_columns} columns in "
            f"{stored_bytes >> 20} MiB, at most {_MOST_CELLS} cells and {_LARGEST_BYTES >> 20} MiB"
        )
    return int(min(1024, max(1, _LARGEST_BYTES // max(1, stored_bytes))))
