"""Columns of any kind as one matrix of numbers, laid out the way it was at the fit."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike

from motet.batch import Array, Codes, Ragged, Vocabulary
from motet.candidates import Candidates
from motet.column import Category, Column, Flag, Number, Tags, Vector, argument
from motet.errors import GraphError, an
from motet.model import Model, State
from motet.node import name_of

LARGEST = 1e38  # what float32 holds

Feature: TypeAlias = Number | Flag | Category | Tags | Vector
MOST = 256  # names of one feature that a dense matrix has a place for

INSTEAD = {
    "Text": "make numbers of it: mt.TFIDF()({0}), or mt.Embed(...)({0})",
    "Key": "a key says nothing of an entity it has not seen: give the entity's other fields",
    "Reference": "give a field of what it refers to, such as Visit.viewer.age",
    "Sequence": "aggregate it first: {0}.count(), .sum(), .mean(), .min(), .max(), .nunique() or .since()",
    "Time": "an instant never comes again: give a distance such as mt.past(...).since() or the hour",
}

Part: TypeAlias = dict[str, Any]
"""One feature's place in the matrix. kind: number, vector, category or tags. width: its columns.
names: what a category's codes or the columns of tags stand for, most frequent first. blank: of a number that no
training row has; it is missing ever after, since nothing was learnt of it."""


def features(model: Model, given: tuple[Any, ...], also: tuple[type[Column], ...] = ()) -> dict[str, Any]:
    """The columns that came by position, named feature0, feature1 ...

    also: kinds that this model reads beside the usual ones. Errors: none came, or one of a kind that holds no numbers.
    """
    if not given:
        help = f"{type(model).__name__}(...)(Film.year, recent.count(), target=...)"
        raise GraphError(f"{model} has no features", help)
    return {f"feature{i}": _feature(model, arg, also) for i, arg in enumerate(given)}


def _feature(model: Model, arg: Any, also: tuple[type[Column], ...]) -> Column:
    found = argument(model, arg)
    if isinstance(found, Candidates):
        return found.score
    if isinstance(found, Feature):
        return found
    if not isinstance(found, Column):
        raise GraphError(f"{model} reads its features row by row, and got a whole table", "give the column itself")
    if isinstance(found, also):
        return found
    instead = INSTEAD.get(found.kind, "give a Number, Flag, Category, Tags or Vector")
    raise GraphError(
        f"{model} reads numbers, and {name_of(found)} is {an(found.kind)}", help=instead.format(name_of(found))
    )


def layout(values: dict[str, Any], most: int = MOST, learns: bool = True) -> list[Part]:
    """Where each feature goes, learnt from the training rows; plain values, so that a State can hold them.

    most: names of one Category or Tags that get a place; the rarer ones count as missing.
    learns: whether what reads them learns from these rows, so that a number that none has means nothing to it.
    """
    return [_part(value, most, learns) for value in values.values()]


def _part(value: Any, most: int, learns: bool) -> Part:
    if isinstance(value, Codes):
        return {"kind": "category", "width": 1, "names": frequent(value.codes, value.names, most)}
    if isinstance(value, Ragged):
        assert value.names is not None
        names = frequent(value.windows.flat()[0], value.names, most)
        return {"kind": "tags", "width": len(names), "names": names}
    shape = np.shape(value)
    if len(shape) == 2:
        return {"kind": "vector", "width": shape[1]}
    blank = learns and not np.isfinite(value).any()
    return {"kind": "number", "width": 1, **({"blank": True} if blank else {})}


def frequent(codes: Array, names: Vocabulary, most: int) -> list[str]:
    """The names that occur, the most frequent first, at most so many."""
    known = codes[(codes >= 0) & (codes < len(names))]
    counts = np.bincount(known, minlength=len(names))
    order = np.argsort(-counts, kind="stable")[:most]
    return names.names.take(pa.array(order[counts[order] > 0])).cast(pa.large_string()).to_pylist()


def matrix(state: State, values: dict[str, Any], dtype: DTypeLike = np.float32) -> Array:
    """The features in the state's layout: [rows, width]. Missing and infinite numbers are NaN.

    A category is its place among the names, NaN where it is missing or was not there at the fit.
    """
    parts = state["layout"]
    known = state.opened(_vocabularies)
    made = np.zeros((_rows(values), sum(part["width"] for part in parts)), dtype)
    start = 0
    for part, names, value in zip(parts, known, values.values(), strict=True):
        _fill(made[:, start : start + part["width"]], part, names, value)
        start += part["width"]
    return made


def numbers(state: State, values: dict[str, Any]) -> Array:
    """The numbers and vectors among the features, missing ones as NaN: float64 [rows, their width]."""
    given = zip(state["layout"], values.values(), strict=True)
    columns = [columns_of(value) for part, value in given if "names" not in part]
    return np.hstack([np.zeros((_rows(values), 0)), *columns])


def named(state: State, values: dict[str, Any]) -> tuple[Array, Array]:
    """The names in each row's categories and tags: int64 rows, and places among all names of the layout. A name that
    has no place is left out, one that a row has twice is there once."""
    rows, places, start = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    for part, names, value in zip(state["layout"], state.opened(_vocabularies), values.values(), strict=True):
        if isinstance(value, Codes):
            codes = value.coded_by(names)
            rows.append(np.flatnonzero(codes >= 0))
            places.append(start + codes[codes >= 0].astype(np.int64))
        elif isinstance(value, Ragged):
            hits = _hits(value, names)
            rows.append(hits[0])
            places.append(start + hits[1])
        start += len(part.get("names", []))
    return np.concatenate(rows), np.concatenate(places)


def _rows(values: dict[str, Any]) -> int:
    return len(next(iter(values.values())))


def _hits(value: Ragged, names: Vocabulary) -> tuple[Array, Array]:
    """Rows and known names of tags, each pair once."""
    codes, offsets = value.windows.flat()
    places = Codes(codes, cast(Vocabulary, value.names)).coded_by(names)
    rows = np.repeat(np.arange(len(value)), np.diff(offsets))[places >= 0]
    pairs = np.unique(rows * max(len(names), 1) + places[places >= 0])
    return np.divmod(pairs, max(len(names), 1))


def columns_of(value: Any) -> Array:
    """Numbers or vectors as columns: missing and infinite ones are NaN, larger ones than are computed with those."""
    array = np.asarray(value)
    columns = array if array.ndim == 2 else array[:, None]
    return np.clip(np.where(np.isfinite(columns), columns, np.nan), -LARGEST, LARGEST)


def _vocabularies(state: State) -> list[Vocabulary]:
    return [Vocabulary(pa.array(part.get("names", []), pa.large_string())) for part in state["layout"]]


def _fill(into: Array, part: Part, names: Vocabulary, value: Any) -> None:
    if part.get("blank"):
        into[:] = np.nan
    elif isinstance(value, Codes):
        codes = value.coded_by(names)
        into[:, 0] = np.where(codes < 0, np.nan, codes)
    elif isinstance(value, Ragged):
        into[_hits(value, names)] = 1
    else:
        into[:] = columns_of(value)


def categories(parts: list[Part]) -> list[int]:
    """Which columns of the matrix are codes of a category."""
    starts = np.cumsum([0, *(part["width"] for part in parts)])
    return [int(start) for part, start in zip(parts, starts, strict=False) if part["kind"] == "category"]


def one_hot(state: State, numbers: Array) -> Array:
    """The matrix with each category's code as a column per name; a missing one is all zeros."""
    columns: list[Array] = []
    start = 0
    for part in state["layout"]:
        block = numbers[:, start : start + part["width"]]
        hot = block == np.arange(len(part["names"])) if part["kind"] == "category" else block
        columns.append(hot.astype(numbers.dtype))
        start += part["width"]
    return np.concatenate(columns, axis=1)


def design(state: State, values: dict[str, Any]) -> Array:
    """The features for a model that adds and multiplies: float64, categories one column per name."""
    return one_hot(state, matrix(state, values, np.float64))


def averages(X: Array) -> Array:
    """The mean of each column's known values, 0 where none is known."""
    known = ~np.isnan(X)
    return np.nansum(X, axis=0) / np.maximum(known.sum(axis=0), 1)
