"""Where a log of events is kept: what a SQLite file, a PostgreSQL table or anything else must do to be one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


class Unavailable(Exception):
    """The log cannot be read or written now: no room, no permission, no server. It may pass."""


class Conflict(Exception):
    """An event with this id is there already, and it is another one."""

    def __init__(self, id: str) -> None:
        super().__init__(f"event {id!r} is there already, with other contents")
        self.id = id


@dataclass(frozen=True)
class Happened:
    """An event to be written. fields: a JSON object. digest: of what was posted; equal contents have equal ones."""

    id: str
    type: str
    fields: str
    digest: str


@dataclass(frozen=True)
class Entry:
    """An event of the log. number: its place; later ones have larger numbers. fields: a JSON object."""

    number: int
    id: str
    type: str
    fields: str


class Reader(Protocol):
    """Reads a log from one place on. One thread at a time."""

    def read(self, after: int, most: int) -> Sequence[Entry]:
        """The entries with larger numbers than `after`, which never falls. Errors: Unavailable."""
        ...

    def close(self) -> None: ...


class Journal(Protocol):
    """Where a log is kept. All of it may raise Unavailable."""

    def transaction(self) -> AbstractContextManager[None]:
        """What is added within is there durably when it ends, or not at all; no other process writes meanwhile."""
        ...

    def digests(self, ids: Sequence[str]) -> Mapping[str, str]:
        """The digest of each of these events that is there. Within a transaction."""
        ...

    def add(self, events: Sequence[Happened]) -> None: ...
    def reader(self) -> Reader: ...
    def close(self) -> None: ...


@runtime_checkable
class Distant(Protocol):
    """A journal whose readers are too slow to be asked before every batch: it says when there is something to read."""

    def wait(self, seconds: float) -> None:
        """Returns when a process has written, or after some seconds. On a thread of its own."""
        ...
