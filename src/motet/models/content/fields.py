"""What is read into a record's fields: the schema that asks for it, and the columns that hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa

from motet.batch import Codes, Ragged, Value, Vocabulary, offsets_of
from motet.column import Category, Column, Flag, Number, Tags, Text
from motet.errors import GraphError, an
from motet.record import Record
from motet.windows import Windows

_MOST_TAGS = 5
_LONGEST = {Text: 300, Category: 40}  # characters


@dataclass(frozen=True)
class Wanted:
    """One field: what it is called, its column type, and the labels that it comes from, if they are closed."""

    name: str
    kind: type[Column]
    labels: tuple[str, ...] = ()

    @property
    def question(self) -> str:
        return self.name.replace("_", " ")


def wanted(record: type[Record]) -> tuple[Wanted, ...]:
    """The record's fields. GraphError for one that no text can fill."""
    found = tuple(Wanted(n, cast(Any, kind), record.specs[n].labels) for n, kind in record.fields.items())
    for each in found:
        if each.kind not in (Text, Number, Flag, Category, Tags):
            raise GraphError(
                f"{record.__name__}.{each.name} is {an(each.kind.__name__)}, which no text can fill",
                help="use Text, Number, Flag, Category or Tags",
            )
    if not found:
        raise GraphError(f"{record.__name__} has no fields to fill", help="mood: mt.Category")
    return found


def schema(fields: Sequence[Wanted]) -> dict[str, Any]:
    """What a reply that fills these fields looks like, as JSON Schema."""
    properties = {each.name: _field_schema(each) for each in fields}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _field_schema(field: Wanted) -> dict[str, Any]:
    one: dict[str, Any] = {"type": "string", "maxLength": _LONGEST.get(cast(Any, field.kind), 40)}
    if field.labels:
        one = {"type": "string", "enum": list(field.labels)}
    if field.kind is Tags:
        return {"type": "array", "items": one, "maxItems": _MOST_TAGS}
    if field.kind is Number:
        return {"type": "number"}
    return {"type": "boolean"} if field.kind is Flag else one


def most_tokens(fields: Sequence[Wanted]) -> int:
    """Enough for a reply under the schema, and an end to one that rambles."""
    each = {Text: 110, Tags: 20 * _MOST_TAGS, Number: 16, Flag: 8, Category: 20}
    return 8 + sum(10 + each[cast(Any, field.kind)] for field in fields)


def columns(fields: Sequence[Wanted], rows: Sequence[Mapping[str, Any]]) -> dict[str, Value]:
    """The fields of all rows as columns; a field that a row lacks is missing."""
    return {field.name: _column(field, [row.get(field.name) for row in rows]) for field in fields}


def _column(field: Wanted, values: list[Any]) -> Value:
    if field.kind is Text:
        return pa.array(values, pa.large_string())
    if field.kind is Category:
        return _codes(field, [_clean(value) for value in values])
    if field.kind is Tags:
        return _tags(field, [list(dict.fromkeys(filter(None, map(_clean, value or ())))) for value in values])
    return np.array([np.nan if value is None else float(value) for value in values], np.float64)


def _clean(name: Any) -> str | None:
    return " ".join(str(name).split()) or None if name is not None else None


def _codes(field: Wanted, names: Sequence[str | None]) -> Codes:
    vocabulary = _vocabulary(field, names)
    return Codes(vocabulary.codes(pa.array(names, pa.large_string())), vocabulary)


def _tags(field: Wanted, rows: Sequence[Sequence[str]]) -> Ragged:
    flat = [name for row in rows for name in row]
    coded = _codes(field, flat)
    offsets = offsets_of(np.array([len(row) for row in rows], np.int64))
    return Ragged(Windows.of(coded.codes, offsets), coded.names)


def _vocabulary(field: Wanted, names: Sequence[str | None]) -> Vocabulary:
    known = field.labels or tuple(dict.fromkeys(name for name in names if name is not None))
    return Vocabulary(pa.array(known, pa.large_string()))
