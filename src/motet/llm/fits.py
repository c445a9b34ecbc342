"""Whether a reply is JSON that fits a schema: the part of JSON Schema that Motet writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from motet.llm.client import Schema

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def misfit(text: str, schema: Schema) -> str:
    """Why the text is not JSON that fits the schema; empty where it does."""
    try:
        return _misfit(json.loads(text), schema, "reply")
    except (ValueError, RecursionError):
        return "the reply is not JSON"


def _misfit(value: Any, schema: Schema, where: str) -> str:
    options = cast("Sequence[Any] | None", schema.get("enum"))
    if options is not None:
        return "" if value in options else f"{where} is none of its options"
    expected = schema.get("type")
    if isinstance(expected, str) and not _is(value, expected):
        return f"{where} is no {expected}"
    if isinstance(value, dict):
        return _misfit_object(cast("dict[str, Any]", value), schema, where)
    if isinstance(value, list):
        items: Schema = schema.get("items", {})
        return next(filter(None, (_misfit(each, items, where) for each in cast("list[Any]", value))), "")
    return ""


def _misfit_object(value: Mapping[str, Any], schema: Schema, where: str) -> str:
    missing = [name for name in schema.get("required", ()) if name not in value]
    if missing:
        return f"{where} lacks {missing[0]!r}"
    fields: Mapping[str, Schema] = schema.get("properties", {})
    found = (_misfit(value[name], field, repr(name)) for name, field in fields.items() if name in value)
    return next(filter(None, found), "")


def _is(value: Any, expected: str) -> bool:
    if isinstance(value, bool):
        return expected == "boolean"
    return isinstance(value, _TYPES[expected])
