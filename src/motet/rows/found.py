"""What a source holds, as Arrow columns and nothing more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from motet.errors import DataError
from motet.rows.problems import shown

if TYPE_CHECKING:
    import polars as pl

_ABSENT = {"NoneType", "NAType", "NaTType"}


@dataclass(frozen=True)
class Found:
    """Every column's name, and those columns that a record wants, as one array each.

    untyped: everything came as text (CSV), so a key of digits is a number.
    """

    source: str
    exist: list[str]
    columns: Mapping[str, pa.Array]
    rows: int
    untyped: bool = False


def of_table(
    table: pa.Table, source: str, wanted: Sequence[str], exist: list[str] | None = None, untyped: bool = False
) -> Found:
    """exist: the names of a table of which only the wanted columns were read."""
    names: list[str] = list(table.schema.names) if exist is None else exist
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise DataError(f"{source} has two columns called {twice[0]!r}", help="rename one of them")
    columns = {name: one_array(table.column(name)) for name in wanted if name in names}
    return Found(source, names, columns, table.num_rows, untyped)


def of_polars(frame: pl.DataFrame, source: str, wanted: Sequence[str], untyped: bool = False) -> Found:
    import polars as pl  # here: what serves reads no files, and it takes as long to load as all the rest

    some = frame.select(name for name in dict.fromkeys(wanted) if name in frame.columns)
    try:
        table = some.to_arrow(compat_level=pl.CompatLevel.oldest())
    except (pl.exceptions.PolarsError, pa.ArrowException):  # a column of Python objects
        found = of_rows(some.to_dicts(), source, wanted)
        return Found(source, frame.columns, found.columns, len(frame))
    return of_table(table, source, wanted, frame.columns, untyped) if table.num_columns else _nothing(frame, source)


def _nothing(frame: pl.DataFrame, source: str) -> Found:
    return Found(source, frame.columns, {}, len(frame))


def of_rows(rows: list[Any], source: str, wanted: Sequence[str]) -> Found:
    """Dicts, one a row. A column exists where any of them has it."""
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise DataError(f"{source}: row {i} is {shown(row)}", help='a row is a dict: {"field": value}')
    given = cast("list[Mapping[str, Any]]", rows)
    exist = list(dict.fromkeys(str(name) for row in given for name in row))
    columns = {name: array_of([row.get(name) for row in given]) for name in wanted if name in exist}
    return Found(source, exist, columns, len(rows))


def one_array(column: Any) -> pa.Array:
    """A column in one piece, dictionaries decoded."""
    if isinstance(column, pa.Array):
        column = pa.chunked_array([column])
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    # 2 GiB of text do not fit the 32-bit offsets of one string array.
    if column.num_chunks != 1 and (pa.types.is_string(column.type) or pa.types.is_string_view(column.type)):
        column = column.cast(pa.large_string())
    whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole


def array_of(values: list[Any]) -> pa.Array:
    """Python values as one array; as texts where they are of several types, so that each can be judged."""
    try:
        return one_array(pa.array(values, from_pandas=True))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array([_text(value) for value in values], pa.large_string())


def _text(value: Any) -> str | None:
    """As Arrow would write the value alone; names of a list as Tags separate them in a text."""
    if type(value).__name__ in _ABSENT or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, (list, tuple)):
        return "|".join(_text(name) or "" for name in cast("list[Any]", value))
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    # A lone surrogate is no Unicode text and cannot be kept.
    return str(value).encode("utf-8", "replace").decode()
