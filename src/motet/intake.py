"""Asks as columns, quickly: what `parse` makes of rows, for the values that nearly every ask has.

A request is one row or a few, and going through Arrow's general readers costs a millisecond. Where every value is
of the plain type that its column wants, the column is written down directly; otherwise `parse` reads the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, cast

import numpy as np
import pyarrow as pa

from motet.batch import Array, Codes, Value, Vocabulary
from motet.column import Category, Flag, Number, Text, Time
from motet.record import Entity, Event
from motet.rows.asks import outcomes
from motet.rows.kinds import nothing
from motet.rows.problems import refuse
from motet.rows.times import FIRST, LAST
from motet.table import Entities, Table, parse

Row = Mapping[str, Any]
LARGEST = 2**63  # keys are whole numbers of 64 bits


def table_of(event: type[Event], rows: Sequence[Row], entities: Entities) -> Table:
    """Rows of an event that is asked, as `parse(..., partial=True)` reads them. Errors: those of `parse`."""
    return _plain(event, rows, entities) or parse(event, rows, entities, partial=True)


def check(event: type[Event], row: Row, entities: Entities) -> None:
    """Refuses one ask that is wrong, before it is put together with others. Errors: DataError."""
    refuse(outcomes(event, [row]))
    now = {event.time_field(): 0.0}
    table_of(event, [{**now, **row}], entities)


def strangers(event: type[Event], rows: Sequence[Row], entities: Entities) -> bool:
    """Whether a key in these rows may be new, or is not written as its entity writes it."""
    for name, entity in event.references().items():
        named = {row.get(name, event.specs[name].default) for row in rows} - {None}
        if not named <= entities[entity].places.keys():
            return True
    return False


def _plain(event: type[Event], rows: Sequence[Row], entities: Entities) -> Table | None:
    """The table, None where a value has to be looked at more closely."""
    fields = event.fields
    if not all(row.keys() <= fields.keys() for row in rows):
        return None
    columns: dict[str, Value] = {}
    missing: dict[str, int] = {}
    for name in fields:
        one = _outcome if event.specs[name].outcome else _column
        value = one(event, name, rows, entities)
        if value is None:
            return None
        columns[name] = value
        missing[name] = 0 if any(name in row for row in rows) or not event.specs[name].outcome else len(rows)
    return Table(event, columns, missing, len(rows))


def _outcome(event: type[Event], name: str, rows: Sequence[Row], entities: Entities) -> Value | None:
    kind = cast(Any, event.fields[name])
    if any(name in row for row in rows):
        return _column(event, name, rows, entities)
    if not issubclass(kind, Entity):
        return nothing(kind, len(rows), event.specs[name].labels)
    keys = entities.get(kind)
    return None if keys is None else Codes(np.full(len(rows), -1, np.int32), keys)


def _column(event: type[Event], name: str, rows: Sequence[Row], entities: Entities) -> Value | None:
    kind, spec = event.fields[name], event.specs[name]
    try:
        values = [row.get(name, spec.default) if spec.has_default else row[name] for row in rows]
    except KeyError:
        return None
    types = set(map(type, values))
    if issubclass(kind, Entity):
        return _reference(values, types, entities.get(kind))
    read = PLAIN.get(cast(Any, kind))
    return None if read is None or spec.labels else read(values, types)


def _reference(values: list[Any], types: set[type], keys: Vocabulary | None) -> Value | None:
    if keys is None or not len(keys):
        return None
    whole = pa.types.is_integer(keys.names.type)
    if types != ({int} if whole else {str}) or (whole and not all(-LARGEST <= value < LARGEST for value in values)):
        return None
    return Codes(np.array([keys.code(value) for value in values], np.int32), keys)


def _number(values: list[Any], types: set[type]) -> Array | None:
    if not types <= {int, float}:
        return None
    try:
        return np.array(values, np.float64) if all(map(isfinite, values)) else None
    except OverflowError:
        return None


def _time(values: list[Any], types: set[type]) -> Array | None:
    seconds = _number(values, types)
    if seconds is None:
        return None
    with np.errstate(over="ignore"):  # to infinity, which is out of range
        stamps = np.round(seconds * 1e6)
    return stamps.astype(np.int64) if stamps.min() >= FIRST and stamps.max() <= LAST else None


def _flag(values: list[Any], types: set[type]) -> Array | None:
    return np.array(values, np.float64) if types == {bool} else None


def _text(values: list[Any], types: set[type]) -> pa.Array | None:
    return pa.array(values, pa.large_string()) if types == {str} and all(map(_is_unicode, values)) else None


def _is_unicode(text: str) -> bool:
    """Whether it has no lone surrogate, which JSON can write and nothing can keep."""
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def _category(values: list[Any], types: set[type]) -> Codes | None:
    if types != {str} or not all(map(_is_unicode, values)):
        return None
    names = sorted(set(values))
    place = {name: code for code, name in enumerate(names)}
    return Codes(np.array([place[value] for value in values], np.int32), Vocabulary(pa.array(names, pa.large_string())))


PLAIN: Mapping[type, Callable[[list[Any], set[type]], Value | None]] = {
    Text: _text,
    Number: _number,
    Flag: _flag,
    Time: _time,
    Category: _category,
}
