"""Data with a structure that a model must find, and the way a state takes through a store."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from motet.batch import Array, Batch, Codes, Ragged, Vocabulary
from motet.model import State
from motet.windows import Windows

VIEWERS, FILMS, EACH = 60, 40, 12


def texts(*values: str | None) -> pa.Array:
    return pa.array(values, pa.large_string())


def names(prefix: str, n: int) -> Vocabulary:
    return Vocabulary(texts(*(f"{prefix}{i}" for i in range(n))))


def tags(*rows: Iterable[str]) -> Ragged:
    known = sorted({name for row in rows for name in row})
    flat = np.array([known.index(name) for row in rows for name in row], np.int32)
    offsets = np.cumsum([0, *(len(list(row)) for row in rows)])
    return Ragged(Windows.of(flat, offsets), Vocabulary(texts(*known)))


def categories(*values: str | None) -> Codes:
    known = sorted({v for v in values if v is not None})
    return Codes(np.array([-1 if v is None else known.index(v) for v in values], np.int32), Vocabulary(texts(*known)))


def histories(*rows: list[int], films: Vocabulary) -> Ragged:
    flat = np.array([film for row in rows for film in row], np.int32)
    return Ragged(Windows.of(flat, np.cumsum([0, *map(len, rows)])), films)


def two_camps(seed: int = 0) -> tuple[Batch, Codes]:
    """Even viewers watch even films, odd viewers odd ones; each event with its history and its film."""
    draw = np.random.default_rng(seed)
    watched = np.concatenate(
        [draw.choice(np.arange(v % 2, FILMS, 2), EACH, replace=False) for v in range(VIEWERS)]
    ).astype(np.int32)
    viewers = np.repeat(np.arange(VIEWERS), EACH).astype(np.int32)
    rows = np.arange(len(watched))
    films = names("film", FILMS)
    past = Ragged(Windows(watched, viewers.astype(np.int64) * EACH, rows), films)
    columns = {"history": past, "who": Codes(viewers, names("viewer", VIEWERS))}
    return Batch(columns, rows=len(rows), seed=seed), Codes(watched, films)


def stored(state: State) -> State:
    """The state as another process reads it. Fails if a part cannot be kept."""
    return State(**{name: _stored(part) for name, part in state.parts.items()})


def _stored(part: Any) -> Any:
    if isinstance(part, State):
        return stored(part)
    if isinstance(part, (np.ndarray, bytes)):
        assert not isinstance(part, np.ndarray) or part.dtype.kind in "fiub"
        return part
    again = json.loads(json.dumps(part))
    assert again == part
    return again


def same(first: State, second: State) -> bool:
    """Whether two states are equal to the last bit."""
    return first.parts.keys() == second.parts.keys() and all(map(_same, first.parts.values(), second.parts.values()))


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, State):
        return same(first, second)
    return np.array_equal(first, second) if isinstance(first, np.ndarray) else first == second


def best_are_of(camp: int, scores: Array, seen: list[int]) -> bool:
    """Whether the ten best films that were not seen are all of a camp."""
    left = np.nan_to_num(scores, nan=-np.inf)
    left[seen] = -np.inf
    return bool((np.argsort(-left)[:10] % 2 == camp).all())
