"""Keys and what refers to them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from motet.batch import Array, Codes, Vocabulary
from motet.errors import counted
from motet.record import Entity
from motet.rows.given import Given, Read, all_match, floats_of, is_number, is_text, missing, numpy, texts_of
from motet.rows.problems import Problem, few, shown

DIGITS = r"^(0|-?[1-9][0-9]{0,17})$"
"""How a whole number of 64 bits is written; 007 is a name."""

HELP = "a key is a text or a whole number of 64 bits"


def key(given: Given) -> Read:
    """An entity's own keys: int64, or large_string."""
    values = given.values
    if is_number(values.type):
        keys = _whole(given)
    elif is_text(values.type):
        keys = texts_of(values)
        if given.untyped and all_match(keys, DIGITS):
            keys = keys.cast(pa.int64())
    else:
        given.refuse("keys", HELP)
        keys = pa.nulls(len(values), pa.int64())
    return keys, missing(keys)


def reference(given: Given, keys: Vocabulary, entity: type[Entity], strict: bool) -> Read:
    """Rows of the entity. A key that it does not have is a problem where `strict`, else row -1: but one that
    is not even of the type of its keys is a problem in any case."""
    values, gone = given.values, missing(given.values)
    if not can_be_keys(values):
        given.refuse(typed(entity, keys), HELP if strict else such_as(keys))
        return Codes(np.full(len(values), -1, np.int32), keys), np.ones(len(values), np.bool_)
    found = as_keys(given, keys)
    codes = keys.codes(found)
    nowhere = (codes < 0) & ~gone
    if strict and nowhere.any():
        given.problems.append(_nowhere(given, nowhere, entity.__name__))
    elif is_text(values.type) and not strict:
        given.note(missing(found) & ~gone, f"none of the {typed(entity, keys)}", such_as(keys))
    return Codes(codes, keys), gone


def as_keys(given: Given, keys: Vocabulary) -> pa.Array:
    """The given keys as the entity's are typed, null where they cannot be: 7 and "7" are one key.

    Where the entity has no keys yet, they are as they are given.
    """
    if not len(keys):
        return key(given)[0]
    whole = pa.types.is_integer(keys.names.type)
    if is_number(given.values.type):
        found = _whole(given)
        return found if whole else found.cast(pa.large_string())
    texts = texts_of(given.values)
    return pc.if_else(pc.match_substring_regex(texts, DIGITS), texts, None).cast(pa.int64()) if whole else texts


def distinct(parts: list[pa.Array]) -> pa.Array:
    """Distinct keys of one type: numbers where all are, else texts."""
    if any(pa.types.is_large_string(part.type) for part in parts):
        parts = [part.cast(pa.large_string()) for part in parts]
    return pc.drop_null(pc.unique(pa.concat_arrays(parts))) if parts else pa.nulls(0, pa.int64())


def can_be_keys(values: pa.Array) -> bool:
    return is_text(values.type) or is_number(values.type)


def typed(entity: type[Entity], keys: Vocabulary | None) -> str:
    """What the entity's keys are called, with how many of which type there are."""
    noun = "whole number" if keys and pa.types.is_integer(keys.names.type) else "text"
    return f"keys of {entity.__name__}" + (f" ({counted(len(keys), noun)})" if keys else "")


def such_as(keys: Vocabulary | None) -> str:
    """What a key may be where one that is new is taken too, with some of those that there are."""
    if not keys:
        return HELP
    kind = "a whole number" if pa.types.is_integer(keys.names.type) else "a text"
    some = ", ".join(shown(key) for key in keys.names[:3].to_pylist())
    return f"send {kind}, such as {some}; one that is new has no past"


def _nowhere(given: Given, nowhere: Array, entity: str) -> Problem:
    lost = pc.unique(given.values.filter(pa.array(nowhere)))
    names = few((shown(key.as_py()) for key in lost), len(lost))
    rows = counted(int(nowhere.sum()), "row")
    text = f"{given.name}: {counted(len(lost), 'key')} of no {entity}, in {rows}: {names}"
    return Problem(text, f"add them to {entity}, or leave these rows out")


def _whole(given: Given) -> pa.Array:
    """As int64. pandas makes floats of whole numbers as soon as one is missing."""
    values = given.values
    if pa.types.is_signed_integer(values.type):
        return values.cast(pa.int64())
    floats = floats_of(values)
    gone = np.isnan(floats)
    # Beyond 2**53 a float no longer says which whole number it was; an integer still does.
    limit = 2.0**53 if pa.types.is_floating(values.type) else 2.0**63
    wrong = ~gone & ~((np.abs(floats) < limit) & (np.trunc(floats) == floats))
    given.note(wrong, "not a whole number of 64 bits", HELP)
    fits = pa.array(~(gone | wrong))
    return pc.if_else(fits, values, None).cast(pa.int64())


def duplicates(keys: pa.Array) -> pa.Array:
    """Keys that are there more than once, with how often: a struct array of `values` and `counts`."""
    counts = keys.drop_null().value_counts()
    return counts.filter(pa.array(numpy(counts.field("counts")) > 1))
