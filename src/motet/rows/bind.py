"""From sources to tables: every source is read once, and everything that is wrong is said at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from motet.batch import Vocabulary
from motet.errors import DataError, GraphError
from motet.record import Entity, Event, Record
from motet.rows.given import Given
from motet.rows.keys import distinct, key
from motet.rows.problems import Problem, refuse
from motet.sources import Readable, Source, load
from motet.table import Reading, Table, unknown_names, wanted

Bound = dict[type[Record], Table]


def bind(sources: Mapping[type[Record], Readable]) -> Bound:
    """Per record its table, those of entities that are nothing but their keys included.

    Errors: one DataError with everything that is wrong in all of them.
    """
    problems: list[Problem] = []
    entities: dict[type[Entity], Vocabulary] = {}
    readings = _readings(sources, entities, problems)
    for reading in readings:
        keys = reading.keys() if issubclass(reading.record, Entity) else None
        if keys is not None:
            entities[cast(type[Entity], reading.record)] = Vocabulary(keys)
    derived = _derived(sources, readings, problems)
    entities.update(derived)
    tables: Bound = {reading.record: reading.table() for reading in readings}
    refuse(problems)
    return tables | {entity: _of_keys(entity, keys) for entity, keys in derived.items()}


def _readings(
    sources: Mapping[type[Record], Readable],
    entities: Mapping[type[Entity], Vocabulary],
    problems: list[Problem],
) -> list[Reading]:
    """What each source holds; one that cannot be read is a problem."""
    if not sources:
        raise DataError("there are no sources", help='mt.Data({Film: "films.parquet", Visit: "visits.parquet"})')
    readings: list[Reading] = []
    for record, readable in sources.items():
        _check_bindable(record)
        source = readable if isinstance(readable, Source) else Source(readable)
        problems.extend(unknown_names(record, list(source.names)))
        try:
            found = load(source, wanted(record, source))
        except DataError as error:
            text = str(error).partition("\nhelp: ")[0]
            problems.append(Problem(f"{record.__name__}: {text}", error.help))
        else:
            readings.append(Reading(record, source, found, entities, problems))
    return readings


def _check_bindable(record: Any) -> None:
    if not (isinstance(record, type) and issubclass(record, (Entity, Event)) and record.fields):
        name = getattr(cast(Any, record), "__name__", None) or repr(cast(Any, record))
        raise GraphError(f"{name} is no Entity or Event, so it has no rows", help="mt.Data({Film: ..., Visit: ...})")


def _derived(
    sources: Iterable[type[Record]], readings: list[Reading], problems: list[Problem]
) -> dict[type[Entity], Vocabulary]:
    """The keys of the entities that have no source: those that refer to them, sorted."""
    known = set(sources)
    derived: dict[type[Entity], Vocabulary] = {}
    for entity in _referred(known):
        more = [name for name in entity.fields if name != entity.key_field()]
        if entity in known:
            continue
        if more:
            text = f"{entity.__name__} has no source, and only that can give its {', '.join(more)}"
            name = entity.__name__
            problems.append(Problem(text, f'mt.Data({{{name}: "{name.lower()}s.parquet", ...}})'))
        else:
            derived[entity] = _keys_of([given for reading in readings for given in reading.references(entity)])
    return derived


def _referred(records: Iterable[type[Record]]) -> list[type[Entity]]:
    """Every entity that the records refer to, in order of their names."""
    found = {entity for record in records for entity in record.references().values()}
    return sorted(found, key=lambda entity: entity.__name__)


def _keys_of(references: list[Given]) -> Vocabulary:
    """Distinct keys, sorted."""
    parts: list[pa.Array] = []
    for given in references:
        values = pc.drop_null(pc.unique(given.values))
        if len(values):  # the references themselves are judged when their tables are read
            parts.append(key(Given("", values, [], untyped=given.untyped))[0])
    keys = distinct(parts)
    return Vocabulary(keys.take(pc.sort_indices(keys)))


def _of_keys(entity: type[Entity], keys: Vocabulary) -> Table:
    return Table(entity, {entity.key_field(): keys.names}, {entity.key_field(): 0}, len(keys), keys)
