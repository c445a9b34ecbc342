"""One record's rows as typed columns, and the parser that data and asks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pyarrow as pa

from motet.batch import Array, Codes, Value, Vocabulary, concat, take
from motet.errors import counted, listed
from motet.model import digest
from motet.record import Entity, Event, Record
from motet.rows.asks import Asks, wrong_keys
from motet.rows.contents import contents
from motet.rows.found import Found, array_of
from motet.rows.given import Given, Read, blank
from motet.rows.keys import as_keys, can_be_keys, distinct, duplicates, key, reference
from motet.rows.kinds import READERS, nothing
from motet.rows.problems import Problem, few, refuse, shown
from motet.rows.times import HELP
from motet.sources import Readable, Source, load

Entities = Mapping[type[Entity], Vocabulary]


@dataclass(frozen=True, eq=False)
class Table:
    """One record's rows as columns; row i is row i of the source.

    columns: per field, as motet.batch describes values. A reference is Codes: rows of the entity's table.
    missing: per field, how many rows have no value. keys: of an Entity, what references point at.
    """

    record: type[Record]
    columns: Mapping[str, Value]
    missing: Mapping[str, int]
    rows: int
    keys: Vocabulary | None = None
    _tokens: dict[str, str] = field(default_factory=dict[str, str], repr=False)

    def __len__(self) -> int:
        return self.rows

    def token(self, name: str) -> str:
        """A hash of what is in one field; equal contents have equal tokens."""
        if name not in self._tokens:
            self._tokens[name] = digest(*contents(self.columns[name]))
        return self._tokens[name]


def parse(record: type[Record], source: Readable, entities: Entities, *, partial: bool = False) -> Table:
    """Rows of a record as a Table. Errors: one DataError with all that is wrong.

    source: what `Data` takes, or one dict. entities: the keys that references point at.
    partial: for dicts that arrive now: outcomes may be absent, a key that an entity does not have is row -1 and
    no error, and a field that the record does not have is an error.
    """
    rows = [cast("Mapping[str, Any]", source)] if isinstance(source, Mapping) else source
    given = rows if isinstance(rows, Source) else Source(rows)
    found = load(given, wanted(record, given))
    if partial:
        refuse(wrong_keys(record, cast(Asks, given.what), entities))
    problems = unknown_names(record, _fields_of(given, found)) if partial else []
    table = Reading(record, given, found, entities, problems, partial).table()
    refuse(problems)
    return table


def newcomers(
    event: type[Event], rows: Sequence[Mapping[str, Any]], entities: Entities
) -> dict[type[Entity], Vocabulary]:
    """The keys of those entities of which these rows name some for the first time, the new ones last.

    What can be no key is left out: `parse` says so.
    """
    source = Source(list(rows))
    reading = Reading(event, source, load(source, wanted(event, source)), entities, [], partial=True)
    met: dict[type[Entity], Vocabulary] = {}
    for entity in dict.fromkeys(event.references().values()):
        keys = entities[entity]
        given = [named for named in reading.references(entity) if can_be_keys(named.values)]
        named = distinct([as_keys(each, keys) for each in given])
        new = named.filter(pa.array(keys.codes(named) < 0))
        if len(new):
            met[entity] = keys.extended(new)
    return met


def wanted(record: type[Record], source: Source) -> list[str]:
    """What the record's fields are called in the source."""
    return [source.names.get(name, name) for name in record.fields]


def unknown_names(record: type[Record], names: list[str]) -> list[Problem]:
    """Names that are no field of the record."""
    return [
        Problem(f"{record.__name__} has no field {name!r}", f"{record.__name__}: {listed(record.fields, name)}")
        for name in names
        if name not in record.fields
    ]


def _fields_of(source: Source, found: Found) -> list[str]:
    back = {called: name for name, called in source.names.items()}
    return [back.get(called, called) for called in found.exist]


@dataclass(frozen=True)
class Reading:
    """What was found for a record, on its way to a table. `problems` gathers what is wrong; a table with
    problems is not to be used."""

    record: type[Record]
    source: Source
    found: Found
    entities: Entities
    problems: list[Problem]
    partial: bool = False

    def table(self) -> Table:
        columns: dict[str, Value] = {}
        missing: dict[str, int] = {}
        for name in self.record.fields:
            columns[name], gone = self._field(name)
            missing[name] = int(gone.sum())
        keys = self._own_keys(columns) if issubclass(self.record, Entity) else None
        return Table(self.record, columns, missing, self.found.rows, keys)

    def keys(self) -> pa.Array | None:
        """The entity's keys as they are, None where there is no such column: what is wrong `table` says."""
        assert issubclass(self.record, Entity)
        given = replace(self, problems=[])._given(self.record.key_field())
        return None if given is None else cast(pa.Array, key(given)[0])

    def references(self, entity: type[Entity]) -> list[Given]:
        """The keys in each reference to an entity, its default among them."""
        names = [name for name, kind in self.record.references().items() if kind is entity]
        quiet = replace(self, problems=[])
        given = [part for name in names for part in (quiet._given(name), quiet._default(name))]
        return [values for values in given if values is not None]

    def _own_keys(self, columns: Mapping[str, Value]) -> Vocabulary:
        entity = cast(type[Entity], self.record)
        known = self.entities.get(entity)
        return Vocabulary(cast(pa.Array, columns[entity.key_field()])) if known is None else known

    def _given(self, name: str) -> Given | None:
        """A field's values as the source has them, None where it has no such column."""
        values = self.found.columns.get(self.source.names.get(name, name))
        if values is None:
            return None
        labels = self.record.specs[name].labels
        return Given(f"{self.record.__name__}.{name}", values, self.problems, labels, self.found.untyped, self.partial)

    def _default(self, name: str) -> Given | None:
        """A field's default as a source of one row, None where it has none."""
        spec = self.record.specs[name]
        if spec.default is None:
            return None
        label = f"the default of {self.record.__name__}.{name}"
        return Given(label, array_of([spec.default]), self.problems, spec.labels)

    def _field(self, name: str) -> Read:
        spec, given, default = self.record.specs[name], self._given(name), self._default(name)
        if given is None:
            if not (spec.has_default or (self.partial and spec.outcome)):
                self.problems.append(self._no_column(name))
            given = Given("", pa.nulls(self.found.rows), self.problems, spec.labels)
        value, gone = self._read(name, given)
        if default is not None and gone.any():
            return _filled(value, gone, self._read(name, default)[0])
        if given.name:
            self._check(name, given, value)
        return value, gone

    def _read(self, name: str, given: Given) -> Read:
        kind = cast(Any, self.record.fields[name])
        rows = len(given.values)
        if issubclass(kind, Entity):
            keys = self.entities.get(kind)
            if keys is None or pa.types.is_null(given.values.type):
                names = Vocabulary(pa.nulls(0, pa.int64())) if keys is None else keys
                return Codes(np.full(rows, -1, np.int32), names), np.ones(rows, np.bool_)
            return reference(given, keys, kind, strict=not self.partial)
        if pa.types.is_null(given.values.type):
            return nothing(kind, rows, given.labels), np.ones(rows, np.bool_)
        return READERS[kind](given)

    def _no_column(self, name: str) -> Problem:
        called, record = self.source.names.get(name, name), self.record.__name__
        if self.partial:
            known = ", ".join(n for n, spec in self.record.specs.items() if not spec.outcome)
            return Problem(f"{record}.{name} is not given", f"{record} is asked with: {known}")
        exist = listed(self.found.exist, called)
        text = f"{record}.{name}: {self.found.source} has no column {called!r}; {exist}"
        return Problem(text, f'mt.read(source, {name}="its name there")')

    def _check(self, name: str, given: Given, value: Value) -> None:
        """A time and a key may not be missing, and a key not be there twice."""
        record, empty = self.record, np.flatnonzero(blank(given.values))
        if issubclass(record, Event) and name == record.time_field():
            if given.alone and len(empty):
                self.problems.append(Problem(f"{given.name} is empty", HELP))
            else:
                self._note_empty(empty, f"{given.name}: {counted(len(empty), 'event')} without a time")
        if issubclass(record, Entity) and name == record.key_field():
            self._note_empty(empty, f"{given.name}: {counted(len(empty), 'row')} without a key")
            twice = duplicates(cast(pa.Array, value))
            if len(twice):
                names = (f"{shown(pair['values'].as_py())} ({pair['counts']} times)" for pair in twice)
                text = f"{given.name}: {counted(len(twice), 'key')} more than once: {few(names, len(twice))}"
                self.problems.append(Problem(text, f"one row per {record.__name__}"))

    def _note_empty(self, rows: Array, text: str) -> None:
        if len(rows):
            places = f"row{'s' if len(rows) > 1 else ''} {few(rows, len(rows))}"
            self.problems.append(Problem(f"{text}: {places}", "leave out the rows that have none"))


def _filled(value: Value, gone: Array, default: Value) -> Read:
    """The value, with the default where it is missing."""
    rows = np.where(gone, len(gone), np.arange(len(gone)))
    return take(concat([value, default]), rows), np.zeros(len(gone), np.bool_)
