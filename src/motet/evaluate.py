"""Replays the events of a test part as requests and measures what the graph would have answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from motet.batch import Array, Codes, Pairs, concat, is_scores, take
from motet.candidates import Candidates, held
from motet.column import Category, Column, Flag, Number
from motet.data import Data
from motet.errors import DataError, GraphError
from motet.evaluation import Answered, Evaluation, Labels, Measured, Predicted
from motet.hashing import row_hashes
from motet.metrics.ranking import MISS, rank_of
from motet.node import event_of, grain_name, item_of, name_of
from motet.outline import Outline
from motet.run.context import Batched, Context

BLOCK = 512  # requests replayed at a time
COMPARED = ((Category,), (Number, Flag))  # columns of one kind can be held against each other

Tick = Callable[[int, int, str], None]


def evaluate(
    outline: Outline,
    context: Context,
    train: Data,
    relevant: Any,
    tick: Tick,
    beside: Mapping[str, Column] | None = None,
) -> Evaluation:
    """Measures every output that has an outcome to be held against; texts and the like have none.

    beside: columns of the event whose values are handed back as they are.
    """
    event = outline.event
    rows = asked(context, event, relevant)
    rankings = {name: c for name, c in outline.answered.items() if item_of(c.grain) is not None}
    targets = {name: target_of(c) for name, c in outline.answered.items() if name not in rankings}
    predictions = {name: outline.answered[name] for name, target in targets.items() if target is not None}
    if not rankings and not predictions and not beside:
        raise GraphError(
            "no output can be measured: none ranks items or predicts an outcome",
            help="mt.Graph(top=score.top(10)), or a model with target=...",
        )
    places: dict[str, list[Array]] = {name: [] for name in rankings}
    said: dict[str, list[Any]] = {name: [] for name in predictions}
    heard: dict[str, list[Any]] = {name: [] for name in beside or {}}
    for low in range(0, len(rows), BLOCK):
        run = context.batch(event, rows[low : low + BLOCK])
        for name, column in rankings.items():
            places[name].append(ranks(run, column))
        for name, column in predictions.items():
            said[name].append(run.value(column))
        for name, column in (beside or {}).items():
            heard[name].append(run.value(column))
        tick(min(low + BLOCK, len(rows)), len(rows), "requests replayed")
    whole = context.batch(event, rows)
    groups = groups_by(whole, event)
    measured: dict[str, Measured] = {
        name: Answered(
            np.concatenate(found), groups, _cold(whole, rankings[name], train), _depth(whole, rankings[name])
        )
        for name, found in places.items()
    }
    for name, found in said.items():
        target = targets[name]
        assert target is not None
        measured[name] = _held_against(concat(found), whole.value(target), groups)
    problems = doubts(measured, rows, event, context, train)
    values = {name: concat(found) for name, found in heard.items()}
    return Evaluation(measured, len(rows), problems, groups, values)


def ranks(run: Batched, column: Column) -> Array:
    """The place of what happened in each request's ranking, MISS where it is not in it: int64 [requests]."""
    event, entity = event_of(column.grain), item_of(column.grain)
    target = _codes(run.value(event.happened(entity)))
    value = run.value(column)
    if isinstance(value, Pairs):
        return places(value, target)
    if is_scores(value):
        return rank_of(value.dense(slice(0, len(target))), target)
    raise GraphError(f"{name_of(column)} per {grain_name(column.grain)} is no ranking", help="retrieve, then .top(10)")


def places(pairs: Pairs, target: Array) -> Array:
    """Where in each request's candidates the target stands."""
    requests = pairs.requests
    hits = np.flatnonzero(pairs.items == target[requests])
    found = np.full(len(target), MISS, np.int64)
    found[requests[hits]] = hits - pairs.offsets[requests[hits]]
    return found


def asked(context: Context, event: Any, relevant: Any) -> Array:
    """The rows of the events that are replayed. Errors: the graph is asked by none, the test part asks none, or
    `relevant` is no condition, or holds of none of them."""
    if event is None:
        raise GraphError("the graph is asked by no event, so there is nothing to replay", help="motet prepare it")
    rows = context.data.asked.get(event, np.zeros(0, np.int64))
    if not len(rows):
        raise DataError(f"the test part asks no {event.__name__}", help="split earlier, or give later events")
    if relevant is None:
        return rows
    if not isinstance(relevant, Flag):
        said = f"{name_of(relevant)}, a {relevant.kind}," if isinstance(relevant, Column) else repr(relevant)
        raise GraphError(f"relevant={said} is no condition", help="relevant=Visit.rating >= 4")
    held = np.asarray(context.batch(event, rows).value(relevant)) == 1
    if not held.any():
        raise DataError(
            f"{name_of(relevant)} holds of none of {len(rows):,} events of {event.__name__} that the test part asks",
            help="give another condition, or later events",
        )
    return rows[held]


def target_of(column: Column) -> Column | None:
    """The outcome that a column's model was fitted to or is held against, where the column says what it will be."""
    target = column.node.outcome
    return target if any(isinstance(column, kinds) and isinstance(target, kinds) for kinds in COMPARED) else None


def _held_against(said: Any, came: Any, groups: Array | None) -> Predicted | Labels:
    if isinstance(came, Codes):
        return Labels(said, came, groups)
    return Predicted(np.asarray(said, np.float64), np.asarray(came, np.float64), groups)


def groups_by(run: Batched, event: Any) -> Array | None:
    """What requests depend on each other by: the first entity that the event refers to."""
    name = event.first_reference()
    return None if name is None else run.field(event, name).codes


def _cold(run: Batched, column: Column, train: Data) -> Array:
    """Whether what happened never happened in training: bool [requests]."""
    event, entity = event_of(column.grain), item_of(column.grain)
    happened = event.happened(entity)
    target: Codes = run.value(happened)
    field = happened.node.label().rpartition(".")[2]
    whole = train.tables[event].columns[field]
    assert isinstance(whole, Codes)
    counts = np.bincount(_codes(whole)[train.seen[event]] + 1, minlength=len(whole.names) + 1)
    return counts[target.coded_by(whole.names) + 1] == 0


def _depth(run: Batched, column: Column) -> int:
    """How many items an answer has at most."""
    items = run.rows(frozenset({item_of(column.grain)}))
    return min(items, held(column)) if isinstance(column, Candidates) else items


def _codes(value: Codes) -> Array:
    return value.codes.astype(np.int64)


def doubts(measured: Mapping[str, Measured], rows: Array, event: Any, context: Context, train: Data) -> dict[str, int]:
    """What a reader of the figures has to know: what could not be had, requests that were learnt from, predictions that
    are missing."""
    learnt = _learnt(rows, event, context.data, train)
    missing = {
        f"{name}: no prediction for a known outcome": int((np.isnan(p.predicted) & np.isfinite(p.outcome)).sum())
        for name, p in measured.items()
        if isinstance(p, Predicted)
    }
    labels = {name: p for name, p in measured.items() if isinstance(p, Labels)}
    missing |= {
        f"{name}: no label for a known outcome": int((p.known & (p.said.codes < 0)).sum()) for name, p in labels.items()
    }
    missing |= {f"{name}: the outcome is no label that it gives": int(p.unheard.sum()) for name, p in labels.items()}
    found = {"requests that the fit has learnt from: these figures flatter": learnt, **missing}
    return _notes(context.notes) | {why: n for why, n in found.items() if n}


def _learnt(rows: Array, event: Any, test: Data, train: Data) -> int:
    """How many of the test part's events the fit has learnt from: in data that were bound anew, by all their fields."""
    known = train.asked[event]
    if train.tables[event] is test.tables[event]:
        return int(np.isin(rows, known).sum())
    mine, theirs = test.times(event)[rows], train.times(event)[known]
    alike, others = rows[np.isin(mine, theirs)], known[np.isin(theirs, mine)]
    told = set(_hashes(train, event, others))
    return sum(each in told for each in _hashes(test, event, alike))


def _hashes(data: Data, event: Any, rows: Array) -> list[bytes]:
    """Of each event, equal where all of its fields are."""
    return row_hashes("", [take(value, rows) for value in data.tables[event].columns.values()]).tolist()


def _notes(notes: Mapping[tuple[str, str], int]) -> dict[str, int]:
    return {f"{column}: {problem}": n for (column, problem), n in notes.items()}
