"""Files of rows, by their suffix."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import feather

from motet.errors import DataError, listed
from motet.rows.found import Found, of_polars, of_rows, of_table

if TYPE_CHECKING:
    import polars as pl


def load_file(path: Path, wanted: Sequence[str]) -> Found:
    """The wanted columns of a file. Errors: it does not exist, is of no known kind or cannot be read."""
    import polars as pl  # here: what serves reads no files, and it takes as long to load as all the rest

    kind = path.suffix.lower()
    if kind not in _READERS:
        raise DataError(
            f"{path} ends in {path.suffix!r}, which says no kind of file" if kind else f"{path} has no suffix",
            help=f"a file of {' '.join(_READERS)}, or a frame",
        )
    if not path.exists():
        raise DataError(f"{path} does not exist", help=_near(path))
    try:
        return _READERS[kind](path, wanted)
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise DataError(f"{path} cannot be read as {kind[1:]}: {reason}", help="is it the whole file?") from error


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    files = [file.name for file in path.parent.iterdir() if file.suffix.lower() in _READERS]
    return f"in {path.parent}: {listed(files, path.name)}"


def _parquet(path: Path, wanted: Sequence[str]) -> Found:
    import pyarrow.dataset as ds  # here: it takes as long to load as all the rest

    rows = ds.dataset(str(path), format="parquet")
    exist: list[str] = list(rows.schema.names)
    once = [name for name in dict.fromkeys(wanted) if exist.count(name) == 1]
    return of_table(rows.to_table(columns=once), str(path), wanted, exist)


def _csv(path: Path, wanted: Sequence[str]) -> Found:
    """All as text: only the record knows that 007 is a name and 7.0 a number."""
    import polars as pl

    return of_polars(pl.read_csv(path, infer_schema=False), str(path), wanted, untyped=True)


def _json_lines(path: Path, wanted: Sequence[str]) -> Found:
    import polars as pl

    try:
        frame = pl.read_ndjson(path, infer_schema_length=None)
    except pl.exceptions.PolarsError:  # it says neither which line is broken nor which value differs
        return _lines(path, wanted)
    if any(_may_be_json(frame[name]) for name in wanted if name in frame.columns):
        return _lines(path, wanted)
    return of_polars(frame, str(path), wanted)


def _may_be_json(column: pl.Series) -> bool:
    """Polars makes a text of a list or an object that stands among texts, and says nothing."""
    return str(column.dtype) == "String" and bool(column.str.contains(r"^[\[{]").any())


def _lines(path: Path, wanted: Sequence[str]) -> Found:
    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    return of_rows([_line(line, row, path) for row, line in enumerate(lines)], str(path), wanted)


def _line(line: bytes, row: int, path: Path) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise DataError(f"{path}: row {row} is no JSON: {error}", help="one JSON object a line") from None


def _ipc(path: Path, wanted: Sequence[str]) -> Found:
    try:
        table = feather.read_table(str(path))
    except pa.ArrowInvalid:  # a stream instead of a file
        with pa.OSFile(str(path)) as file:
            table = pa.ipc.open_stream(file).read_all()
    return of_table(table, str(path), wanted)


_READERS: dict[str, Callable[[Path, Sequence[str]], Found]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".arrow": _ipc,
    ".feather": _ipc,
    ".ipc": _ipc,
}
