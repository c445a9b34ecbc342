"""What is posted as events: which shapes they may have, whether they fit their records, and what the log keeps.

An event is a record's fields, outcomes included, in one object with two names beside them: `id`, by which the same
event that is sent twice counts once, and `type`, the record, which may be left out where there is only one. A record
that has a field called `id` or `type` itself has its fields one level down: {"id": ..., "type": ..., "fields": {...}}.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, cast

import msgspec
import numpy as np
import pyarrow as pa

from motet import intake
from motet.batch import Array, Codes, Ragged
from motet.errors import DataError, listed
from motet.record import Event
from motet.rows.keys import DIGITS
from motet.rows.problems import Problem, shown
from motet.serve import http
from motet.serve.journal import Happened
from motet.serve.problems import Refused
from motet.table import Entities

MOST = 1_000  # events of one request
LONGEST = 200  # characters of an id
AHEAD = 86_400.0  # seconds that an event may lie in the future: clocks and time zones are wrong by less
BESIDE = ("id", "type")
NAMED = 20  # wrong events that a reply names; the rest are not even looked at
SHAPE = 'send one event, {"id": "...", "field": value}, or several: a JSON array, or one object a line'

Kinds = Mapping[str, type[Event]]
Row = dict[str, Any]
Found = dict[int, Happened | Problem]  # what came of each event, by its place


@dataclass(frozen=True)
class Posted:
    """One event of a request. place: which one, from 0. row: its fields as they are given."""

    place: int
    id: str
    event: type[Event]
    row: Row


class Wrong(Exception):
    """What is wrong with one event."""

    def __init__(self, text: str, help: str) -> None:
        super().__init__(text)
        self.problem = Problem(text, help)


def nested(event: type[Event]) -> bool:
    """Whether the record's own fields would hide what stands beside them."""
    return any(name in event.fields for name in BESIDE)


def read(body: bytes) -> list[Any]:
    """The events of a body: one object, an array, or one JSON value a line. Refused: none of them, none, too many."""
    found = _lines(body) if _is_lines(body) else http.decoded(body)
    events = cast("list[Any]", found) if isinstance(found, list) else [found]
    if not events:
        raise Refused(422, "there is no event in the body", SHAPE)
    if len(events) > MOST:
        raise Refused(413, f"{len(events):,} events are more than a request may have: {MOST:,}", "send fewer at once")
    return events


def checked(events: Sequence[Any], kinds: Kinds, entities: Entities, now: float) -> list[Happened]:
    """What the log keeps of events, which all fit their records. now: the time of those that say none.

    Errors: one DataError that names every event that is wrong by its place, from 0.
    """
    posted: list[Posted] = []
    found: Found = {}
    for place, given in enumerate(events):
        try:
            posted.append(_posted(place, given, kinds))
        except Wrong as error:
            found[place] = error.problem
    for event in dict.fromkeys(each.event for each in posted):
        found |= _judged([each for each in posted if each.event is event], entities, now)
    if wrong := _wrong(found):
        raise _refusal(wrong, len(events))
    return [kept for _, kept in sorted(found.items()) if isinstance(kept, Happened)]


def _is_lines(body: bytes) -> bool:
    """Whether the first of several lines is an object by itself."""
    first, _, rest = body.strip().partition(b"\n")
    if not (first.startswith(b"{") and rest):
        return False
    try:
        msgspec.json.decode(first)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _lines(body: bytes) -> list[Any]:
    found: list[Any] = []
    for number, line in enumerate(body.splitlines(), 1):
        if line.strip():
            try:
                found.append(http.decoded(line))
            except Refused as error:
                raise Refused(error.status, f"line {number}: {error.detail}", SHAPE) from None
    return found


def _posted(place: int, given: Any, kinds: Kinds) -> Posted:
    if not isinstance(given, dict):
        raise Wrong(f"{shown(given)} is no object", SHAPE)
    row = cast(Row, given)
    event = _kind(row, kinds)
    if nested(event):
        return Posted(place, _id(row), event, _fields(row, event))
    return Posted(place, _id(row), event, {name: value for name, value in row.items() if name not in BESIDE})


def _kind(row: Row, kinds: Kinds) -> type[Event]:
    if "type" not in row and len(kinds) == 1:
        return next(iter(kinds.values()))
    name = row.get("type")
    if isinstance(name, str) and name in kinds:
        return kinds[name]
    what = "its type is not given" if "type" not in row else f"{shown(name)} is no type of event"
    raise Wrong(what, f'"type": one of the events of the graph; {listed(kinds, name if isinstance(name, str) else "")}')


def _fields(row: Row, event: type[Event]) -> Row:
    """The fields of a record that has some called like what stands beside them."""
    fields = row.get("fields")
    if not isinstance(fields, dict) or not row.keys() <= {*BESIDE, "fields"}:
        raise Wrong(
            f"{event.__name__} has a field of its own called id or type, so its fields stand one level down",
            f'{{"id": "...", "type": "{event.__name__}", "fields": {{...}}}}',
        )
    return cast(Row, fields)


def _id(row: Row) -> str:
    if "id" not in row:
        return uuid.uuid4().hex
    given = row["id"]
    if not (isinstance(given, str) and 0 < len(given) <= LONGEST and given.isprintable()):
        raise Wrong(
            f"{shown(given)} is no id",
            f"an id is a text of 1 to {LONGEST} printable characters; without one the server makes one",
        )
    return given


def _judged(posted: Sequence[Posted], entities: Entities, now: float) -> Found:
    """What is kept of events of one record, or wrong with them; one by one where they do not fit together."""
    event = posted[0].event
    try:
        if len(posted) > 1 and not all(_needed(event) <= each.row.keys() for each in posted):
            raise DataError("a field that one event lacks is not made up for by another that has it")
        table = intake.table_of(event, [intake.dated(event, each.row, now) for each in posted], entities)
    except DataError as error:
        if len(posted) > 1:
            return _one_by_one(posted, entities, now)
        return {posted[0].place: Problem(error.what, error.help)}
    ahead = (cast(Array, table.columns[event.time_field()]) / 1e6 - now).tolist()
    read = {name: _read(column) for name, column in table.columns.items()}
    read |= {name: [_key(each.row.get(name)) for each in posted] for name in event.references()}
    return {
        each.place: _happened(each, now, {name: read[name][row] for name in each.row})
        if ahead[row] <= AHEAD
        else _too_early(event, ahead[row])
        for row, each in enumerate(posted)
    }


def _one_by_one(posted: Sequence[Posted], entities: Entities, now: float) -> Found:
    """All of them, unless too many are wrong."""
    found: Found = {}
    for each in posted:
        found |= _judged([each], entities, now)
        if len(_wrong(found)) == NAMED:
            break
    return found


def _wrong(found: Found) -> dict[int, Problem]:
    return {place: each for place, each in found.items() if isinstance(each, Problem)}


def _too_early(event: type[Event], seconds: float) -> Problem:
    label = f"{event.__name__}.{event.time_field()}"
    return Problem(f"{label} is {seconds:,.0f} s from now", f"an event lies {AHEAD:,.0f} s ahead at most")


def _needed(event: type[Event]) -> set[str]:
    """The fields that an event has to give."""
    optional = {name for name, spec in event.specs.items() if spec.outcome or spec.has_default}
    return event.fields.keys() - optional - {event.time_field()}


def _refusal(wrong: Mapping[int, Problem], events: int) -> DataError:
    if events == 1:
        return DataError(wrong[0].text, help=wrong[0].help)
    places = sorted(wrong)[:NAMED]
    said = "; ".join(f"event {place}: {wrong[place].text}" for place in places)
    looked = "" if len(wrong) < NAMED else "; later ones were not looked at"
    return DataError(f"no event was taken, since some are wrong: {said}{looked}", help=wrong[places[0]].help)


def _happened(each: Posted, now: float, read: Row) -> Happened:
    """read: the fields that are given, as their types read them, by which the same event is known again."""
    kind, there = each.event.__name__, {name: value for name, value in read.items() if value is not None}
    digest = blake2b(_written([kind, there]).encode(), digest_size=16).hexdigest()
    return Happened(each.id, kind, _written(intake.dated(each.event, each.row, now)), digest)


def _read(column: Any) -> list[Any]:
    """A column's values, equal ones alike however they were written: 5, 5.0 and "5" of a Number."""
    if isinstance(column, pa.Array):
        return column.to_pylist()
    if isinstance(column, Codes):
        return [column.names.names[code].as_py() if code >= 0 else None for code in column.codes.tolist()]
    if isinstance(column, Ragged):
        names = column.names.tolist() if column.names is not None else []
        return [[names[code] for code in column.windows.row(row).tolist()] for row in range(len(column))]
    numbers = cast(Array, column)
    return [_number(value) for value in (numbers / 1e6 if numbers.dtype == np.int64 else numbers).tolist()]


def _number(value: Any) -> Any:
    """A number, or several, as most people write it; None where there is none."""
    if isinstance(value, list):
        return [_number(each) for each in cast("list[Any]", value)]
    if value != value:
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _key(given: Any) -> Any:
    """A reference as it is given may name what nobody knows yet. 7, 7.0 and "7" are one key."""
    if isinstance(given, str):
        return int(given) if re.fullmatch(DIGITS, given) else given
    return int(given) if isinstance(given, float) and given.is_integer() else given


def _written(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
