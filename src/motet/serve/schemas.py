"""JSON Schemas of what goes in and comes out, as they follow from records and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from motet.batch import Vocabulary
from motet.candidates import Candidates, held
from motet.column import Category, Column, Flag, Image, Key, Number, Reference, Sequence, Tags, Text, Time, Vector
from motet.node import item_of
from motet.record import Entity, Event, Record
from motet.serve.version import Version

Schema = dict[str, Any]
Keys = Mapping[type[Entity], Vocabulary]

TEXT: Schema = {"type": "string"}
KEY: Schema = {"type": ["string", "number"]}

# What an ask may give for a field: whatever else is given is refused.
GIVEN: Mapping[type[Column], tuple[Schema, str]] = {
    Text: (TEXT, "a text"),
    Number: ({"type": ["number", "string"]}, "a number, or a text that is written as one"),
    Flag: ({"type": ["boolean", "number", "string"]}, "true or false, 1 or 0"),
    Category: ({"type": ["string", "number", "boolean"]}, "one name"),
    Tags: ({"type": ["array", "string"], "items": {"type": ["string", "number", "boolean", "null"]}}, "several names"),
    Time: ({"type": ["number", "string"]}, 'seconds since 1970, or "2001-02-03T04:05:06Z"'),
    Vector: ({"type": "array", "items": {"type": ["number", "null"]}}, "numbers, as many as in the data"),
    Key: (KEY, "a key"),
    Image: (TEXT, "a picture: data:image/png;base64,..."),
}

# What an answer holds for an output; a missing one is null.
ANSWERED: Mapping[type[Column], Schema] = {
    Text: {"type": ["string", "null"]},
    Image: {"type": ["string", "null"]},
    Category: {"type": ["string", "null"]},
    Number: {"type": ["number", "null"]},
    Flag: {"type": ["number", "null"]},
    Time: {"type": "integer"},
    Key: {"type": ["string", "integer", "null"]},
    Reference: {"type": ["string", "integer", "null"]},
    Vector: {"type": "array", "items": {"type": "number"}},
    Tags: {"type": "array", "items": {"type": ["string", "null"]}},
    Sequence: {"type": "array", "items": {"type": ["string", "number", "null"]}},
}


def known(event: type[Event]) -> list[str]:
    """The fields that an ask may give."""
    return [name for name, spec in event.specs.items() if not spec.outcome]


def asked(version: Version) -> Schema:
    """An ask: the event's fields without its outcomes."""
    return fields_of(version.event, known(version.event), version.context.entities(), {version.event.time_field()})


def example(version: Version) -> dict[str, Any]:
    """An ask that is answered."""
    event, keys = version.event, version.context.entities()
    needed = [name for name in known(event) if name != event.time_field()]
    return {name: _such_as(event, name, keys) for name in needed}


def _such_as(event: type[Event], name: str, keys: Keys) -> Any:
    kind, spec = event.fields[name], event.specs[name]
    if name in event.references():
        there = keys.get(event.references()[name])
        return there.names[0].as_py() if there is not None and len(there) else "new"
    if spec.labels:
        return spec.labels[0] if kind is Category else list(spec.labels[:1])
    plain = {Text: "a text", Number: 1.0, Flag: True, Category: "a name", Tags: ["a name"], Vector: [0.0], Image: None}
    return plain.get(kind, "a key")


def fields_of(event: type[Event], names: list[str], keys: Keys, optional: set[str]) -> Schema:
    """An object of some of an event's fields. optional: those that may be left out although they have no default."""
    made: Schema = {
        "type": "object",
        "title": event.__name__,
        "properties": {name: field_of(event, name, keys) for name in names},
        "additionalProperties": False,
    }
    needed = [name for name in names if name not in optional and not event.specs[name].has_default]
    if needed:
        made["required"] = needed
    return made | described(event)


def field_of(event: type[Event], name: str, keys: Keys) -> Schema:
    """One field of an event, as it may be given."""
    kind, spec = event.fields[name], event.specs[name]
    if name in event.references():
        about = f"a key of {kind.__name__}; one that is not known is answered as one without a past"
        return _or_missing({**KEY, "description": about, "x-entity": kind.__name__})
    schema, about = GIVEN[kind]
    made = {**schema, "description": about + ("; without it, now" if name == event.time_field() else "")}
    if spec.labels and kind is Category:
        made = {"enum": list(spec.labels), "description": made["description"]}
    elif spec.labels:
        made = {**made, "items": {"enum": list(spec.labels)}}
    return _or_missing(made) | ({"default": spec.default} if spec.has_default else {})


def _or_missing(schema: Schema) -> Schema:
    """A value may be given as missing, which says that nobody knows it."""
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    kinds = schema["type"]
    return {**schema, "type": [*(kinds if isinstance(kinds, list) else [kinds]), "null"]}


def answered(version: Version) -> Schema:
    """An answer: every output by its name."""
    outputs = version.outline.answered
    keys = version.context.entities()
    return object_of({name: output_of(column, keys) for name, column in outputs.items()})


def output_of(column: Column, keys: Keys) -> Schema:
    """One output of an ask."""
    entity = item_of(column.grain)
    if entity is None:
        return ANSWERED.get(type(column), {})
    most = {"maxItems": held(column)} if isinstance(column, Candidates) else {}
    about = f"{entity.__name__}, the best first" if isinstance(column, Candidates) else entity.__name__
    return {"type": "array", "items": item(entity, keys), "description": about, **most}


def item(entity: type[Entity], keys: Keys) -> Schema:
    """One candidate: its key, its first text if it has one, and its score."""
    title = [name for name, kind in entity.fields.items() if kind is Text][:1]
    own = {"type": "integer"} if whole(keys.get(entity)) else TEXT
    shown = {entity.key_field(): own, **dict.fromkeys(title, ANSWERED[Text])}
    return object_of({**shown, "score": {"type": ["number", "null"]}}) | described(entity)


def whole(keys: Vocabulary | None) -> bool:
    """Whether keys are whole numbers rather than texts."""
    return keys is not None and pa.types.is_integer(keys.names.type)


def described(record: type[Record]) -> Schema:
    return {"description": record.__doc__.strip()} if record.__doc__ else {}


def object_of(properties: Mapping[str, Any], *, required: tuple[str, ...] | None = None) -> Schema:
    """An object that has these properties; all of them, where it does not say which."""
    needed = list(properties if required is None else required)
    return {"type": "object", "properties": dict(properties), **({"required": needed} if needed else {})}
