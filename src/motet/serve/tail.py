"""How a version sees what has happened: it reads the log on from where it was, and observes what it finds."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from motet import intake
from motet.batch import Array, take
from motet.data import Data
from motet.errors import DataError
from motet.hashing import row_hashes
from motet.record import Event
from motet.serve.journal import Entry, Reader
from motet.serve.version import Version
from motet.table import Table

LOG = logging.getLogger("motet.serve")
PAGE = 5_000  # events that are read at a time


class Tail:
    """One version's place in the log. position: the number of the last entry that it has seen. observed: how many
    events it was told of, which its data do not hold. word: of which writing it has seen all."""

    def __init__(self, reader: Reader, version: Version) -> None:
        self.reader, self._context = reader, version.context
        self._kinds = {event.__name__: event for event in version.context.data.seen}
        self._held = Held(version.context.data)
        self._lock = threading.Lock()
        self.position = self.observed = self.word = 0
        self._context.settle(version.outline.answering)

    def catch_up(self) -> None:
        """Observes what is new. When it returns, all that was in the log when it was called has been seen."""
        with self._lock:
            while page := self.reader.read(self.position, PAGE):
                for name, event in self._kinds.items():
                    self._observe(event, [entry for entry in page if entry.type == name])
                self.position = page[-1].number

    def _observe(self, event: type[Event], entries: Sequence[Entry]) -> None:
        """Observes events of one kind; where they fail together, each by itself, so that one that does not fit
        this version's records (they may have changed since) is left out alone."""
        if not entries:
            return
        try:
            rows: list[Mapping[str, Any]] = [json.loads(entry.fields) for entry in entries]
            self._tell(event, rows)
        except Exception as error:
            if len(entries) > 1:
                for entry in entries:
                    self._observe(event, [entry])
                return
            what = error.what if isinstance(error, DataError) else error
            LOG.warning("event %s of the log does not fit %s: %s", entries[0].id, event.__name__, what)

    def _tell(self, event: type[Event], rows: Sequence[Mapping[str, Any]]) -> None:
        if intake.strangers(event, rows, self._context.entities()):
            self._context.meet(event, rows)
        table = intake.table_of(event, rows, self._context.entities())
        held = self._held.among(event, table)
        if held.any():
            left = np.flatnonzero(~held)
            table = Table(event, {n: take(c, left) for n, c in table.columns.items()}, table.missing, len(left))
        if len(table):
            self._context.observe(event, table)
            self.observed += len(table)


class Held:
    """The events that a version's data hold. The log may be folded into the data it is served beside: an event that
    is in both, equal in every field, is not told twice."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._times: dict[type[Event], Array] = {}

    def among(self, event: type[Event], table: Table) -> Array:
        """Which of these events the data hold: bool [n]. Quick where no event of the data is of the same time."""
        if event not in self._times:
            self._times[event] = np.unique(self._data.times(event)[self._data.seen[event]])
        known, times = self._times[event], cast(Array, table.columns[event.time_field()])
        place = np.minimum(np.searchsorted(known, times), len(known) - 1)
        found = known[place] == times if len(known) else np.zeros(len(times), np.bool_)
        return self._equal(event, table, times) if found.any() else found

    def _equal(self, event: type[Event], table: Table, times: Array) -> Array:
        seen = self._data.seen[event]
        rows = seen[np.isin(self._data.times(event)[seen], times)]
        mine = row_hashes("", [take(column, rows) for column in self._data.tables[event].columns.values()])
        held = set(mine.tolist())
        return np.array([hashed in held for hashed in row_hashes("", list(table.columns.values())).tolist()])
