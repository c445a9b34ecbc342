"""Answers events that are arriving now: the same graph, the same types, one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa

from motet import intake, pictures
from motet.batch import Codes, Pairs, Ragged, is_scores
from motet.column import Image, Text
from motet.errors import GraphError
from motet.node import item_of
from motet.outline import Outline
from motet.rows.asks import outcomes
from motet.rows.problems import refuse
from motet.run.context import Batched, Context

Answer = dict[str, Any]


def answer(outline: Outline, context: Context, asks: Sequence[Mapping[str, Any]]) -> list[Answer]:
    """One answer per ask: what the outline answers, by name. An ask is the event's fields without its outcomes.

    A key that is not known (a new viewer) is answered as one without a past; a missing time is now.
    Errors: DataError for a field that does not exist, is missing, is of another type or is an outcome.
    """
    run = asking(outline, context, asks)
    columns = {name: plain(run, column) for name, column in outline.answered.items()}
    return [{name: values[i] for name, values in columns.items()} for i in range(len(asks))]


def asking(outline: Outline, context: Context, asks: Sequence[Mapping[str, Any]]) -> Batched:
    """The batch that asks are. Errors: as of `answer`."""
    event = outline.event
    if event is None:
        raise GraphError(f"{outline} is asked by no event", help="give it an output that depends on one")
    refuse(outcomes(event, asks))
    return context.asked(event, intake.asked(event, asks, context.entities()))


def plain(run: Batched, column: Any) -> list[Any]:
    """A column of the batch as plain Python values, one per request."""
    value = run.value(column)
    if isinstance(value, Pairs):
        return _items(run, item_of(column.grain), value)
    if is_scores(value):
        raise GraphError(
            f"an ask cannot answer {column!r}, a score of every item",
            help="answer the best of them: mt.retrieve(Film, k=10, by=[score])",
        )
    if isinstance(column, Image):
        return pictures.told(value)
    return values(value)


def values(value: Any) -> list[Any]:
    """A column that is neither candidates nor scores as plain Python values, one per row."""
    if isinstance(value, pa.Array):
        return value.to_pylist()
    if isinstance(value, Codes):
        return value.names.names.take(pa.array(value.codes, mask=value.codes < 0)).to_pylist()
    if isinstance(value, Ragged):
        return [_named(value, i) for i in range(len(value))]
    return [_number(x) for x in np.asarray(value).tolist()]


def _items(run: Batched, entity: Any, pairs: Pairs) -> list[list[Answer]]:
    """Each candidate by its key, its score and its first text, which people know it by."""
    table = run.context.data.tables[entity]
    shown = [entity.key_field(), *[n for n, kind in entity.fields.items() if kind is Text][:1]]
    items: list[int] = pairs.items.tolist()
    # One by one: of the few that are answered that is ten times as fast as Arrow's own take.
    columns = {name: cast(pa.Array, table.columns[name]) for name in shown}
    scores: list[float] = pairs.scores.tolist()
    rows = [
        {**{name: column[item].as_py() for name, column in columns.items()}, "score": score}
        for item, score in zip(items, scores, strict=True)
    ]
    return [rows[a:b] for a, b in zip(pairs.offsets[:-1], pairs.offsets[1:], strict=True)]


def _named(value: Ragged, row: int) -> list[Any]:
    stretch = value.windows.row(row)
    if value.names is None:
        return [_number(x) for x in stretch.tolist()]
    return value.names.names.take(pa.array(stretch, mask=stretch < 0)).to_pylist()


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value
