"""Where rows come from: files, frames, lists and SQL, read into Arrow columns and nothing more."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import feather

from motet.errors import DataError, listed
from motet.problems import shown

Readable: TypeAlias = Any
"""A path, a `read(...)` or `sql(...)`, an Arrow table, a Polars or pandas frame, or a list of dicts."""

_ABSENT = {"NAType", "NaTType"}
SUFFIXES = ".parquet .csv .jsonl .ndjson .arrow .feather .ipc"


@dataclass(frozen=True)
class Sql:
    """A table or query of a database."""

    url: str
    query: str

    def __str__(self) -> str:
        return f"sql({self.query!r})"


@dataclass(frozen=True)
class Source:
    """Rows from somewhere, and what a field is called there where it has another name."""

    what: Any
    names: Mapping[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        if isinstance(self.what, (str, Path, Sql)):
            return str(self.what)
        return f"the {type(self.what).__name__}"


@dataclass(frozen=True)
class Found:
    """What a source holds: every column's name, and the wanted columns as one array each.

    untyped: everything came as text (CSV), so a key of digits is a number.
    """

    source: str
    exist: list[str]
    columns: Mapping[str, pa.Array]
    rows: int
    untyped: bool = False


def read(source: Readable, **names: str) -> Source:
    """Rows from a source whose columns are called otherwise: read("visits.csv", viewer="user_id")."""
    return Source(source, names)


def sql(url: str, query: str) -> Sql:
    """Rows of a database: sql("sqlite:///shop.db", "visits"), or a query in place of the table's name."""
    return Sql(url, query)


def load(source: Source, wanted: Sequence[str]) -> Found:
    """The wanted columns of a source, those of them that exist. Errors: it cannot be read, or has no rows."""
    what = source.what
    if isinstance(what, (str, Path)):
        found = _file(Path(what), wanted)
    elif isinstance(what, Sql):
        found = _database(what, wanted)
    else:
        found = _memory(what, str(source), wanted)
    if found.rows == 0:
        raise DataError(f"{source} has no rows", help="give at least one")
    return found


def _file(path: Path, wanted: Sequence[str]) -> Found:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path} ends in {path.suffix or 'no suffix'!r}", help=f"one of {SUFFIXES}, or a frame"
        )
    if not path.exists():
        raise DataError(f"{path} does not exist", help=_near(path))
    try:
        return reader(path, wanted)
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        kind = path.suffix.lower()[1:]
        raise DataError(
            f"{path} cannot be read as {kind}: {reason}", help=f"is it a whole {kind} file?"
        ) from error


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    there = [p.name for p in path.parent.iterdir() if p.suffix and p.suffix.lower() in SUFFIXES.split()]
    return f"in {path.parent}: {listed(there, path.name)}"


def _parquet(path: Path, wanted: Sequence[str]) -> Found:
    rows = ds.dataset(str(path), format="parquet")
    exist = list(rows.schema.names)
    return _table(rows.to_table(columns=[name for name in wanted if name in exist]), str(path), wanted, exist)


def _csv(path: Path, wanted: Sequence[str]) -> Found:
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty", help="give a header and at least one row")
    frame = pl.read_csv(path, infer_schema=False)
    return _table(_arrow(frame), str(path), wanted, untyped=True)


def _json_lines(path: Path, wanted: Sequence[str]) -> Found:
    try:
        frame = pl.read_ndjson(path, infer_schema_length=None)
    except pl.exceptions.PolarsError:  # it says neither which line is broken nor which value differs
        lines = [line for line in path.read_bytes().splitlines() if line.strip()]
        return _rows([_line(line, i, path) for i, line in enumerate(lines)], str(path), wanted)
    return _memory(frame, str(path), wanted)


def _line(line: bytes, i: int, path: Path) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise DataError(f"{path}: row {i} is no JSON: {error}", help="one JSON object a line") from None


def _ipc(path: Path, wanted: Sequence[str]) -> Found:
    try:
        table = feather.read_table(str(path))
    except pa.ArrowInvalid:
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_stream(file).read_all()
    return _table(table, str(path), wanted)


_READERS: dict[str, Callable[[Path, Sequence[str]], Found]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".arrow": _ipc,
    ".feather": _ipc,
    ".ipc": _ipc,
}


def _memory(what: Any, name: str, wanted: Sequence[str]) -> Found:
    if isinstance(what, pa.RecordBatch):
        return _table(pa.Table.from_batches([what]), name, wanted)
    if isinstance(what, pa.Table):
        return _table(what, name, wanted)
    if isinstance(what, pl.LazyFrame):
        return _memory(what.collect(), name, wanted)
    if isinstance(what, pl.DataFrame):
        return _table(_arrow(what.select(c for c in wanted if c in what.columns)), name, wanted, what.columns)
    if type(what).__module__.partition(".")[0] == "pandas" and hasattr(what, "columns"):
        return _pandas(what, name, wanted)
    if isinstance(what, list):
        return _rows(cast("list[Any]", what), name, wanted)
    raise DataError(
        f"{type(what).__name__} is nothing that rows can be read from",
        help="a path, mt.read(...), mt.sql(...), an Arrow table, a Polars or pandas frame, or a list of dicts",
    )


def _arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def _table(
    table: pa.Table, name: str, wanted: Sequence[str], exist: list[str] | None = None, untyped: bool = False
) -> Found:
    exist = list(table.schema.names) if exist is None else exist
    twice = [c for c in wanted if exist.count(c) > 1]
    if twice:
        raise DataError(f"{name} has two columns called {twice[0]!r}", help="rename one of them")
    columns = {c: one_array(table.column(c)) for c in wanted if c in exist}
    return Found(name, exist, columns, table.num_rows, untyped)


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece, dictionaries decoded."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.num_chunks == 1:
        return column.chunk(0)
    # 2 GiB of text do not fit the 32-bit offsets of one string array.
    if pa.types.is_string(column.type):
        column = column.cast(pa.large_string())
    whole = column.combine_chunks()
    return whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole


def _pandas(frame: Any, name: str, wanted: Sequence[str]) -> Found:
    exist = [str(c) for c in frame.columns]
    columns: dict[str, pa.Array] = {}
    for column in (c for c in wanted if c in exist):
        values = frame[column]
        try:
            columns[column] = one_array(pa.chunked_array([pa.array(values, from_pandas=True)]))
        except (pa.ArrowException, TypeError):
            columns[column] = array_of([None if _absent(v) else v for v in values.tolist()])
    return Found(name, exist, columns, len(frame))


def _rows(rows: list[Any], name: str, wanted: Sequence[str]) -> Found:
    wrong = next((i for i, row in enumerate(rows) if not isinstance(row, Mapping)), None)
    if wrong is not None:
        raise DataError(
            f"{name}: row {wrong} is {shown(rows[wrong])}", help='a row is a dict: {"field": value}'
        )
    given = cast("list[Mapping[str, Any]]", rows)
    exist = list(dict.fromkeys(column for row in given for column in row))
    columns = {c: array_of([row.get(c) for row in given]) for c in wanted if c in exist}
    return Found(name, exist, columns, len(rows))


def array_of(values: list[Any]) -> pa.Array:
    """Python values as one array; as text where they are of several types, so that each can be judged."""
    try:
        return one_array(pa.chunked_array([pa.array(values)]))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array([_as_text(v) for v in values], pa.large_string())


def _absent(value: Any) -> bool:
    """None, or what NumPy and pandas write for it."""
    return value is None or type(value).__name__ in _ABSENT or (isinstance(value, float) and value != value)


def _as_text(value: Any) -> str | None:
    if _absent(value):
        return None
    # A lone surrogate is no Unicode text and cannot be kept.
    return (value if isinstance(value, str) else str(value)).encode("utf-8", "replace").decode()


def _database(what: Sql, wanted: Sequence[str]) -> Found:
    scheme, _, rest = what.url.partition("://")
    if scheme != "sqlite":
        raise DataError(
            f"{scheme}:// databases cannot be read yet", help='sql("sqlite:///shop.db", "visits")'
        )
    path = Path(rest.removeprefix("/"))
    if not path.is_file():
        raise DataError(
            f"the SQLite file {path} does not exist", help="sqlite:///relative.db or sqlite:////absolute.db"
        )
    query = f'SELECT * FROM "{what.query}"' if re.fullmatch(r"\w+", what.query) else what.query
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return _selected(database, query, what, wanted)
    except sqlite3.Error as error:
        raise DataError(f"{path}: {error} in {what.query!r}", help=_tables(path)) from error


def _selected(database: sqlite3.Connection, query: str, what: Sql, wanted: Sequence[str]) -> Found:
    cursor = database.execute(query)
    exist = [str(column[0]) for column in cursor.description or ()]
    rows = cursor.fetchall()
    columns = {c: array_of([row[exist.index(c)] for row in rows]) for c in wanted if c in exist}
    return Found(str(what), exist, columns, len(rows))


def _tables(path: Path) -> str:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            names: Iterable[Any] = database.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
            )
            return listed(str(name[0]) for name in names)
    except sqlite3.Error:
        return "is it an SQLite file?"
