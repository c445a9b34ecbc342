"""From sources to tables: every source is read once and everything that is wrong is said at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from motet.batch import Vocabulary
from motet.errors import DataError, GraphError
from motet.kinds import Given, key
from motet.problems import Problem, refuse
from motet.record import Entity, Event, Record
from motet.sources import Found, Readable, Source, load
from motet.table import Table, own_keys, table_of, unknown_names, wanted

Sources = dict[type[Record], tuple[Source, Found]]


def bind(sources: Mapping[type[Record], Readable]) -> dict[type[Record], Table]:
    """Per record its table, those of entities that only events name included.

    Errors: one DataError with everything that is wrong in all of them.
    """
    problems: list[Problem] = []
    loaded = _loaded(sources, problems)
    keys = {
        record: own_keys(record, *found) for record, found in loaded.items() if issubclass(record, Entity)
    }
    unread = {record for record in sources if record not in loaded}
    for entity in _referred(list(sources)):
        if entity not in keys and entity not in unread:
            keys[entity] = _derived(entity, loaded, problems)
    entities = {entity: Vocabulary(found) for entity, found in keys.items() if found is not None}
    tables = {r: table_of(r, source, found, entities, problems) for r, (source, found) in loaded.items()}
    refuse(problems)
    return tables | {e: _of_keys(e, v) for e, v in entities.items() if e not in tables}


def _loaded(sources: Mapping[type[Record], Readable], problems: list[Problem]) -> Sources:
    if not sources:
        raise DataError(
            "there are no sources", help='mt.Data({Film: "films.parquet", Visit: "visits.parquet"})'
        )
    loaded: Sources = {}
    for record, readable in sources.items():
        _check_bindable(record)
        source = readable if isinstance(readable, Source) else Source(readable)
        problems.extend(unknown_names(record, list(source.names)))
        try:
            loaded[record] = source, load(source, wanted(record, source))
        except DataError as error:
            text = str(error).partition("\nhelp: ")[0]
            problems.append(Problem(f"{record.__name__}: {text}", error.help))
    return loaded


def _check_bindable(record: Any) -> None:
    if not (isinstance(record, type) and issubclass(record, (Entity, Event))):
        name = getattr(record, "__name__", repr(record))
        raise GraphError(
            f"{name} is neither an Entity nor an Event, so it has no rows",
            help="Data({Film: ..., Visit: ...})",
        )


def _referred(records: list[type[Record]]) -> list[type[Entity]]:
    """Every entity that the records refer to, and those that these refer to."""
    found: dict[type[Entity], None] = {}
    waiting = list(records)
    while waiting:
        for entity in waiting.pop().references().values():
            if entity not in found:
                found[entity] = None
                waiting.append(entity)
    return list(found)


def _derived(entity: type[Entity], loaded: Sources, problems: list[Problem]) -> pa.Array | None:
    """The keys of an entity that nobody gave a table for: those that refer to it, sorted."""
    if len(entity.fields) > 1:
        more = [name for name in entity.fields if name != entity.key_field()]
        text = f"{entity.__name__} is referred to and has no source, and nothing else gives its {', '.join(more)}"
        problems.append(
            Problem(text, f'Data({{{entity.__name__}: "{entity.__name__.lower()}s.parquet", ...}})')
        )
        return None
    parts = [
        part
        for record, (source, found) in loaded.items()
        for part in _references(record, entity, source, found)
    ]
    parts = [part for part in parts if len(part)]
    if any(pa.types.is_large_string(part.type) for part in parts):
        parts = [part.cast(pa.large_string()) for part in parts]
    if not parts:
        return pa.nulls(0, pa.int64())
    keys = pc.unique(pa.concat_arrays(parts))
    return keys.take(pc.sort_indices(keys))


def _references(record: type[Record], entity: type[Entity], source: Source, found: Found) -> list[pa.Array]:
    """The distinct keys of an entity in each of the record's references to it."""
    made: list[pa.Array] = []
    for name, kind in record.references().items():
        values = found.columns.get(source.names.get(name, name))
        if kind is entity and values is not None:
            # The reference itself is judged when its table is made.
            keys = key(Given("", pc.drop_null(pc.unique(values)), [], untyped=found.untyped))[0]
            made += [pc.drop_null(keys)] if isinstance(keys, pa.Array) else []
    return made


def _of_keys(entity: type[Entity], keys: Vocabulary) -> Table:
    return Table(entity, {entity.key_field(): keys.names}, {entity.key_field(): 0}, len(keys), keys)
