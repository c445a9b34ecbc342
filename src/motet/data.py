"""Data: records bound to their rows, checked at once, and split by time, by last event or by entity."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, cast

import numpy as np

from motet.batch import Array, Codes
from motet.errors import DataError, counted, listed
from motet.model import digest
from motet.record import Event, Field, Record, reference_of
from motet.rows.bind import bind
from motet.rows.splits import chosen, instant, last_of, where
from motet.sources import Readable
from motet.table import Table

Rows = Mapping[type[Event], Array]


class Data:
    """The rows of every record, and which events have happened and which are asked. Never changed once made.

    seen: rows of the events that have happened: what `past` and a fit may read. int64, ascending.
    asked: rows of the events that are evaluated.
    until: microseconds since 1970, the instant up to which the data are known, so outcomes that arrive
    later are not; None where all is known.
    """

    tables: Mapping[type[Record], Table]
    seen: Rows
    asked: Rows
    until: int | None

    def __init__(self, sources: Mapping[type[Record], Readable]) -> None:
        """sources: per record a path, `read(...)`, `sql(...)`, an Arrow table, a frame or a list of dicts.

        An entity that consists of its key alone need not be given: it is made of the keys that refer to it.
        Errors: one DataError with everything that is wrong.
        """
        tables = bind(sources)
        rows = {r: np.arange(len(t), dtype=np.int64) for r, t in tables.items() if issubclass(r, Event)}
        self._set(tables, rows, rows, None)

    @classmethod
    def of(cls, tables: Mapping[type[Record], Table], seen: Rows, until: int | None) -> Data:
        """Data whose tables are there already, as they were kept."""
        data = cls.__new__(cls)
        data._set(tables, seen, seen, until)
        return data

    def split(self, *, at: Any = None, last: int | None = None, by: Any = None) -> tuple[Data, Data]:
        """A train part and a test part. Either can be split again.

        at: an instant ("2001-01-01", a datetime; a number is microseconds since 1970, and not seconds as in a
        source): earlier events train, the others are asked. last: the last so many events of each `by` are asked (of
        equal times the later row is later); who has no more than that many stays in train. Errors: a part without
        events.
        """
        if (at is None) == (last is None) or (at is not None and by is not None):
            raise DataError(
                "split at a time, or by the last events",
                help='split(at="2001-01-01") or split(last=1, by=Visit.viewer)',
            )
        return self._split_at(at) if last is None else self._split_last(last, by)

    def hold_out(self, reference: Any, keys: Iterable[Any]) -> tuple[Data, Data]:
        """The data without the events of these entities, and a part that asks exactly those and sees all.

        reference: how an event refers to them, such as Visit.film. keys: theirs. Errors: unknown keys, a part
        without events.
        """
        event, name = self._reference(reference)
        codes = self._codes(event, name)
        rows = chosen(codes.names, list(keys), f"{event.__name__}.{name}")
        return self._asking(event, np.isin(codes.codes, rows))

    def token(self, record: type[Record], field: str) -> str:
        """A hash of what is in one field of a record's table."""
        return self.tables[record].token(field)

    def rows_token(self, event: type[Event]) -> str:
        """A hash of which rows are seen and asked, and until when the data are known."""
        return digest(self.seen[event].tobytes(), self.asked[event].tobytes(), str(self.until))

    def summary(self) -> str:
        """Rows, and missing values where there are some, one record a line."""
        return "\n".join(self._line(record, table) for record, table in self.tables.items())

    def __repr__(self) -> str:
        return f"Data({', '.join(f'{r.__name__}: {len(t):,}' for r, t in self.tables.items())})"

    def _line(self, record: type[Record], table: Table) -> str:
        parts = [counted(len(table), "row")]
        if issubclass(record, Event):
            seen, asked = len(self.seen[record]), len(self.asked[record])
            parts += [] if seen == asked == len(table) else [f"{seen:,} seen", f"{asked:,} asked"]
        parts += [f"{n:,} without {name}" for name, n in table.missing.items() if n]
        return f"{record.__name__:<12} {', '.join(parts)}"

    def _split_at(self, given: Any) -> tuple[Data, Data]:
        at = instant(given)
        unit = "" if isinstance(given, (str, date)) else ", since a number is microseconds"
        early = {event: self.times(event) < at for event in self.seen}
        train = self._part(
            {event: where(rows, early[event]) for event, rows in self.seen.items()},
            {event: where(rows, early[event]) for event, rows in self.asked.items()},
            at,
        )
        late = {event: where(rows, ~early[event]) for event, rows in self.asked.items()}
        return _both(train, self._part(self.seen, late, self.until), f", split at {np.datetime64(at, 'us')}{unit}")

    def _split_last(self, last: int, by: Any) -> tuple[Data, Data]:
        if last < 1:
            raise DataError(f"the last {last} events are none", help="split(last=1, by=Visit.viewer)")
        event, name = self._only_reference() if by is None else self._reference(by)
        asked = self.asked[event]
        final = np.zeros(len(self.tables[event]), np.bool_)
        final[asked[last_of(self._codes(event, name).codes[asked], self.times(event)[asked], last)]] = True
        return self._asking(event, final)

    def _asking(self, event: type[Event], marked: Array) -> tuple[Data, Data]:
        """The data without the marked rows of an event, and a part that asks only those and sees all."""
        seen = {**self.seen, event: where(self.seen[event], ~marked)}
        rest = {**self.asked, event: where(self.asked[event], ~marked)}
        asked = {e: where(rows, marked) if e is event else rows[:0] for e, rows in self.asked.items()}
        return _both(self._part(seen, rest, self.until), self._part(self.seen, asked, self.until))

    def _part(self, seen: Rows, asked: Rows, until: int | None) -> Data:
        part = copy.copy(self)
        part._set(self.tables, seen, asked, until)
        return part

    def _set(self, tables: Mapping[type[Record], Table], seen: Rows, asked: Rows, until: int | None) -> None:
        self.tables, self.seen, self.asked, self.until = tables, seen, asked, until

    def times(self, event: type[Event]) -> Array:
        """When each of the event's rows happened: int64 microseconds since 1970."""
        return cast(Array, self.tables[event].columns[event.time_field()])

    def _codes(self, event: type[Event], name: str) -> Codes:
        return cast(Codes, self.tables[event].columns[name])

    def _reference(self, handle: Any) -> tuple[type[Event], str]:
        """Which event and field a handle such as Visit.viewer is."""
        node = reference_of(handle).node
        if not isinstance(node, Field) or node.record not in self.seen:
            names = listed(f"{event.__name__}.{name}" for event in self.seen for name in event.references())
            raise DataError(f"{node.label()} is no reference of an event of these data", help=names)
        return node.record, node.name

    def _only_reference(self) -> tuple[type[Event], str]:
        known = [(e, name) for e in self.seen for name in e.references() if not e.specs[name].outcome]
        if len(known) != 1:
            names = listed(f"{event.__name__}.{name}" for event, name in known)
            raise DataError("split(last=...) does not say whose last events", help=f"by=...; {names}")
        return known[0]


def check_data(name: str, given: Any) -> None:
    """Errors: what is given as data is something else."""
    if not isinstance(given, Data):
        raise DataError(
            f"{name}={given!r} is no data",
            help="data = mt.Data({Visit: ...}); train, test = data.split(at=...)",
        )


def _both(train: Data, test: Data, how: str = "") -> tuple[Data, Data]:
    for part, name in ((train, "first"), (test, "second")):
        if not any(len(rows) for rows in part.asked.values()):
            raise DataError(f"the {name} part would have no events{how}", help=_span(train, test))
    return train, test


def _span(train: Data, test: Data) -> str:
    """From when to when each event happened, over both parts."""
    lines: list[str] = []
    for event in train.asked:
        rows = np.concatenate([train.asked[event], test.asked[event]])
        if len(rows):
            times = cast(Array, train.tables[event].columns[event.time_field()])[rows]
            first, final = np.array([times.min(), times.max()], "datetime64[us]")
            lines.append(f"{counted(len(rows), 'event')} of {event.__name__}, from {first} to {final}")
    return "; ".join(lines) or "there are no events to split"
