"""The log of what has happened: written in groups, durable before anybody is told so, and followed by versions.

The log is one process's side of the journal that it is kept in. One thread takes all that waits and writes it as one
transaction, so a flush to the disk is paid by many requests together.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeAlias

from motet.errors import RunError, needs
from motet.serve.engine import Overloaded
from motet.serve.journal import Conflict, Distant, Entry, Happened, Journal, Reader, Unavailable
from motet.serve.log_sqlite import SqliteJournal
from motet.serve.tail import PAGE, Tail
from motet.serve.version import Version

LOG = logging.getLogger("motet.serve")
GROUP = 10_000  # events that one transaction holds, but for the last request in it
WAITING = 100_000  # events that may wait to be written before more are refused
HEARS = 0.5  # seconds after which a distant journal is read although it has said nothing
AGAIN = 0.5  # seconds until a journal that could not be had is tried again

Group: TypeAlias = Sequence[Happened]


class Log:
    """One process's side of a journal: takes events, and tells the versions that follow it what has happened.

    word: a file that processes on this machine touch when they have written to a distant journal.
    """

    def __init__(self, journal: Journal, word: Path | None = None) -> None:
        self.journal, self._distant, self._word = journal, isinstance(journal, Distant), word
        self._waiting: queue.SimpleQueue[tuple[Group, Future[int]] | None] = queue.SimpleQueue()
        self._events, self._counting = 0, threading.Lock()  # that wait
        # A version that nobody answers with any more is forgotten, and its reader closed at the next change.
        self._tails: weakref.WeakKeyDictionary[Version, Tail] = weakref.WeakKeyDictionary()
        self._left: deque[Reader] = deque()
        self._changing = threading.Lock()
        self._down = False
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        works: list[Callable[[], None]] = [self._write, self._watch] if self._distant else [self._write]
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Writes what waits, then lets go of the journal."""
        self._stopped.set()
        self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        with self._changing:
            self._left.extend(tail.reader for tail in self._tailing())
            self._tails.clear()
            self._close_left()
        self.journal.close()

    def append(self, events: Group) -> Future[int]:
        """Writes events, all of them or none; the future says how many were not there yet, once they are durable.

        Errors: Overloaded at once. The future's: Conflict, Unavailable. Who cancels it in time writes nothing.
        """
        with self._counting:
            if self._events + len(events) > WAITING or self._stopped.is_set():
                raise Overloaded(1.0)
            self._events += len(events)
        future: Future[int] = Future()
        self._waiting.put((events, future))
        return future

    def look(self, version: Version) -> None:
        """What a version's batch begins with: it sees all that this process has acknowledged, and what others have:
        at once, or where they are on another machine as soon as word of it is here, some milliseconds later.

        The first time it is told all that has happened, which takes as long as that is.
        """
        tail = self._tails.get(version)
        if tail is None:
            self._follow(version)
        elif not self._distant:
            self._tried(tail)
        elif self._word is not None and tail.word != (word := _touched(self._word)):
            self._tried(tail)
            tail.word = word  # only now, or another thread would not wait for it

    def observed(self, version: Version) -> int:
        """How many events a version has been told of, which its data do not hold."""
        tail = self._tails.get(version)
        return 0 if tail is None else tail.observed

    def _follow(self, version: Version) -> None:
        with self._changing:
            if version in self._tails:
                return
            self._close_left()
            tail = Tail(self.journal.reader(), version)
            self._tried(tail)
            self._tails[version] = tail
            weakref.finalize(version, self._left.append, tail.reader).atexit = False
        self._tried(tail)

    def _close_left(self) -> None:
        while self._left:
            self._left.popleft().close()

    def _tell(self) -> None:
        for tail in self._tailing():
            self._tried(tail)

    def _tailing(self) -> list[Tail]:
        """Who follows now. Others may begin to on other threads meanwhile, so the keys are copied in one step."""
        versions = [known() for known in self._tails.keyrefs()]
        return [tail for version in versions if version is not None and (tail := self._tails.get(version)) is not None]

    def _tried(self, tail: Tail) -> None:
        """Asks go on being answered, with the past as last seen, where the journal cannot be read."""
        try:
            tail.catch_up()
            self._down = False
        except Exception as error:
            if not self._down:
                LOG.warning("the event log cannot be read, asks see the past as it was: %s", error)
            self._down = True

    def _watch(self) -> None:
        assert isinstance(self.journal, Distant)
        while not self._stopped.is_set():
            try:
                self.journal.wait(HEARS)
            except Unavailable:
                self._stopped.wait(AGAIN)
            else:
                self._tell()

    def _say(self) -> None:
        """Tells the other processes of this machine that there is something to read."""
        if self._word is not None:
            now = time.time_ns()
            self._word.touch()
            os.utime(self._word, ns=(now, now))  # a touch alone may be as coarse as a tick of the clock

    def _write(self) -> None:
        for groups in self._taken():
            wrote: Sequence[int | Exception]
            try:
                wrote = written(self.journal, [events for events, _ in groups])
            except Exception as error:
                LOG.warning("%d requests' events could not be written: %s", len(groups), error)
                wrote = [error] * len(groups)
            else:
                if self._distant:
                    self._tell()
                    self._say()
            for (_, future), result in zip(groups, wrote, strict=True):
                if isinstance(result, int):
                    future.set_result(result)
                else:
                    future.set_exception(result)

    def _taken(self) -> Iterator[list[tuple[Group, Future[int]]]]:
        """All that waits, again and again, until the log stops."""
        while (one := self._waiting.get()) is not None:
            groups, size = [one], len(one[0])
            while size < GROUP and not self._waiting.empty() and (one := self._waiting.get()) is not None:
                groups.append(one)
                size += len(one[0])
            with self._counting:
                self._events -= size
            yield [group for group in groups if group[1].set_running_or_notify_cancel()]
            if one is None:
                return


def _touched(file: Path) -> int:
    """When it was last touched, 0 where it was not yet."""
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def written(journal: Journal, groups: Sequence[Group]) -> list[int | Conflict]:
    """Writes groups of events as one transaction: per group how many were new, or why it was left out."""
    with journal.transaction():
        known = dict(journal.digests([event.id for group in groups for event in group]))
        added: list[Happened] = []
        wrote: list[int | Conflict] = []
        for group in groups:
            new = _new(group, known)
            wrote.append(new if isinstance(new, Conflict) else len(new))
            if not isinstance(new, Conflict):
                known |= {event.id: event.digest for event in new}
                added += new
        if added:
            journal.add(added)
    return wrote


def _new(group: Group, known: Mapping[str, str]) -> list[Happened] | Conflict:
    """The events of a group that are not known yet."""
    new: dict[str, Happened] = {}
    for event in group:
        before = new[event.id].digest if event.id in new else known.get(event.id)
        if before is None:
            new[event.id] = event
        elif before != event.digest:
            return Conflict(event.id)
    return list(new.values())


def entries(journal: Journal) -> Iterator[Entry]:
    """All that has happened, in the order in which it was written."""
    reader, after = journal.reader(), 0
    try:
        while page := reader.read(after, PAGE):
            yield from page
            after = page[-1].number
    finally:
        reader.close()


def journal_at(where: str | None, graph: str, store: Path) -> Journal:
    """The journal of a graph's events, which is opened where it is used.

    where: a PostgreSQL URL or a file; None for a file in the store.
    """
    if where is not None and where.startswith(("postgresql://", "postgres://")):
        return _postgres(where, graph)
    return SqliteJournal(Path(where) if where else store / "events" / f"{graph}.sqlite")


def opened(where: str | None, graph: str, store: Path) -> Journal:
    """The same, once it has been written: a server should say before it starts that it cannot be. Errors: RunError.

    A worker that takes the place of another starts without: while the journal is away it answers asks.
    """
    journal = journal_at(where, graph, store)
    try:
        written(journal, [])
    except Unavailable as error:
        help = "motet serve ... --events FILE, or a URL such as postgresql://localhost/events"
        raise RunError(f"the event log cannot be used: {error}", help) from None
    finally:
        journal.close()
    return journal


def _postgres(url: str, graph: str) -> Journal:
    try:
        from motet.serve.log_postgres import PostgresJournal
    except ImportError:
        raise needs("serve", "psycopg") from None
    return PostgresJournal(url, graph)
