"""Where rows come from: files, frames, lists and SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

import pyarrow as pa

from motet.errors import DataError
from motet.rows.databases import Sql, load_sql
from motet.rows.files import load_file
from motet.rows.found import Found, array_of, of_polars, of_rows, of_table, one_array

Readable: TypeAlias = Any
"""A path, a `read(...)` or `sql(...)`, an Arrow table, a Polars or pandas frame, or a list of dicts."""


@dataclass(frozen=True)
class Source:
    """Rows from somewhere, and what a field is called there where it has another name."""

    what: Readable
    names: Mapping[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        known = isinstance(self.what, (str, Path, Sql))
        return str(self.what) if known else f"the {type(self.what).__name__}"


def read(source: Readable, **names: str) -> Source:
    """Rows from a source whose columns are called otherwise: read("visits.csv", viewer="user_id")."""
    return Source(source, names)


def sql(url: str, query: str) -> Sql:
    """Rows of a database: sql("sqlite:///shop.db", "visits"), or a query in place of the table's name."""
    return Sql(url, query)


def load(source: Source, wanted: Sequence[str]) -> Found:
    """The wanted columns of a source, those of them that exist. Errors: it cannot be read, or has no rows."""
    found = _found(source.what, str(source), wanted)
    if found.rows == 0:
        raise DataError(f"{source} has no rows", help="give at least one")
    return found


def _found(what: Any, name: str, wanted: Sequence[str]) -> Found:
    if isinstance(what, (str, Path)):
        return load_file(Path(what), wanted)
    if isinstance(what, Sql):
        return load_sql(what, wanted)
    if isinstance(what, pa.RecordBatch):
        return of_table(pa.Table.from_batches([what]), name, wanted)
    if isinstance(what, pa.Table):
        return of_table(what, name, wanted)
    library = type(what).__module__.partition(".")[0]
    if library == "polars" and type(what).__name__ in ("DataFrame", "LazyFrame"):
        return of_polars(what.lazy().collect(), name, wanted)
    if library == "pandas" and hasattr(what, "columns"):
        return _pandas(what, name, wanted)
    if isinstance(what, list):
        return of_rows(cast("list[Any]", what), name, wanted)
    raise DataError(
        f"rows cannot be read from {name}",
        help="a path, mt.read(...), mt.sql(...), an Arrow table, a frame, or a list of dicts",
    )


def _pandas(frame: Any, name: str, wanted: Sequence[str]) -> Found:
    """pandas is no dependency: whoever has a frame has brought it."""
    exist = [str(column) for column in frame.columns]
    twice = [column for column in wanted if exist.count(column) > 1]
    if twice:
        raise DataError(f"{name} has two columns called {twice[0]!r}", help="rename one of them")
    columns = {column: _series(frame.iloc[:, exist.index(column)]) for column in wanted if column in exist}
    return Found(name, exist, columns, len(frame))


def _series(series: Any) -> pa.Array:
    try:
        return one_array(pa.array(series, from_pandas=True))
    except (pa.ArrowException, TypeError):
        return array_of(series.tolist())
