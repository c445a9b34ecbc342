"""The log in a SQLite file: the default, for one machine. Several processes may write and read it at once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from motet.serve.journal import Entry, Happened, Unavailable
from motet.store import durable

BUSY = 5.0  # seconds that one process waits for another to finish writing
TABLE = """create table if not exists events (number integer primary key autoincrement, id text not null unique,
    type text not null, fields text not null, digest text not null)"""
DIGESTS = "select id, digest from events where id in (select value from json_each(?))"
ADD = "insert into events (id, type, fields, digest) values (?, ?, ?, ?)"
READ = "select number, id, type, fields from events where number > ? order by number limit ?"


class SqliteJournal:
    """A log in a file, and beside it SQLite's own `-wal` and `-shm`. Every commit is flushed to the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def transaction(self) -> Generator[None]:
        with _refused():
            connection = self._opened()
            connection.execute("begin immediate")
            try:
                yield
                connection.execute("commit")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise

    def digests(self, ids: Sequence[str]) -> Mapping[str, str]:
        return dict(self._opened().execute(DIGESTS, [json.dumps(ids)]).fetchall())

    def add(self, events: Sequence[Happened]) -> None:
        self._opened().executemany(ADD, [(event.id, event.type, event.fields, event.digest) for event in events])

    def reader(self) -> SqliteReader:
        return SqliteReader(self.path)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _connected(self.path)
        return self._connection


class SqliteReader:
    """Reads the file on a connection of its own. Where nothing is new, that costs a look at shared memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cursor: sqlite3.Cursor | None = None
        self._seen: object = None

    def read(self, after: int, most: int) -> Sequence[Entry]:
        with _refused():
            if self._cursor is None:
                self._cursor = _connected(self._path).cursor()
            # Asked first: what is committed between the two questions is then read once more, never missed.
            version: object = self._cursor.execute("pragma data_version").fetchone()
            if version == self._seen:
                return []
            rows = self._cursor.execute(READ, [after, most]).fetchall()
            if len(rows) < most:
                self._seen = version
            return [Entry(*row) for row in rows]

    def close(self) -> None:
        if self._cursor is not None:
            self._cursor.connection.close()


def _connected(path: Path) -> sqlite3.Connection:
    durable.folder(path.parent)
    connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    try:
        durable.write_ahead(connection, path)
        connection.execute("pragma synchronous = full")  # in WAL mode the usual "normal" may lose the last commits
        connection.execute(TABLE)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _refused() -> Generator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(str(error)) from error
