"""What flows through a graph, offline and online alike: columns of values, never rows.

A Number or Flag is float64 (a missing one is NaN, a Flag is 0 or 1), a Time int64 microseconds UTC, a Text or
Key an Arrow array, an Image one of bytes (motet.pictures), a Vector an [n, d] float32 matrix. The other kinds are the
classes below.
Row -1 means "refers to nothing" everywhere: taking it gives the missing value of the kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from threading import Event
from typing import Any, Protocol, TypeAlias, TypeGuard, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from motet.windows import Windows

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
NO_TIME = np.iinfo(np.int64).min
HELD = 1 << 16  # pairs whose vectors are gathered at a time


class Vocabulary:
    """The distinct names or keys that codes stand for, in order. Row i is code i."""

    def __init__(self, names: pa.Array) -> None:
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def places(self) -> Mapping[Any, int]:
        """The code of each name, for a few look-ups at a time. Made at the first use."""
        return {name: code for code, name in enumerate(self.names.to_pylist())}

    def extended(self, new: pa.Array) -> Vocabulary:
        """This vocabulary and the new names after it; codes stay what they are."""
        if not len(self):
            return Vocabulary(new)
        longer = Vocabulary(pa.concat_arrays([self.names, new]))
        if "places" in self.__dict__:
            # A table grows by one viewer at a time while it is asked: a copy each would take its whole length.
            more = cast("dict[Any, int]", self.places)
            more.update((name, len(self) + i) for i, name in enumerate(new.to_pylist()))
            longer.__dict__["places"] = more
        return longer

    def code(self, name: Any) -> int:
        """The code of one name, -1 where it is not here."""
        code = self.places.get(name, -1)
        return code if code < len(self) else -1

    def codes(self, names: pa.Array) -> Array:
        """The code of each name, -1 where it is null or not here: int32 [n]."""
        if len(self.names) == 0 or len(names) == 0:
            return np.full(len(names), -1, np.int32)
        found = pc.index_in(names.cast(self.names.type), value_set=self.names, skip_nulls=True)
        return cast(Array, pc.fill_null(found, -1).to_numpy(zero_copy_only=False)).astype(np.int32)

    def tolist(self) -> list[Any]:
        return self.names.to_pylist()


@dataclass(frozen=True)
class Codes:
    """Categories or references: int32 [n] codes into a vocabulary, -1 where there is none."""

    codes: Array
    names: Vocabulary

    def __len__(self) -> int:
        return len(self.codes)

    def coded_by(self, names: Vocabulary) -> Array:
        """The same values as codes of another vocabulary (the one that a model was fitted with)."""
        if names is self.names:
            return self.codes
        return translate(self.names, names)[self.codes]


def translate(source: Vocabulary, target: Vocabulary) -> Array:
    """What each code of one vocabulary is in another; its last entry serves code -1."""
    return np.append(target.codes(source.names), np.int32(-1)).astype(np.int32)


@dataclass(frozen=True)
class Ragged:
    """Tags or a history: row i is a stretch of codes (`names` says of what) or of numbers.

    Of a history too: times, when each element happened; now, when each row is asked, int64 [n]; lives, offsets
    of each key's whole history in `windows.values`, oldest first, which a sequence model learns from.
    """

    windows: Windows
    names: Vocabulary | None = None
    times: Windows | None = None
    now: Array | None = None
    lives: Array | None = None

    def __len__(self) -> int:
        return len(self.windows)


@dataclass(frozen=True)
class Pairs:
    """Candidates: request i has items[offsets[i]:offsets[i + 1]] with their scores, best first."""

    offsets: Array
    items: Array
    scores: Array

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def requests(self) -> Array:
        """The request that each pair belongs to, int64 [pairs]."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def scored(self, scores: Array) -> Pairs:
        """The same candidates under other scores, best first; equal scores keep their order."""
        order = np.lexsort((-scores, self.requests))
        return Pairs(self.offsets, self.items[order], np.asarray(scores, np.float32)[order])

    def top(self, k: int) -> Pairs:
        """The first k candidates of each request."""
        sizes = np.diff(self.offsets)
        place = np.arange(len(self.items)) - np.repeat(self.offsets[:-1], sizes)
        kept = place < k
        return Pairs(offsets_of(np.minimum(sizes, k)), self.items[kept], self.scores[kept])

    def of(self, requests: Array) -> Pairs:
        """The candidates of these requests, in this order."""
        items, scores = (Windows.of(flat, self.offsets).take(requests) for flat in (self.items, self.scores))
        return Pairs(offsets_of(items.lengths), items.compact().values, scores.compact().values)

    def at(self, requests: Array, items: Array) -> Array:
        """The score of each given pair, NaN where it is no candidate: float32 [pairs]."""
        width = int(max(self.items.max(initial=0), items.max(initial=0))) + 1
        mine, asked = self.requests * width + self.items, requests * width + items
        order = np.argsort(mine, kind="stable")
        place = np.minimum(np.searchsorted(mine, asked, sorter=order), max(len(mine) - 1, 0))
        if len(mine) == 0:
            return np.full(len(asked), np.nan, np.float32)
        hit = order[place]
        return np.where(mine[hit] == asked, self.scores[hit], np.nan).astype(np.float32)


def offsets_of(sizes: Array) -> Array:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


class Scores(Protocol):
    """A number for every request and every item, held as its model likes and read in three ways."""

    @property
    def shape(self) -> tuple[int, int]: ...
    def dense(self, requests: slice) -> Array:
        """float32 [requests, items]"""
        ...

    def at(self, requests: Array, items: Array) -> Array:
        """float32 [pairs]"""
        ...


def is_scores(value: Any) -> TypeGuard[Scores]:
    """Whether a value is Scores. Asking a protocol the same takes a hundred times as long, in every batch."""
    return hasattr(value, "dense")


@dataclass(frozen=True)
class Factors:
    """Scores as a dot product of request and item vectors; a request of zeros has nothing to say: NaN."""

    requests: Array
    items: Array

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.requests), len(self.items)

    def dense(self, requests: slice) -> Array:
        scores = self.requests[requests] @ self.items.T
        scores[self._silent[requests]] = np.nan
        return scores

    @property
    def _silent(self) -> Array:
        return np.asarray(~self.requests.any(axis=1))

    def at(self, requests: Array, items: Array) -> Array:
        scores = np.full(len(items), np.nan, np.float32)
        asked = np.flatnonzero(~self._silent[requests])
        for low in range(0, len(asked), HELD):
            some = asked[low : low + HELD]
            scores[some] = np.einsum("pd,pd->p", self.requests[requests[some]], take(self.items, items[some]))
        return scores


@dataclass(frozen=True)
class Dense:
    """Scores that are simply there: float32 [requests, items]."""

    scores: Array

    @property
    def shape(self) -> tuple[int, int]:
        return cast(tuple[int, int], self.scores.shape)

    def dense(self, requests: slice) -> Array:
        return self.scores[requests]

    def at(self, requests: Array, items: Array) -> Array:
        return self.scores[requests, items]


@dataclass(frozen=True)
class PerItem:
    """Scores that are the same for every request: float32 [items]."""

    scores: Array
    n: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.n, len(self.scores)

    def dense(self, requests: slice) -> Array:
        rows = len(range(*requests.indices(self.n)))
        return np.broadcast_to(self.scores, (rows, len(self.scores)))

    def at(self, requests: Array, items: Array) -> Array:
        return self.scores[items]


Filled: TypeAlias = "Mapping[str, Value]"  # what a model reads into a record: a column per field
Value: TypeAlias = "Array | pa.Array | Codes | Ragged | Pairs | Scores | Filled"


@dataclass(frozen=True)
class Batch:
    """The arguments of a model by name, as columns of equal length (`Whole` ones keep their own).

    rows: how many rows the result must have. groups: offsets per request when rows are candidates.
    seconds: how long the result is waited for, where it is. left: set when nobody waits for it any more.
    cores: how many may be used: more than one only where nothing else is asked for at the moment.
    seed: for whatever is drawn at random. progress: called with (done, of, "what it says") while fitting.
    note: called with the reason for every value that is there, but is not what it was to be.
    said: called with (row, text so far) while a text is being written; None where nobody reads along.
    """

    columns: Mapping[str, Any]
    rows: int
    groups: Array | None = None
    seconds: float | None = None
    left: Event | None = field(default=None, compare=False)
    cores: int = 1
    seed: int = 0
    progress: Callable[[int, int, str], None] = field(default=lambda done, of, said: None, compare=False)
    note: Callable[[str], None] = field(default=lambda problem: None, compare=False)
    said: Callable[[int, str], None] | None = field(default=None, compare=False)

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    @property
    def sizes(self) -> Array:
        """How many rows each request has, where rows are candidates: int64 [requests]."""
        return np.zeros(0, np.int64) if self.groups is None else np.diff(self.groups)

    def features(self) -> dict[str, Any]:
        """The arguments that came by position, in order, named feature0, feature1 ..."""
        return {name: value for name, value in self.columns.items() if name.startswith("feature")}


def take(value: Any, rows: Array) -> Any:
    """The given rows of a value; a row outside it gives the kind's missing value."""
    if isinstance(value, Mapping):
        return {name: take(column, rows) for name, column in cast(Mapping[str, Any], value).items()}
    missing = len(rows) > 0 and not 0 <= rows.min() <= rows.max() < len(value)
    out = (rows < 0) | (rows >= len(value)) if missing else np.zeros(len(rows), np.bool_)
    if isinstance(value, pa.Array):
        return value.take(pa.array(rows, mask=out) if missing else pa.array(rows))
    safe = np.where(out, 0, rows) if missing else rows
    if isinstance(value, Codes):
        codes = value.codes[safe] if len(value) else np.zeros(len(rows), np.int32)
        return Codes(np.where(out, -1, codes).astype(np.int32), value.names)
    if isinstance(value, Ragged):
        rows = np.where(out, -1, rows) if missing else rows
        times = value.times.take(rows) if value.times is not None else None
        now = None if value.now is None else take(value.now, rows)
        return Ragged(value.windows.take(rows), value.names, times, now, value.lives)
    array = cast(Array, value)
    if not missing:
        return array[rows]
    taken = array[safe] if len(array) else np.zeros((len(rows), *array.shape[1:]), array.dtype)
    taken[out] = NO_TIME if array.dtype == np.int64 else (np.nan if array.dtype == np.float64 else 0)
    return taken


def concat(values: list[Any]) -> Any:
    """Blocks of one column put together again."""
    first = values[0]
    if len(values) == 1:
        return first
    if isinstance(first, Mapping):
        return {name: concat([v[name] for v in values]) for name in cast(Mapping[str, Any], first)}
    if isinstance(first, pa.Array):
        return pa.concat_arrays(values)
    if isinstance(first, Codes):
        names = merged([v.names for v in values])
        return Codes(np.concatenate([v.coded_by(names) for v in values]), names)
    if isinstance(first, Ragged):
        names = None if first.names is None else merged([v.names for v in values])
        parts = [_recoded(v, names) for v in values]
        sizes = np.concatenate([p.windows.lengths for p in parts])
        offsets = offsets_of(sizes)
        flat = np.concatenate([p.windows.compact().values for p in parts])
        return Ragged(Windows(flat, offsets[:-1], offsets[1:]), names)
    return np.concatenate(values)


def merged(vocabularies: list[Vocabulary]) -> Vocabulary:
    """One vocabulary that holds every name, in order of first appearance."""
    first = vocabularies[0]
    if all(v is first or v.names.equals(first.names) for v in vocabularies):
        return first
    return Vocabulary(pc.unique(pa.concat_arrays([v.names for v in vocabularies])))


def _recoded(value: Ragged, names: Vocabulary | None) -> Ragged:
    if names is None or value.names is None or value.names is names:
        return value
    windows = value.windows
    return Ragged(Windows(translate(value.names, names)[windows.values], windows.starts, windows.ends), names)
