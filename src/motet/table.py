"""One record's rows as typed columns, and the parser that data and asks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pyarrow as pa

from motet.batch import Array, Codes, Ragged, Value, Vocabulary, concat, take
from motet.errors import listed
from motet.kinds import READERS, Given, Read, key, reference
from motet.model import digest
from motet.problems import Problem, counted, few, refuse, shown
from motet.record import Entity, Event, Record
from motet.sources import Found, Readable, Source, array_of, load

Entities = Mapping[type[Entity], Vocabulary]


@dataclass(frozen=True, eq=False)
class Table:
    """One record's rows as columns; row i is row i of the source.

    columns: per field, as motet.batch describes values. A reference is Codes: rows of the entity's table.
    missing: per field, how many rows have no value.
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
            self._tokens[name] = digest(*_bytes(self.columns[name]))
        return self._tokens[name]


def parse(record: type[Record], source: Readable, entities: Entities, *, partial: bool = False) -> Table:
    """Rows of a record as a Table. Errors: one DataError with all that is wrong.

    source: what `Data` takes, or one dict. entities: the keys that references point at.
    partial: for what is asked: outcomes may be absent, a key that an entity does not have is row -1 and not
    an error, and a field that the record does not have is an error.
    """
    rows = [source] if isinstance(source, Mapping) else source
    given = rows if isinstance(rows, Source) else Source(rows)
    problems: list[Problem] = []
    found = load(given, wanted(record, given))
    if partial:
        problems.extend(_unknown(record, given, found))
    table = table_of(record, given, found, entities, problems, partial=partial)
    refuse(problems)
    return table


def wanted(record: type[Record], source: Source) -> list[str]:
    """What the record's fields are called in the source."""
    return [source.names.get(name, name) for name in record.fields]


def table_of(
    record: type[Record],
    source: Source,
    found: Found,
    entities: Entities,
    problems: list[Problem],
    *,
    partial: bool = False,
) -> Table:
    """What was found as a Table; whatever is wrong joins `problems`, and then the table is not to be used."""
    columns: dict[str, Value] = {}
    missing: dict[str, int] = {}
    for name in record.fields:
        value, gone = _field(record, name, source, found, entities, problems, partial)
        columns[name], missing[name] = value, int(gone.sum())
    own: Vocabulary | None = None
    if issubclass(record, Entity):
        keys = columns[record.key_field()]
        own = entities.get(record) or Vocabulary(
            keys if isinstance(keys, pa.Array) else pa.nulls(0, pa.int64())
        )
    return Table(record, columns, missing, found.rows, own)


def _field(
    record: type[Record],
    name: str,
    source: Source,
    found: Found,
    entities: Entities,
    problems: list[Problem],
    partial: bool,
) -> Read:
    spec, called = record.specs[name], source.names.get(name, name)
    values = found.columns.get(called)
    absent = values is None
    if absent and not (spec.has_default or (partial and spec.outcome)):
        problems.append(_no_column(record, name, called, found))
    values = pa.nulls(found.rows) if values is None else values
    label = f"{record.__name__}.{name}"
    value, gone = read_field(
        record, name, Given(label, values, problems, spec.labels, found.untyped), entities, not partial
    )
    if spec.has_default and spec.default is not None and gone.any():
        default = Given(label, array_of([spec.default]), problems, spec.labels)
        value, gone = _filled(value, gone, read_field(record, name, default, entities, not partial)[0])
    if not absent:
        _check_given(record, name, value, gone, problems)
    return value, gone


def read_field(record: type[Record], name: str, given: Given, entities: Entities, strict: bool) -> Read:
    """The field's values by its declared kind."""
    kind = cast(Any, record.fields[name])
    if not issubclass(kind, Entity):
        return READERS[kind](given)
    keys = entities.get(kind)
    if keys is None:  # the entity itself could not be read, which is said already
        return Codes(
            np.full(len(given.values), -1, np.int32), Vocabulary(pa.nulls(0, pa.int64()))
        ), given.values.is_null()
    return reference(given, keys, kind.__name__, strict)


def _filled(value: Value, gone: Array, default: Value) -> Read:
    """The value with the default where it is missing."""
    rows = np.where(gone, len(gone), np.arange(len(gone)))
    return take(concat([value, default]), rows), np.zeros(len(gone), np.bool_)


def _check_given(record: type[Record], name: str, value: Value, gone: Array, problems: list[Problem]) -> None:
    """What may not be missing, or not be there twice."""
    label = f"{record.__name__}.{name}"
    if issubclass(record, Event) and name == record.time_field() and gone.any():
        rows = np.flatnonzero(gone)
        problems.append(
            Problem(
                f"{label}: {counted(len(rows), 'event')} without a time: {_rows(rows)}",
                "an event happens at a time: leave out what has none",
            )
        )
    if issubclass(record, Entity) and name == record.key_field() and isinstance(value, pa.Array):
        problems.extend(_bad_keys(label, value, gone))


def _bad_keys(label: str, keys: pa.Array, gone: Array) -> list[Problem]:
    problems: list[Problem] = []
    if gone.any():
        rows = np.flatnonzero(gone)
        problems.append(
            Problem(
                f"{label}: {counted(len(rows), 'row')} without a key: {_rows(rows)}", "every row needs one"
            )
        )
    counts = keys.drop_null().value_counts()
    twice = counts.filter(pa.array(np.asarray(counts.field("counts")) > 1))
    if len(twice):
        names = (f"{shown(pair['values'].as_py())} ({pair['counts']} times)" for pair in twice)
        problems.append(
            Problem(
                f"{label}: {counted(len(twice), 'key')} not unique: {few(names, len(twice))}", "one row a key"
            )
        )
    return problems


def _rows(rows: Sequence[int] | Array) -> str:
    return f"row{'s' if len(rows) > 1 else ''} {few(rows, len(rows))}"


def _no_column(record: type[Record], name: str, called: str, found: Found) -> Problem:
    return Problem(
        f"{record.__name__}.{name}: {found.source} has no column {called!r}; {listed(found.exist, called)}",
        f'mt.read(source, {name}="the column\'s name there")',
    )


def unknown_names(record: type[Record], names: Sequence[str]) -> list[Problem]:
    """Names that are no field of the record."""
    other = [name for name in names if name not in record.fields]
    return [
        Problem(
            f"{record.__name__} has no field {name!r}; {listed(record.fields, name)}",
            "give declared fields only",
        )
        for name in other
    ]


def _unknown(record: type[Record], source: Source, found: Found) -> list[Problem]:
    back = {called: name for name, called in source.names.items()}
    return unknown_names(record, [back.get(called, called) for called in found.exist])


def own_keys(record: type[Entity], source: Source, found: Found) -> pa.Array | None:
    """An entity's keys, None where they cannot be read; what is wrong with them `table_of` says."""
    values = found.columns.get(source.names.get(record.key_field(), record.key_field()))
    if values is None:
        return None
    keys = key(Given("", values, [], untyped=found.untyped))[0]
    return keys if isinstance(keys, pa.Array) else None


def _bytes(value: Value) -> list[str | bytes]:
    """What a column holds, as bytes that are equal where the contents are."""
    if isinstance(value, Codes):
        return ["codes", *_bytes(value.codes), *_bytes(value.names.names)]
    if isinstance(value, Ragged):
        flat, offsets = value.windows.flat()
        names = [] if value.names is None else _bytes(value.names.names)
        return ["ragged", *_bytes(flat), *_bytes(offsets), *names]
    if isinstance(value, pa.Array):
        return _array_bytes(value)
    array = np.ascontiguousarray(cast(Array, value))
    return [str(array.dtype), str(array.shape), array.tobytes()]


def _array_bytes(array: pa.Array) -> list[str | bytes]:
    here = b"" if array.null_count == 0 else np.asarray(array.is_valid()).tobytes()
    if pa.types.is_integer(array.type):
        return ["keys", here, np.asarray(array.fill_null(0)).tobytes()]
    filled = array.fill_null("") if array.null_count else array
    lengths = np.asarray(pa.compute.binary_length(filled)).astype(np.int64)
    offsets = np.frombuffer(filled.buffers()[1], np.int64)[filled.offset : filled.offset + len(filled) + 1]
    data = filled.buffers()[2]
    content = b"" if data is None else memoryview(data)[int(offsets[0]) : int(offsets[-1])].tobytes()
    return ["texts", here, lengths.tobytes(), content]
