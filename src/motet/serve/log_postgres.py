"""The log in PostgreSQL: for several machines, or where a database is looked after already.

Who writes holds a lock until the commit, so events become visible in the order of their numbers and a reader that
goes on from the last one misses none. Other processes hear of them by LISTEN and NOTIFY.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from motet.serve.journal import Entry, Happened, Unavailable

# A server that has gone without a word is given up after seconds, not after the quarter of an hour that TCP takes.
PATIENCE: Mapping[str, Any] = {
    "connect_timeout": 3,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
SETTINGS = """select set_config('statement_timeout', '10s', false),
    set_config('synchronous_commit', case current_setting('synchronous_commit') when 'off' then 'on'
        else current_setting('synchronous_commit') end, false)"""
LOCK = "select pg_advisory_xact_lock(hashtext(%s))"
TABLE = """create table if not exists {table} (number bigint generated always as identity primary key,
    id text not null unique, type text not null, fields text not null, digest text not null)"""
DIGESTS = "select id, digest from {table} where id = any(%s)"
ADD = """insert into {table} (id, type, fields, digest) select i, t, f, d
    from unnest(%s::text[], %s::text[], %s::text[], %s::text[]) with ordinality as given (i, t, f, d, place)
    order by place"""
NOTIFY = "notify {channel}"
LISTEN = "listen {channel}"
READ = "select number, id, type, fields from {table} where number > %s order by number limit %s"


class PostgresJournal:
    """A log in the table motet_events_<graph> of a database. url: as libpq takes it. It connects when it is first
    used, and again after the server has been away."""

    def __init__(self, url: str, graph: str) -> None:
        self._name = "motet_events_" + re.sub(r"\W", "_", graph.lower())[:40]
        self._writing, self._listening = Link(url), Link(url)
        self._url = url

    @contextmanager
    def transaction(self) -> Generator[None]:
        with self._writing.opened(self._made) as connection, connection.transaction():
            connection.execute(LOCK, [self._name])
            yield

    def digests(self, ids: Sequence[str]) -> Mapping[str, str]:
        with self._writing.opened(self._made) as connection:
            return dict(connection.execute(self._said(DIGESTS), [list(ids)]).fetchall())

    def add(self, events: Sequence[Happened]) -> None:
        columns = [[getattr(event, name) for event in events] for name in ("id", "type", "fields", "digest")]
        with self._writing.opened(self._made) as connection:
            connection.execute(self._said(ADD), columns)
            connection.execute(self._said(NOTIFY))

    def wait(self, seconds: float) -> None:
        with self._listening.opened(self._heard) as connection:
            for _ in connection.notifies(timeout=seconds, stop_after=1):
                pass

    def reader(self) -> PostgresReader:
        return PostgresReader(Link(self._url), self._said(READ), self._made)

    def close(self) -> None:
        self._writing.close()
        self._listening.close()

    def _made(self, connection: psycopg.Connection) -> None:
        if connection.execute("select to_regclass(%s)", [f'"{self._name}"']).fetchone() != (None,):
            return
        with connection.transaction():
            connection.execute(LOCK, [self._name])
            connection.execute(self._said(TABLE))

    def _heard(self, connection: psycopg.Connection) -> None:
        connection.execute(self._said(LISTEN))

    def _said(self, text: LiteralString) -> sql.Composed:
        name = sql.Identifier(self._name)
        return sql.SQL(text).format(table=name, channel=name)


class PostgresReader:
    def __init__(self, link: Link, query: sql.Composed, made: Any) -> None:
        self._link, self._query, self._made = link, query, made

    def read(self, after: int, most: int) -> Sequence[Entry]:
        try:
            return self._read(after, most)
        except Unavailable:  # the server may be back: what has failed was a connection from before it went
            return self._read(after, most)

    def _read(self, after: int, most: int) -> Sequence[Entry]:
        with self._link.opened(self._made) as connection:
            return [Entry(*row) for row in connection.execute(self._query, [after, most]).fetchall()]

    def close(self) -> None:
        self._link.close()


class Link:
    """A connection that is made when it is needed and given up when it fails. One thread at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection | None = None

    @contextmanager
    def opened(self, prepare: Any) -> Generator[psycopg.Connection]:
        """The connection. prepare: done with a new one. Errors: Unavailable."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._url, autocommit=True, **PATIENCE)
                self._connection.execute(SETTINGS)
                prepare(self._connection)
            yield self._connection
        except psycopg.Error as error:
            self.close()
            raise Unavailable(str(error).partition("\n")[0]) from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
