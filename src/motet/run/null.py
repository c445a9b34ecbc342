"""The runner that computes nothing and counts everything: what a plan is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from motet.apply import Apply, Within
from motet.candidates import Retrieve, held
from motet.column import Unready
from motet.escalate import Escalate
from motet.node import Column, event_of, grain_name, item_of, name_of, upstream
from motet.outline import Outline

Sizes = Mapping[Any, int]  # rows of each record


@dataclass(frozen=True)
class Count:
    """How often one column is computed, and on what occasion.

    times: rows; per request where `per_request`, else once for all. None: how many is not known without data.
    share: of the requests that it is computed for, at most; 1 where nothing is escalated to it.
    """

    column: Column
    grain: str
    occasion: str
    times: int | None
    per_request: bool
    share: float = 1.0


def counts(outline: Outline, sizes: Sizes) -> list[Count]:
    """Every column that some work makes, in the order of work."""
    always, answering = _always(outline), set(outline.answering)
    budgets = [c.node.budget or 1.0 for c in outline.columns if isinstance(c.node, Escalate)]
    found = [count(column, sizes) for column in outline.columns if is_work(column)]
    return [
        each
        if each.column in always or not each.per_request
        else _escalated(each, max(budgets, default=1.0))
        if each.column in answering
        else _learnt(each, outline, sizes)
        for each in found
    ]


def _always(outline: Outline) -> set[Column]:
    """The columns that are computed whether or not anything is escalated."""
    found: set[Column] = set()
    waiting = list(outline.outputs.values())
    while waiting:
        column = waiting.pop()
        if column not in found:
            found.add(column)
            strong = column.node.strong if isinstance(column.node, Escalate) else None
            waiting += [needed for needed in column.node.inputs if strong is None or needed != strong]
    return found


def _escalated(count: Count, budget: float) -> Count:
    """What is only computed for requests that are escalated."""
    most = f", for {budget:.0%} at most" if budget < 1 else ", where escalated"
    return replace(count, occasion=count.occasion + most, share=budget)


def is_work(column: Column) -> bool:
    return isinstance(column.node, (Apply, Retrieve, Within)) and not isinstance(column, Unready)


def count(column: Column, sizes: Sizes) -> Count:
    event, item = event_of(column.grain), item_of(column.grain)
    grain = grain_name(column.grain)
    if isinstance(column.node, Within):
        where = "" if column.node.where is None else f", where {name_of(column.node.where)}"
        return Count(column, grain, f"per request, late ({column.node.seconds:g} s){where}", 1, True)
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


def _learnt(count: Count, outline: Outline, sizes: Sizes) -> Count:
    """What is only computed for fits, once per event that they draw."""
    drawn = [fit.requests for fit in outline.fits if count.column in upstream(fit.inputs, fits=False)]
    known = [n for n in (*drawn, sizes.get(event_of(count.column.grain))) if n is not None]
    return replace(count, occasion="when the graph is fitted", times=min(known, default=None), per_request=False)


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def bound(column: Column) -> int | None:
    """How many candidates a request is worked on for at most; None where every item counts."""
    node = column.node
    if isinstance(node, Retrieve):
        return None
    sets = frozenset({node.chosen_among}) if isinstance(node, Apply) and node.chosen_among is not None else node.among
    return held(next(iter(sets))) if sets else None
