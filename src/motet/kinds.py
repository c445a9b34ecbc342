"""What a source's values become for each column type, and what of them is wrong.

A wrong value is read as a missing one, so that the rest is judged in the same pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from motet.batch import NO_TIME, Array, Codes, Ragged, Value, Vocabulary
from motet.column import Category, Column, Flag, Key, Number, Tags, Text, Time, Vector
from motet.problems import Problem, counted, few, shown
from motet.windows import Windows


@dataclass(frozen=True)
class Given:
    """One field's values as a source gives them; `problems` gathers what is wrong with them.

    untyped: texts may stand for numbers in a Key. labels: the closed set, where there is one.
    """

    name: str
    values: pa.Array
    problems: list[Problem]
    labels: tuple[str, ...] = ()
    untyped: bool = False


Read: TypeAlias = tuple[Value, Array]
"""The column, and which rows are missing: bool [n]."""

_WORDS = pa.array(["0", "1", "", "false", "true"], pa.large_string())  # place % 3 is the value; 2 is neither
DIGITS = r"^-?(0|[1-9][0-9]{0,17})$"
DATE = r"^(\d{4}-\d\d-\d\d)$"
CLOCK = r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)\d*"
ZONE = r" ?(Z|[+-]\d\d(?::?\d\d)?)$"
NO_NUMBER = ["", "nan", "na", "n/a", "null", "none"]
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 to 9999, microseconds


def text(given: Given) -> Read:
    if not _is_text(given.values.type):
        return _refused(given, "texts", "declare it as a Category, or make it a text in the source")
    return _texts(given.values), _missing(given.values)


def number(given: Given) -> Read:
    if _is_number(given.values.type):
        values = given.values.cast(pa.float64(), safe=False)
    elif _is_text(given.values.type):
        values = _parsed_numbers(given)
    else:
        return _refused(given, "numbers", "declare it as a Flag, Category, Time or Vector, as its values are")
    floats = _numpy(values)
    _note(given, np.isinf(floats), "infinite", "leave it empty where there is no number")
    floats = np.where(np.isinf(floats), np.nan, floats)
    return floats, np.isnan(floats)


def flag(given: Given) -> Read:
    values = given.values
    if pa.types.is_boolean(values.type):
        floats = _numpy(values.cast(pa.int8()))
    elif _is_number(values.type):
        floats = _numpy(values.cast(pa.float64(), safe=False))
    elif _is_text(values.type):
        words = pc.index_in(pc.utf8_lower(_texts(values)), value_set=_WORDS)
        floats = np.where(_missing(values), np.nan, _numpy(words.fill_null(2)))
        floats = np.where(floats > 2, floats - 3, floats)
    else:
        return _refused(given, "flags", 'a Flag is true or false, 0 or 1, "true" or "false"')
    wrong = ~np.isnan(floats) & (floats != 0) & (floats != 1)
    _note(given, wrong, "neither true nor false", 'a Flag is true or false, 0 or 1, "true" or "false"')
    floats = np.where(wrong, np.nan, floats)
    return floats, np.isnan(floats)


def time(given: Given) -> Read:
    kind = given.values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        stamps = _stamps(given)
    elif _is_number(kind):
        stamps = _seconds(given, given.values.cast(pa.float64(), safe=False))
    elif _is_text(kind):
        stamps = _written_times(given)
    else:
        return _refused(given, "times", 'timestamps, "2001-02-03T04:05:06Z", or seconds since 1970')
    return stamps, stamps == NO_TIME


def category(given: Given) -> Read:
    if pa.types.is_nested(given.values.type) or pa.types.is_binary(given.values.type):
        return _refused(given, "single names", "declare several names a row as Tags, numbers as Vector")
    names = _texts(given.values)
    vocabulary = _vocabulary(names, given.labels)
    codes = vocabulary.codes(names)
    missing = _missing(names)
    _note_labels(given, (codes < 0) & ~missing, names)
    return Codes(codes, vocabulary), codes < 0


def tags(given: Given) -> Read:
    values = given.values
    if _is_text(values.type):
        values = pc.split_pattern(_texts(values), "|")
    elif pa.types.is_null(values.type):
        values = values.cast(pa.list_(pa.large_string()))
    if not _is_list(values.type) or pa.types.is_nested(values.type.value_type):
        return _refused(given, "lists of names", 'Tags are ["a", "b"], or "a|b"')
    row = _numpy(pc.list_parent_indices(values))
    names = pc.utf8_trim_whitespace(_texts(pc.list_flatten(values)))
    here = _numpy(pc.fill_null(pc.not_equal(names, ""), False))
    names, row = names.filter(pa.array(here)), row[here]
    vocabulary = _vocabulary(names, given.labels)
    codes = vocabulary.codes(names)
    wrong = np.zeros(len(values), np.bool_)
    wrong[row[codes < 0]] = True
    _note_labels(given, wrong, names.filter(pa.array(codes < 0)))
    offsets = np.searchsorted(row, np.arange(len(values) + 1)).astype(np.int64)
    return Ragged(Windows.of(codes, offsets), vocabulary), _missing(given.values)


def vector(given: Given) -> Read:
    values = given.values
    if pa.types.is_null(values.type):
        return np.zeros((len(values), 0), np.float32), _missing(values)
    if not _is_list(values.type) or not _is_number(values.type.value_type):
        return _refused(given, "lists of numbers", "a Vector is [0.1, -0.2, ...], equally long in every row")
    missing = _missing(values)
    lengths = _numpy(pc.list_value_length(values).fill_null(0))
    width = int(np.bincount(lengths[~missing]).argmax()) if (~missing).any() else 0
    uneven = ~missing & (lengths != width)
    _note(given, uneven, f"not {width} numbers wide as the others are", "one width in every row")
    flat = _numpy(pc.list_flatten(values.filter(pa.array(~missing & ~uneven))).cast(pa.float32(), safe=False))
    matrix = np.zeros((len(values), width), np.float32)
    matrix[~missing & ~uneven] = flat.reshape(-1, width)
    _note(given, np.isinf(matrix).any(axis=1), "infinite", "leave the row empty where there is no vector")
    missing = missing | uneven | ~np.isfinite(matrix).all(axis=1)
    matrix[missing] = 0
    return matrix, missing


def key(given: Given) -> Read:
    """An entity's own keys: int64, or large_string."""
    values = given.values
    if given.untyped and _is_text(values.type) and _all(values, DIGITS):
        values = values.cast(pa.int64())
    if _is_text(values.type):
        keys = _texts(values)
    elif _is_number(values.type):
        keys = _whole(given, values)
    else:
        return _refused(given, "keys", "a Key is a text or a whole number")
    return keys, _missing(keys)


def reference(given: Given, keys: Vocabulary, entity: str, strict: bool) -> Read:
    """Rows of the entity; a key that it does not have is a problem where `strict`, else code -1."""
    values = given.values
    if not _is_text(values.type) and not _is_number(values.type):
        return _refused(
            given, f"keys of {entity}", f"a reference is the key of one {entity}, a text or a whole number"
        )
    codes = keys.codes(alike(given, values, keys.names.type))
    missing = _missing(values)
    nowhere = (codes < 0) & ~missing
    if strict and nowhere.any():
        lost = pc.unique(values.filter(pa.array(nowhere)))
        given.problems.append(
            Problem(
                f"{given.name}: {counted(len(lost), 'key')} in {counted(int(nowhere.sum()), 'row')} "
                f"refer{'s' if len(lost) == 1 else ''} to no {entity}: "
                f"{few((shown(v.as_py()) for v in lost), len(lost))}",
                help=f"add them to {entity}, or leave these rows out",
            )
        )
    return Codes(codes, keys), missing


def alike(given: Given, values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Keys cast to the type of the entity's; null where they cannot be of it."""
    if _is_number(values.type):
        whole = _whole(given, values)
        return whole if pa.types.is_integer(kind) else whole.cast(pa.large_string())
    texts = _texts(values)
    if not pa.types.is_integer(kind):
        return texts
    return pc.if_else(pc.match_substring_regex(texts, DIGITS), texts, None).cast(kind)


READERS: dict[type[Column], Callable[[Given], Read]] = {
    Text: text,
    Number: number,
    Flag: flag,
    Time: time,
    Category: category,
    Tags: tags,
    Vector: vector,
    Key: key,
}


def _parsed_numbers(given: Given) -> pa.Array:
    texts = pc.utf8_trim_whitespace(_texts(given.values))
    nothing = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(NO_NUMBER, pa.large_string()))
    return _converted(given, pc.if_else(nothing, None, texts), pa.float64(), "no numbers")


def _converted(given: Given, texts: pa.Array, kind: pa.DataType, what: str) -> pa.Array:
    """The texts as another type; those that cannot be are noted and null."""
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        good = pc.is_in(
            texts, value_set=pa.array([t for t in pc.unique(texts).to_pylist() if _fits(t, kind)], texts.type)
        )
    _note(given, ~_numpy(good) & ~_missing(texts), what, "")
    return pc.if_else(good, texts, None).cast(kind)


def _fits(value: str | None, kind: pa.DataType) -> bool:
    try:
        pa.scalar(value, pa.large_string()).cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _stamps(given: Given) -> Array:
    kind = given.values.type
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    try:
        options = pc.CastOptions(pa.timestamp("us", zone), allow_time_truncate=True)
        stamps = given.values.cast(options=options)
    except pa.ArrowInvalid:  # an instant beyond what microseconds hold
        stamps = given.values.cast(pa.timestamp("us", zone), safe=False).fill_null(0)
        return _in_range(given, np.full(len(stamps), float(LAST) * 2), _missing(given.values))
    micros = _numpy(stamps.cast(pa.int64()).fill_null(NO_TIME))
    return _in_range(given, micros, _missing(stamps))


def _seconds(given: Given, seconds: pa.Array) -> Array:
    floats = _numpy(seconds)
    micros = np.round(floats * 1e6)
    return _in_range(given, micros, np.isnan(floats))


def _in_range(given: Given, micros: Array, missing: Array) -> Array:
    wrong = ~missing & ((micros < FIRST) | (micros > LAST))
    _note(
        given,
        wrong,
        "outside the years 1 to 9999",
        "a number is seconds since 1970: divide milliseconds by 1,000",
    )
    return np.where(missing | wrong, NO_TIME, np.where(missing | wrong, 0, micros).astype(np.int64)).astype(
        np.int64
    )


def _written_times(given: Given) -> Array:
    """ISO 8601 as texts, or seconds as texts."""
    texts = pc.utf8_trim_whitespace(_texts(given.values))
    texts = pc.if_else(pc.equal(texts, ""), None, texts)
    if _all(texts, r"^-?\d+(\.\d+)?$"):
        return _seconds(given, texts.cast(pa.float64()))
    texts = pc.replace_substring_regex(texts, DATE, r"\1T00:00:00Z")
    texts = pc.replace_substring_regex(texts, CLOCK + "$", r"\1T\2Z")
    written = pc.replace_substring_regex(texts, CLOCK + ZONE, r"\1T\2\3")
    stamps = _converted(given, written, pa.timestamp("us", "UTC"), "no times")
    return _in_range(given, _numpy(stamps.cast(pa.int64()).fill_null(NO_TIME)), _missing(stamps))


def _whole(given: Given, values: pa.Array) -> pa.Array:
    """Keys as int64: pandas makes floats of whole numbers as soon as one is missing."""
    try:
        if not pa.types.is_floating(values.type):
            return values.cast(pa.int64())
    except pa.ArrowInvalid:
        _note(given, ~_missing(values), "no whole numbers of 64 bits", "a Key is a text or a whole number")
        return pa.nulls(len(values), pa.int64())
    floats = _numpy(values)
    wrong = ~np.isnan(floats) & ((np.mod(floats, 1) != 0) | (np.abs(floats) > 2**53))
    _note(given, wrong, "no whole numbers", "a Key is a text or a whole number")
    gone = np.isnan(floats) | wrong
    return pa.array(np.where(gone, 0, floats).astype(np.int64), mask=gone)


def _vocabulary(names: pa.Array, labels: tuple[str, ...]) -> Vocabulary:
    if labels:
        return Vocabulary(pa.array(labels, pa.large_string()))
    distinct = pc.drop_null(pc.unique(names))
    return Vocabulary(distinct.take(pc.sort_indices(distinct)))


def _note_labels(given: Given, wrong: Array, names: pa.Array) -> None:
    if wrong.any():
        other = [
            name for name in pc.unique(names).to_pylist() if name is not None and name not in given.labels
        ]
        rows = np.flatnonzero(wrong)
        given.problems.append(
            Problem(
                f"{given.name}: {counted(len(rows), 'row')} outside its labels, rows {few(rows, len(rows))}: "
                f"{few(map(shown, other), len(other))}",
                help=f"{given.name} is one of: {', '.join(given.labels)}",
            )
        )


def _note(given: Given, wrong: Array, what: str, help: str) -> None:
    """Says which rows are wrong and what they hold."""
    rows = np.flatnonzero(wrong)
    if len(rows):
        quoted = (f"row {i}: {shown(given.values[int(i)].as_py())}" for i in rows)
        given.problems.append(
            Problem(f"{given.name}: {counted(len(rows), 'value')} {what}: {few(quoted, len(rows))}", help)
        )


def _refused(given: Given, wanted: str, help: str) -> Read:
    """A column whose type cannot be read at all: every row is missing."""
    first = next((i for i, v in enumerate(given.values) if v.is_valid), 0)
    given.problems.append(
        Problem(
            f"{given.name} needs {wanted}, and its column is of {given.values.type}; "
            f"row {first}: {shown(given.values[first].as_py())}",
            help,
        )
    )
    n = len(given.values)
    return np.full(n, np.nan), np.ones(n, np.bool_)


def _texts(values: pa.Array) -> pa.Array:
    if pa.types.is_floating(values.type) and _all_whole(values):
        values = values.cast(pa.int64())
    return values if pa.types.is_large_string(values.type) else values.cast(pa.large_string())


def _all_whole(values: pa.Array) -> bool:
    floats = _numpy(values.drop_null())
    return bool((np.mod(floats, 1) == 0).all() and (np.abs(floats) < 2**53).all())


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _all(texts: pa.Array, pattern: str) -> bool:
    """Whether every text that is there matches."""
    return bool(
        pc.all(pc.match_substring_regex(texts, pattern), min_count=0).as_py()
    ) and texts.null_count < len(texts)


def _numpy(values: pa.Array) -> Array:
    return cast(Array, values.to_numpy(zero_copy_only=False))


def _missing(values: pa.Array) -> Array:
    if values.null_count == 0:
        return np.zeros(len(values), np.bool_)
    return cast(Array, values.is_null().to_numpy(zero_copy_only=False))
