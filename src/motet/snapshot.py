"""A published version: which states, which prepared columns and which data belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from motet.batch import Codes, Vocabulary
from motet.data import Data
from motet.errors import RunError
from motet.fit import States
from motet.outline import Outline
from motet.prepare import Prepared
from motet.record import Entity, Event, Record, fields_digest
from motet.run.context import Context
from motet.store import Store
from motet.table import Table


def publish(name: str, outline: Outline, context: Context, states: Mapping[str, str], done: Prepared, seed: int) -> int:
    """Keeps the data beside what was prepared from them and makes both the current version at once."""
    data, store = context.data, context.store
    tables: dict[str, dict[str, str]] = {}
    for record, table in data.tables.items():
        tables[record.__name__] = {field: data.token(record, field) for field in record.fields}
        for field, token in tables[record.__name__].items():
            store.keep_value(token, table.columns[field])
    seen = {event.__name__: data.rows_token(event) for event in data.seen}
    for event, rows in data.seen.items():
        store.keep_value(seen[event.__name__], rows)
    return store.publish(
        {
            "graph": name,
            "fingerprint": outline.fingerprint,
            "states": dict(states),
            "values": dict(done.values),
            "cells": list(done.cells),
            "indexes": list(done.indexes),
            "problems": {name: dict(found) for name, found in done.problems.items()},
            "tables": tables,
            "declared": {record.__name__: fields_digest(record) for record in data.tables},
            "seen": seen,
            "until": data.until,
            "seed": seed,
        }
    )


def read(outline: Outline, store: Store, manifest: Mapping[str, Any]) -> tuple[Data, States]:
    """The data and states of a version. Errors: it was prepared from another graph, or a part is gone."""
    if manifest["fingerprint"] != outline.fingerprint:
        raise RunError(
            f"{manifest['graph']!r} has changed since it was prepared",
            help="motet fit and motet prepare it again, or motet rollback after undoing the change",
        )
    records = {record.__name__: record for record in outline.records}
    changed = [name for name, record in records.items() if manifest["declared"].get(name) != fields_digest(record)]
    if changed:
        raise RunError(
            f"{', '.join(changed)} has other fields than when {manifest['graph']!r} was prepared",
            help="motet prepare it again",
        )
    tables = {records[n]: _table(store, records[n], fields) for n, fields in manifest["tables"].items() if n in records}
    tables = {record: _linked(table, tables) for record, table in tables.items()}
    events = {name: record for name, record in records.items() if issubclass(record, Event)}
    kept = {name: token for name, token in manifest["seen"].items() if name in events}
    seen = {events[name]: np.asarray(_value(store, token)) for name, token in kept.items()}
    states = {fit: _state(store, name) for fit, name in manifest["states"].items()}
    return Data.of(tables, seen, manifest["until"]), States(states, manifest["states"])


def _table(store: Store, record: type[Record], fields: Mapping[str, str]) -> Table:
    columns = {name: _value(store, token) for name, token in fields.items()}
    keys = Vocabulary(columns[record.key_field()]) if issubclass(record, Entity) else None
    rows = len(next(iter(columns.values())))
    table = Table(record, columns, {}, rows, keys)
    return replace(table, _tokens=dict(fields))


def _linked(table: Table, tables: Mapping[Any, Table]) -> Table:
    """References as rows of the entities' own tables."""
    linked = dict(table.columns)
    for name, entity in table.record.references().items():
        value, keys = linked[name], tables[entity].keys
        assert isinstance(value, Codes)
        assert keys is not None
        linked[name] = Codes(value.coded_by(keys), keys)
    return replace(table, columns=linked)


def _value(store: Store, name: str) -> Any:
    value = store.value(name)
    if value is None:
        raise RunError(
            f"the version needs column {name}, which is gone from {store.root}", help="motet prepare it again"
        )
    return value


def _state(store: Store, name: str) -> Any:
    state = store.state(name)
    if state is None:
        raise RunError(f"the version needs state {name}, which is gone from {store.root}", help="motet fit it again")
    return state
