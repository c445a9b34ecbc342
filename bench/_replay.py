"""Past events one by one through the online path, and whether every column says what it says offline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa

from motet.answer import plain
from motet.apply import Apply, PerPair
from motet.batch import Array, Codes, Pairs, Ragged, is_scores
from motet.column import Column
from motet.fitted import Fitted
from motet.models.content.write import Write
from motet.node import event_of, upstream
from motet.outline import Outline
from motet.run.context import Batched, Context
from motet.table import parse

BLOCK = 256  # events whose offline values are computed at a time
NEAR = 1e-5


@dataclass(frozen=True)
class Replayed:
    """mismatches: by column, how many values differ: of an event, or of an entity's row."""

    columns: int
    events: int
    mismatches: Mapping[str, int]


def compared(outline: Outline) -> tuple[Column, ...]:
    """Every column but outcomes, which are not there when it is asked, and what a language model writes."""
    return tuple(c for c in outline.columns if not c.after and not _written(c))


def replay(online: Fitted, offline: Context, rows: Array, events: Sequence[Mapping[str, Any]]) -> Replayed:
    """Asks each event, compares, then observes it.

    offline: over data that hold the events, which are rows `rows` of their table. events: the same as given.
    """
    outline, wrong = online.outline, Counter[str]()
    columns = compared(outline)
    shared = [c for c in columns if event_of(c.grain) is None and _readable(offline.shared(c))]
    for column in shared:
        wrong[outline.name(column)] += unlike(_shared(online.live, column), _shared(offline, column))
    asked = [c for c in columns if event_of(c.grain) is not None]
    for low in range(0, len(rows), BLOCK):
        run = offline.batch(outline.event, rows[low : low + BLOCK])
        then = {column: per_request(run, column) for column in asked}
        for i, event in enumerate(events[low : low + BLOCK]):
            now = ask(online, event)
            for column in asked:
                wrong[outline.name(column)] += unlike(per_request(now, column)[0], then[column][i]) > 0
            online.observe(outline.event, [event])
    return Replayed(len(shared) + len(asked), len(rows), +wrong)


def ask(fitted: Fitted, event: Mapping[str, Any]) -> Batched:
    """The event as it arrives: one ask, without its outcomes."""
    kind = fitted.outline.event
    known = {name: value for name, value in event.items() if not kind.specs[name].outcome}
    return fitted.live.asked(kind, parse(kind, [known], fitted.live.entities(), partial=True))


def per_request(run: Batched, column: Column) -> list[Any]:
    """What the column says of each request: of a number per candidate in the candidates' order."""
    n = run.rows(frozenset({event_of(column.grain)}))
    if len(column.grain) > 1 and column.node.among:
        return _per_candidate(run, column, n)
    value = run.value(column)
    if isinstance(value, PerPair):
        return [None] * n
    if is_scores(value):
        return list(value.dense(slice(0, n)))
    if isinstance(value, np.ndarray) and value.ndim == 2:
        return list(value)
    return plain(run, column)


def _per_candidate(run: Batched, column: Column, n: int) -> list[Any]:
    pairs = run.value(column)
    if isinstance(pairs, Pairs):
        parts = [(pairs.items[a:b], pairs.scores[a:b]) for a, b in _stretches(pairs)]
        return [[dict(zip(items.tolist(), scores.tolist(), strict=True)), items.tolist()] for items, scores in parts]
    (candidates,) = column.node.among
    among: Pairs = run.value(candidates)
    values = np.asarray(run.at(column, among))
    return [dict(zip(among.items[a:b].tolist(), values[a:b].tolist(), strict=True)) for a, b in _stretches(among)]


def _stretches(pairs: Pairs) -> list[tuple[int, int]]:
    return list(zip(pairs.offsets[:-1].tolist(), pairs.offsets[1:].tolist(), strict=True))


def _readable(value: Any) -> bool:
    """Whether it is a value and no model's own object (an index) or record, whose fields are columns themselves."""
    return isinstance(value, (np.ndarray, pa.Array, Codes, Ragged))


def _shared(context: Context, column: Column) -> Any:
    """An entity column as an array, or a plain list."""
    value = context.shared(column)
    return value if isinstance(value, np.ndarray) else plain(context.batch(), column)


def unlike(one: Any, other: Any) -> int:
    """How many values differ: numbers by more than 1e-5 (of themselves, where they are above 1)."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        same = np.isclose(one, other, rtol=NEAR, atol=NEAR, equal_nan=True) if one.shape == other.shape else np.zeros(1)
        return int(same.size - np.count_nonzero(same))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return 1
        return sum(unlike(value, other[name]) for name, value in cast("Mapping[Any, Any]", one).items())
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(cast("list[Any]", one), cast("list[Any]", other), strict=False)
        return abs(len(one) - len(other)) + sum(unlike(a, b) for a, b in pairs)
    if isinstance(one, float) and isinstance(other, float):
        return int(not np.isclose(one, other, rtol=NEAR, atol=NEAR, equal_nan=True))
    return int(one != other)


def _written(column: Column) -> bool:
    return any(isinstance(c.node, Apply) and isinstance(c.node.model, Write) for c in upstream((column,)))
