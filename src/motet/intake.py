"""Asks as columns, quickly: what `parse` makes of rows, for the values that nearly every ask has.

A request is one row or a few, and going through Arrow's general readers costs a millisecond. Where every value is
of the plain type that its column wants, the column is written down directly; otherwise `parse` reads the rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from motet.batch import Array, Codes, Value, Vocabulary
from motet.column import Category, Flag, Number, Text, Time
from motet.errors import DataError
from motet.record import Entity, Event, Spec
from motet.rows.asks import outcomes
from motet.rows.kinds import nothing
from motet.rows.problems import refuse
from motet.rows.times import FIRST, LAST
from motet.table import Entities, Table, parse

Row = Mapping[str, Any]
MORE = 20  # fields beyond an event's own that are named one by one
LARGEST = 2**63  # keys are whole numbers of 64 bits


def table_of(event: type[Event], rows: Sequence[Row], entities: Entities) -> Table:
    """Rows of an event that is asked, as `parse(..., partial=True)` reads them. Errors: those of `parse`."""
    return _plain(event, rows, entities) or parse(event, rows, entities, partial=True)


def asked(event: type[Event], rows: Sequence[Row], entities: Entities) -> Table:
    """Asks that arrive now: one without a time has this one. Errors: those of `parse`."""
    now = round(time.time() * 1e6) / 1e6
    return table_of(event, [dated(event, row, now) for row in rows], entities)


def dated(event: type[Event], row: Row, now: float) -> Row:
    """A row with its time, which is now where none is given."""
    name = event.time_field()
    return row if row.get(name) is not None else {**row, name: now}


def check(event: type[Event], row: Row, entities: Entities) -> None:
    """Refuses one ask that is wrong, before it is put together with others. Errors: DataError."""
    if len(row) > len(event.fields) + MORE:
        raise DataError(
            f"{len(row):,} fields are given, and {event.__name__} has {len(event.fields)}",
            help=f"its fields: {', '.join(event.fields)}",
        )
    whole = dated(event, row, 0.0)
    if not _is_ask(event, whole, entities):
        refuse(outcomes(event, [row]))
        parse(event, [whole], entities, partial=True)


def _is_ask(event: type[Event], row: Row, entities: Entities) -> bool:
    """Whether a row has what is known when it is asked, all of it plain, and nothing else."""
    known = 0
    for name, kind in event.fields.items():
        spec = event.specs[name]
        if spec.outcome:
            continue
        known += name in row
        if not _fits(kind, spec, row.get(name, spec.default), entities):
            return False
    return known == len(row)


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
    for name, kind in fields.items():
        spec = event.specs[name]
        unknown = spec.outcome and not any(name in row for row in rows)
        value = _unknown(kind, spec, len(rows), entities) if unknown else _column(name, kind, spec, rows, entities)
        if value is None:
            return None
        columns[name], missing[name] = value, len(rows) if unknown else 0
    return Table(event, columns, missing, len(rows))


def _unknown(kind: Any, spec: Spec, rows: int, entities: Entities) -> Value | None:
    """The column of an outcome that no row gives."""
    if not issubclass(kind, Entity):
        return nothing(kind, rows, spec.labels)
    keys = entities.get(kind)
    return None if keys is None else Codes(np.full(rows, -1, np.int32), keys)


def _column(name: str, kind: Any, spec: Spec, rows: Sequence[Row], entities: Entities) -> Value | None:
    values = [row.get(name, spec.default) for row in rows]
    if not all(_fits(kind, spec, value, entities) for value in values):
        return None
    if issubclass(kind, Entity):
        keys = entities[kind]
        return Codes(np.array([keys.code(value) for value in values], np.int32), keys)
    return PLAIN[kind].read(values)


def _fits(kind: Any, spec: Spec, value: Any, entities: Entities) -> bool:
    """Whether a value is of the plain type that its column wants."""
    if issubclass(kind, Entity):
        keys = entities.get(kind)
        if keys is None or not len(keys):
            return False
        return _is_whole(value) if pa.types.is_integer(keys.names.type) else type(value) is str
    plain = PLAIN.get(kind)
    return plain is not None and not spec.labels and plain.fits(value)


def _is_whole(value: Any) -> bool:
    return type(value) is int and -LARGEST <= value < LARGEST


def _is_number(value: Any) -> bool:
    if type(value) is int:
        return abs(value) < LARGEST
    return type(value) is float and isfinite(value)


def _is_time(value: Any) -> bool:
    return _is_number(value) and FIRST <= value * 1e6 <= LAST


def _is_text(value: Any) -> bool:
    """A lone surrogate, which JSON can write, nothing can keep."""
    return type(value) is str and (value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value))


def _is_flag(value: Any) -> bool:
    return type(value) is bool


def _numbers(values: list[Any]) -> Array:
    return np.array(values, np.float64)


def _times(values: list[Any]) -> Array:
    return np.round(_numbers(values) * 1e6).astype(np.int64)


def _texts(values: list[Any]) -> pa.Array:
    return pa.array(values, pa.large_string())


def _categories(values: list[Any]) -> Codes:
    names = sorted(set(values))
    place = {name: code for code, name in enumerate(names)}
    return Codes(np.array([place[value] for value in values], np.int32), Vocabulary(_texts(names)))


class Plain(NamedTuple):
    """Which values of a kind need no closer look, and the column that they make."""

    fits: Callable[[Any], bool]
    read: Callable[[list[Any]], Value]


PLAIN: Mapping[type, Plain] = {
    Text: Plain(_is_text, _texts),
    Number: Plain(_is_number, _numbers),
    Flag: Plain(_is_flag, _numbers),
    Time: Plain(_is_time, _times),
    Category: Plain(_is_text, _categories),
}
