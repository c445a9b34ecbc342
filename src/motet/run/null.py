"""The runner that computes nothing and counts everything: what a plan is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from motet.apply import Apply, Within
from motet.candidates import Retrieve, held
from motet.column import Unready
from motet.node import Column, event_of, grain_name, item_of, upstream
from motet.outline import Outline

Sizes = Mapping[Any, int]  # rows of each record


@dataclass(frozen=True)
class Count:
    """How often one column is computed, and on what occasion.

    times: rows; per request where `per_request`, else once for all. None: how many is not known without data.
    """

    column: Column
    grain: str
    occasion: str
    times: int | None
    per_request: bool


def counts(outline: Outline, sizes: Sizes) -> list[Count]:
    """Every column that some work makes, in the order of work."""
    answering = set(outline.answering)
    return [
        count(column, sizes)
        if column in answering or event_of(column.grain) is None
        else _learnt(column, outline, sizes)
        for column in outline.columns
        if is_work(column)
    ]


def is_work(column: Column) -> bool:
    return isinstance(column.node, (Apply, Retrieve, Within)) and not isinstance(column, Unready)


def count(column: Column, sizes: Sizes) -> Count:
    event, item = event_of(column.grain), item_of(column.grain)
    grain = grain_name(column.grain)
    if isinstance(column.node, Within):
        return Count(column, grain, f"per request, late ({column.node.seconds:g} s)", 1, True)
    if event is None and item is None:
        return Count(column, grain, "when the tables change", 1, False)
    if event is None:
        return Count(column, grain, f"when {_a(item.__name__.lower())} changes", sizes.get(item), False)
    if item is None:
        return Count(column, grain, "per request", 1, True)
    k = bound(column)
    if k is None:
        return Count(column, grain, f"per request, all {item.__name__}", sizes.get(item), True)
    known = sizes.get(item)
    k = k if known is None else min(k, known)
    return Count(column, grain, f"per request, {k} candidates", k, True)


def _learnt(column: Column, outline: Outline, sizes: Sizes) -> Count:
    """A column that is computed for fits alone: once per event that they draw."""
    event = event_of(column.grain)
    drawn = [fit.requests for fit in outline.fits if column in upstream(fit.inputs, fits=False)]
    known = [n for n in (*drawn, sizes.get(event)) if n is not None]
    return Count(column, grain_name(column.grain), "when the graph is fitted", min(known, default=None), False)


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def bound(column: Column) -> int | None:
    """How many candidates a request is worked on for at most; None where every item counts."""
    node = column.node
    if isinstance(node, Retrieve):
        return None
    sets = frozenset({node.chosen_among}) if isinstance(node, Apply) and node.chosen_among is not None else node.among
    return held(next(iter(sets))) if sets else None
