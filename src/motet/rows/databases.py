"""Rows of a database."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from motet.errors import DataError, listed
from motet.rows.found import Found, array_of


@dataclass(frozen=True)
class Sql:
    """A table or query of a database."""

    url: str
    query: str

    def __str__(self) -> str:
        return f"sql({self.query!r})"


def load_sql(what: Sql, wanted: Sequence[str]) -> Found:
    """The wanted columns of a query's rows. Errors: no such file, table or column; another database."""
    path = _file(what.url)
    query = f'SELECT * FROM "{what.query}"' if re.fullmatch(r"\w+", what.query) else what.query
    try:
        with closing(_opened(path)) as database:
            cursor = database.execute(query)
            exist = [str(column[0]) for column in cursor.description or ()]
            rows = cursor.fetchall()
    except sqlite3.Error as error:
        raise DataError(f"{what}: {error}", help=_tables(path)) from error
    columns = {name: array_of([row[exist.index(name)] for row in rows]) for name in wanted if name in exist}
    return Found(str(what), exist, columns, len(rows))


def _file(url: str) -> Path:
    scheme, _, rest = url.partition("://")
    if scheme != "sqlite":
        # The address may hold a password: only its scheme is repeated.
        raise DataError(
            f"{scheme} databases cannot be read yet, SQLite can", help='mt.sql("sqlite:///shop.db", "visits")'
        )
    path = Path(rest.removeprefix("/"))
    if not path.is_file():
        raise DataError(f"the SQLite file {path} does not exist", help="sqlite:///here.db, sqlite:////from/the/root.db")
    return path


def _opened(path: Path) -> sqlite3.Connection:
    """Read-only, so that reading never makes or locks a file."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _tables(path: Path) -> str:
    try:
        with closing(_opened(path)) as database:
            names = database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
            return f"tables: {listed(str(name[0]) for name in names)}"
    except sqlite3.Error:
        return "is it an SQLite file?"
