"""What a function may return for each kind of column, and what it becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from motet.batch import NO_TIME, Array, Codes, Ragged, Vocabulary, offsets_of
from motet.column import Category, Flag, Number, Tags, Text, Time, Vector
from motet.windows import Windows


def _numbers(made: Any) -> Array:
    values = _real(_listed(made)).astype(np.float64)
    if values.ndim != 1:
        raise ValueError(f"it has {values.ndim} dimensions")
    values[np.isinf(values)] = np.nan
    return values


def _real(made: Any) -> Array:
    values = np.asarray(made)
    if values.dtype.kind == "c":
        raise ValueError("its numbers are complex")
    return values


def _flags(made: Any) -> Array:
    values = _numbers(made)
    if not np.isin(values[~np.isnan(values)], (0, 1)).all():
        raise ValueError("a flag is 0, 1 or missing")
    return values


def _texts(made: Any) -> pa.Array:
    whole = made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made
    return whole.cast(pa.large_string()) if isinstance(whole, pa.Array) else pa.array(whole, pa.large_string())


def _categories(made: Any) -> Codes:
    if isinstance(made, Codes):
        return made
    names = _texts(made)
    vocabulary = Vocabulary(names.drop_null().unique())
    return Codes(vocabulary.codes(names), vocabulary)


def _tags(made: Any) -> Ragged:
    if isinstance(made, Ragged) and made.names is not None:
        return made
    rows: list[list[str]] = [row or [] for row in _listed(made)]
    found = _categories([name for row in rows for name in row])
    sizes = np.array([len(row) for row in rows], np.int64)
    return Ragged(Windows.of(found.codes, offsets_of(sizes)), found.names)


def _vectors(made: Any) -> Array:
    values = _real(made).astype(np.float32, copy=False)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError("a vector is a row of finite numbers, all rows of one width")
    return values


def _times(made: Any) -> Array:
    values = np.asarray(made)
    if values.dtype.kind == "M":
        micros = values.astype("datetime64[us]")
        return np.where(np.isnat(micros), NO_TIME, micros.astype(np.int64))
    if values.dtype.kind != "i" or values.ndim != 1:
        raise ValueError("a time is int64 microseconds since 1970, or datetime64")
    return values.astype(np.int64)


def _listed(made: Any) -> Any:
    return made.to_pylist() if isinstance(made, (pa.Array, pa.ChunkedArray)) else made


KINDS: dict[Any, Callable[[Any], Any]] = {
    Number: _numbers,
    Flag: _flags,
    Text: _texts,
    Category: _categories,
    Tags: _tags,
    Vector: _vectors,
    Time: _times,
}
