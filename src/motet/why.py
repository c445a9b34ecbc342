"""Why an answer holds its items: the places that the scorers they were found by give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from motet.answer import Answer, asking
from motet.batch import Array, Pairs, is_scores
from motet.candidates import Candidates, Retrieve, root_of
from motet.column import Column
from motet.node import item_of
from motet.outline import Outline
from motet.run.context import Batched, Context


def why(
    outline: Outline, context: Context, asks: Sequence[Mapping[str, Any]], outputs: Sequence[str]
) -> list[dict[str, list[Answer]]]:
    """Per ask and output, which must answer candidates: each item's key, and under `by` its place, from 1, by each
    scorer that has it among the best k of what may be found. An item without any was answered by an `otherwise`.

    Errors: as of `answer`.
    """
    run = asking(outline, context, asks)
    found = {name: _reasons(outline, run, outline.answered[name]) for name in outputs}
    return [{name: items[i] for name, items in found.items()} for i in range(len(asks))]


def rankings(outline: Outline) -> list[str]:
    """The outputs that answer candidates."""
    return [name for name, column in outline.answered.items() if isinstance(column, Candidates)]


def _reasons(outline: Outline, run: Batched, column: Column) -> list[list[Answer]]:
    pairs: Pairs = run.value(column)
    root, entity = root_of(column), item_of(column.grain)
    key = entity.key_field()
    keys: Any = run.context.data.tables[entity].columns[key]
    scored = {outline.name(scorer): run.value(scorer) for scorer in root.by}
    told: list[list[Answer]] = []
    for i in range(len(pairs.offsets) - 1):
        items = pairs.items[pairs.offsets[i] : pairs.offsets[i + 1]]
        left = _left_out(run, root, i, len(keys))
        places = {name: _places(np.where(left, np.nan, _row(value, i)), items) for name, value in scored.items()}
        told.append(
            [
                {key: keys[int(item)].as_py(), "by": {n: int(p[j]) for n, p in places.items() if 0 < p[j] <= root.k}}
                for j, item in enumerate(items)
            ]
        )
    return told


def _left_out(run: Batched, root: Retrieve, i: int, n: int) -> Array:
    """The items that one request was never to find, bool [n]."""
    left = np.zeros(n, np.bool_) if root.where is None else _row(run.value(root.where), i) != 1
    if root.exclude is not None:
        codes = run.value(root.exclude).windows.row(i)
        left[codes[(codes >= 0) & (codes < n)]] = True
    return left


def _row(value: Any, i: int) -> Array:
    """What a scorer says of each item to one request, NaN where nothing: float32 [items]."""
    return np.array(value.dense(slice(i, i + 1))[0] if is_scores(value) else value, np.float32)


def _places(scores: Array, items: Array) -> Array:
    """Where the items stand among those of which something is said, from 1; 0 where nothing is said of one."""
    mine = scores[items]
    ordered = np.sort(scores[~np.isnan(scores)])
    above = len(ordered) - np.searchsorted(ordered, mine, side="right")
    return np.where(np.isnan(mine), 0, above + 1)
