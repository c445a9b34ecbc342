"""What a source's values become for each column type."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from motet.batch import NO_TIME, Array, Codes, Ragged, Value, Vocabulary
from motet.column import Category, Column, Flag, Image, Key, Number, Tags, Text, Time, Vector
from motet.errors import counted
from motet.rows.given import Given, Read, floats_of, is_list, is_number, is_text, missing, numpy, texts_of
from motet.rows.images import image
from motet.rows.keys import key
from motet.rows.problems import Problem, few, shown
from motet.rows.times import time
from motet.windows import Windows

NO_NUMBER = ["", "nan", "na", "n/a", "null", "none"]
NUMBER_HELP = "write 1234.5, with a point and nothing else, and nothing where there is no number"
LARGEST = float(np.finfo(np.float32).max)  # which most models compute in
BEYOND = "beyond 3.4e38, the largest number that models compute with,"
FLAGS = ["0", "1", "", "false", "true"]  # place % 3 is the flag
FLAG_HELP = 'a Flag is true or false, 0 or 1, "true" or "false"'


def text(given: Given) -> Read:
    """Unchanged, whatever script it is in."""
    if not is_text(given.values.type):
        given.refuse("texts", "declare it as its values are, or as a Category", send="send a text, in quotes")
        return pa.nulls(len(given.values), pa.large_string()), np.ones(len(given.values), np.bool_)
    return texts_of(given.values), missing(given.values)


def number(given: Given) -> Read:
    """Numbers, or texts that are written as one."""
    values = given.values
    if is_text(values.type):
        texts = pc.utf8_trim_whitespace(texts_of(values))
        nothing = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(NO_NUMBER, pa.large_string()))
        values = given.converted(pc.if_else(nothing, None, texts), pa.float64(), "not a number", NUMBER_HELP)
    elif not is_number(values.type):
        given.refuse("numbers", "declare it as its values are: Flag, Category, Time or Vector", send="send one number")
        values = pa.nulls(len(values))
    floats = floats_of(values)
    infinite = np.isinf(floats)
    given.note(infinite, "infinite", "leave it empty where there is no number")
    given.note(~infinite & (np.abs(floats) > LARGEST), BEYOND, "leave it empty, or give it in a larger unit")
    floats = np.where(np.abs(floats) > LARGEST, np.nan, floats)
    return floats, np.isnan(floats)


def flag(given: Given) -> Read:
    """0 or 1, from Booleans, from 0 and 1, or from the words for them."""
    values = given.values
    if is_text(values.type):
        words = pc.utf8_lower(pc.utf8_trim_whitespace(texts_of(values)))
        place = numpy(pc.index_in(words, value_set=pa.array(FLAGS, pa.large_string())).fill_null(2))
        floats = np.where(missing(pc.if_else(pc.equal(words, ""), None, words)), np.nan, place % 3)
    elif pa.types.is_boolean(values.type):
        floats = floats_of(values.cast(pa.int8()))
    elif is_number(values.type):
        floats = floats_of(values)
    else:
        given.refuse("flags", FLAG_HELP)
        floats = np.full(len(values), np.nan)
    wrong = ~np.isnan(floats) & (floats != 0) & (floats != 1)
    given.note(wrong, "neither true nor false", FLAG_HELP)
    floats = np.where(wrong, np.nan, floats)
    return floats, np.isnan(floats)


def category(given: Given) -> Read:
    """The name of whatever single value it is."""
    values = given.values
    if pa.types.is_nested(values.type) or pa.types.is_binary(values.type):
        help = "declare several names a row as Tags, several numbers as a Vector"
        given.refuse("single names", help, send="send one name")
        values = pa.nulls(len(values))
    names = texts_of(values)
    vocabulary = _vocabulary(names, given.labels)
    codes = vocabulary.codes(names)
    wrong = (codes < 0) & ~missing(names)
    _note_labels(given, np.flatnonzero(wrong), names)
    return Codes(codes, vocabulary), codes < 0


def tags(given: Given) -> Read:
    """Names from a list, or from a text that separates them by `|`."""
    values = given.values
    if is_text(values.type):
        values = pc.split_pattern(texts_of(values), "|")
    if not is_list(values.type) or pa.types.is_nested(values.type.value_type):
        given.refuse("lists of names", 'Tags are ["a", "b"], or "a|b"')
        values = pa.nulls(len(values), pa.large_list(pa.large_string()))
    rows = numpy(pc.list_parent_indices(values))
    names = pc.utf8_trim_whitespace(texts_of(pc.list_flatten(values)))
    named = pc.not_equal(names, "").fill_null(False)
    names, rows = names.filter(named), rows[numpy(named)]
    vocabulary = _vocabulary(names, given.labels)
    codes = vocabulary.codes(names)
    _note_labels(given, np.unique(rows[codes < 0]), names)
    offsets = np.searchsorted(rows, np.arange(len(values) + 1)).astype(np.int64)
    return Ragged(Windows.of(codes, offsets), vocabulary), missing(values)


def vector(given: Given) -> Read:
    """Lists of numbers, all of the width that most have. A missing one is all zeros."""
    values = given.values
    if not is_list(values.type) or not is_number(values.type.value_type):
        given.refuse("lists of numbers", "a Vector is [0.1, -0.2, ...], equally long in every row")
        return np.zeros((len(values), 0), np.float32), np.ones(len(values), np.bool_)
    gone = missing(values)
    lengths = numpy(pc.list_value_length(values).fill_null(0))
    width = int(np.bincount(lengths[~gone]).argmax()) if not gone.all() else 0
    uneven = ~gone & (lengths != width)
    given.note(uneven, f"not {width} wide as the others are", "one width in every row")
    there = ~gone & ~uneven
    matrix = np.zeros((len(values), width), np.float32)
    flat = floats_of(pc.list_flatten(values.filter(pa.array(there))))
    with np.errstate(over="ignore"):  # to infinity
        matrix[there] = flat.reshape(-1, width).astype(np.float32)
    wrong = np.asarray(np.isinf(matrix).any(axis=1))
    given.note(wrong, f"infinite or {BEYOND}", "leave the row empty where there is no vector")
    gone = ~there | ~np.asarray(np.isfinite(matrix).all(axis=1))
    matrix[gone] = 0
    return matrix, gone


def nothing(kind: type[Column], rows: int, labels: tuple[str, ...]) -> Value:
    """The column of a field that has no value in any row."""
    if issubclass(kind, (Number, Flag)):
        return np.full(rows, np.nan)
    if issubclass(kind, Time):
        return np.full(rows, NO_TIME)
    if issubclass(kind, Vector):
        return np.zeros((rows, 0), np.float32)
    if issubclass(kind, Image):
        return pa.nulls(rows, pa.large_binary())
    if issubclass(kind, Category):
        return Codes(np.full(rows, -1, np.int32), Vocabulary(pa.array(labels, pa.large_string())))
    if issubclass(kind, Tags):
        windows = Windows.of(np.zeros(0, np.int32), np.zeros(rows + 1, np.int64))
        return Ragged(windows, Vocabulary(pa.array(labels, pa.large_string())))
    return pa.nulls(rows, pa.large_string())


READERS: dict[type[Column], Callable[[Given], Read]] = {
    Text: text,
    Number: number,
    Flag: flag,
    Time: time,
    Category: category,
    Tags: tags,
    Vector: vector,
    Image: image,
    Key: key,
}


def _vocabulary(names: pa.Array, labels: tuple[str, ...]) -> Vocabulary:
    """The labels as declared, or the names that are there, sorted: the order of rows changes nothing."""
    if labels:
        return Vocabulary(pa.array(labels, pa.large_string()))
    distinct = pc.drop_null(pc.unique(names))
    return Vocabulary(distinct.take(pc.sort_indices(distinct)))


def _note_labels(given: Given, rows: Array, names: pa.Array) -> None:
    if len(rows):
        labels = pa.array(given.labels, pa.large_string())
        distinct = pc.drop_null(pc.unique(names))
        other = distinct.filter(pc.invert(pc.is_in(distinct, value_set=labels)))
        quoted = few((shown(name.as_py()) for name in other), len(other))
        where = "" if given.alone else f"{counted(len(rows), 'row')} ({few(rows, len(rows))}) "
        text = f"{given.name}: {where}outside its labels: {quoted}"
        given.problems.append(Problem(text, f"{given.name} is one of: {', '.join(given.labels)}"))
