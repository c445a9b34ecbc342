"""Candidates: items retrieved for a request, the only thing that can be ranked."""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from motet import search
from motet.batch import Array, Factors, Pairs, PerItem, Ragged, Scores, is_scores, offsets_of
from motet.column import Column, Flag, Number, Sequence
from motet.errors import GraphError
from motet.node import Choice, Grain, Node, Otherwise, Run, event_of, given, grain_name, name_of
from motet.record import Entity
from motet.windows import Windows

NONE = "has no candidates"
BLOCK = 256  # requests whose scores over all items are held at a time
RARE = 0.1  # share of the items below which those that may be found are all scored, and no index is asked

Allowed = np.ndarray[Any, np.dtype[np.bool_]]


class Candidates(Column):
    """Items with a score for each request, best first."""

    @property
    def score(self) -> Number:
        """The score that each was retrieved or ranked by, as a feature."""
        return Number(self.node, self.line)

    def top(self, k: int) -> Candidates:
        """The k best of each request."""
        if k < 1:
            raise GraphError(f"top({k}) keeps nothing", help=f"{name_of(self)}.top(10)")
        return Candidates.of(Top(self, k))

    def otherwise(self, other: Candidates | Number) -> Candidates:  # pyright: ignore[reportIncompatibleMethodOverride]
        """These candidates; where they cannot be had or are none, those of `other` (or its best items)."""
        root = root_of(self)
        if isinstance(other, Candidates):
            cheap = other
        elif isinstance(other, Number):  # pyright: ignore[reportUnnecessaryIsInstance]
            cheap = Candidates.of(_retrieve(root.event, root.entity, root.k, [other], root.exclude, root.where))
        else:
            raise GraphError(
                f"{name_of(self)} is Candidates and cannot fall back on {name_of(other)}, a {other.kind}",
                help="fall back on other candidates, or on a number per item such as mt.Popular()(Visit.film)",
            )
        if root_of(cheap).entity is not root.entity:
            raise GraphError(
                f"{name_of(self)} holds {root.entity.__name__}, and {name_of(cheap)} does not",
                help=f"fall back on candidates of {root.entity.__name__}",
            )
        return Candidates.of(Fallback(self, cheap))


def retrieve(
    entity: type[Entity],
    *,
    k: int,
    by: Several[Number] | Number,
    exclude: Sequence | None = None,
    where: Flag | None = None,
) -> Candidates:
    """The k items of an entity that the scorers put first, united by reciprocal rank fusion.

    by: numbers that exist per item: per item alone (popularity) or per request and item (taste). A scorer
        that gives NaN has nothing to say of that item and does not retrieve it.
    exclude: items never to retrieve, such as mt.past(Visit.film, by=Visit.viewer).
    where: a condition that holds of whatever is retrieved, per item or per request and item; a missing one does not
        hold. The k are the best of those for which it does; where it holds of none, nothing is found.
    """
    scorers = [by] if isinstance(by, Column) else list(by)
    events = {event_of(c.grain) for c in (*scorers, *given(exclude), *given(where))} - {None}
    if len(events) != 1:
        raise GraphError(
            f"retrieve needs the one event that asks, and has {sorted(e.__name__ for e in events) or 'none'}",
            help="give a scorer that depends on the request, or exclude=mt.past(Visit.film, by=Visit.viewer)",
        )
    return Candidates.of(_retrieve(events.pop(), entity, k, scorers, exclude, where))


def _retrieve(
    event: Any, entity: Any, k: int, by: Several[Column], exclude: Sequence | None, where: Flag | None
) -> Retrieve:
    if k < 1 or k != int(k):
        raise GraphError(f"k={k} retrieves nothing", help=f"mt.retrieve({entity.__name__}, k=200, by=[...])")
    for scorer in by:
        if not isinstance(scorer, Number) or entity not in scorer.grain or not scorer.grain <= {event, entity}:
            raise GraphError(
                f"{name_of(scorer)} does not score {entity.__name__}: "
                f"it is a {scorer.kind} per {grain_name(scorer.grain)}",
                help=f"give numbers per {entity.__name__}, such as meaning @ embed(Visit.query)",
            )
        if scorer.after:
            raise GraphError(
                f"{name_of(scorer)} is an outcome and cannot retrieve",
                help="read earlier ones with mt.past(...)",
            )
    if exclude is not None:
        _check_excluded(entity, exclude)
    if where is not None:
        _check_condition(event, entity, where)
    if not by:
        raise GraphError("retrieve has no scorer", help="by=[taste, meaning @ embed(Visit.query)]")
    return Retrieve(event, entity, k, tuple(by), exclude, where)


def _check_condition(event: Any, entity: Any, where: Flag) -> None:
    if not isinstance(where, Flag) or entity not in where.grain or not where.grain <= {event, entity}:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise GraphError(
            f"{name_of(where)} is no condition on {entity.__name__}: "
            f"it is a {where.kind} per {grain_name(where.grain)}",
            help=f"give a flag per {entity.__name__}, such as {entity.__name__}.year > 1990",
        )
    if where.after:
        raise GraphError(
            f"{name_of(where)} is an outcome and cannot choose what is retrieved",
            help="read earlier ones with mt.past(...)",
        )


def _check_excluded(entity: Any, exclude: Sequence) -> None:
    if exclude.node.holds is not entity:
        of = exclude.node.inputs[0]
        raise GraphError(
            f"{name_of(exclude)} holds no {entity.__name__} to leave out: it is a history of {name_of(of)}",
            help=f"give a history of references to {entity.__name__}: mt.past(Visit.film, by=Visit.viewer)",
        )


@dataclass(frozen=True, eq=False)
class Retrieve(Node):
    event: Any
    entity: Any
    k: int
    by: tuple[Column, ...]
    exclude: Sequence | None
    where: Flag | None = None

    @property
    def inputs(self) -> tuple[Column, ...]:
        return (*self.by, *given(self.exclude), *given(self.where))

    @cached_property
    def grain(self) -> Grain:
        return frozenset({self.event, self.entity})

    @cached_property
    def among(self) -> frozenset[Column]:
        return frozenset({Candidates(self)})

    def config(self) -> str:
        said = f"{self.event.__name__} {self.entity.__name__} {self.k} {self.exclude is not None}"
        return said if self.where is None else f"{said} where"

    def label(self) -> str:
        return f"retrieve {self.k} {self.entity.__name__} by {', '.join(name_of(c) for c in self.by)}"

    def evaluate(self, run: Run) -> Pairs:
        n = run.rows(frozenset({self.event}))
        scores = [_scores(run.value(scorer), n) for scorer in self.by]
        out = None if self.exclude is None else run.value(self.exclude)
        holds = None if self.where is None else _scores(run.value(self.where), n)
        blocks = [self._block(run, scores, out, holds, slice(lo, min(lo + BLOCK, n))) for lo in range(0, n, BLOCK)]
        if not blocks:
            return Pairs(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
        kept = [codes >= 0 for codes, _ in blocks]
        sizes = np.concatenate([mask.sum(axis=1) for mask in kept])
        items = np.concatenate([codes[mask] for (codes, _), mask in zip(blocks, kept, strict=True)])
        best = np.concatenate([found[mask] for (_, found), mask in zip(blocks, kept, strict=True)])
        return Pairs(offsets_of(sizes), items, best)

    def _block(
        self, run: Run, scores: list[Scores], out: Ragged | None, holds: Scores | None, rows: slice
    ) -> search.Found:
        excluded = None if out is None else _rows(out.windows, rows)
        allowed = None if holds is None else np.asarray(holds.dense(rows)) == 1
        lists = [_best(run, s, rows, self.k, excluded, allowed) for s in scores]
        return lists[0] if len(lists) == 1 else search.fuse([codes for codes, _ in lists], self.k)


def _scores(value: Any, n: int) -> Scores:
    return value if is_scores(value) else PerItem(np.asarray(value, np.float32), n)


def _best(
    run: Run, scores: Scores, rows: slice, k: int, excluded: Windows | None, allowed: Allowed | None
) -> search.Found:
    """The k best items of each request in the slice; none where the scorer has nothing to say of it."""
    few = allowed is not None and bool((allowed.mean(axis=1) < RARE).any())
    if few or not isinstance(scores, Factors):
        dense = np.array(scores.dense(rows), np.float32)
        if allowed is not None:
            dense[~allowed] = np.nan
        if excluded is not None:
            codes, offsets = excluded.flat()
            known = (codes >= 0) & (codes < dense.shape[1])
            dense[np.repeat(np.arange(len(dense)), np.diff(offsets))[known], codes[known]] = np.nan
        return search.highest(dense, k)
    queries = scores.requests[rows]
    codes, best = run.index(scores.items).search(queries, k, exclude=excluded, allowed=allowed)
    codes[~queries.any(axis=1)] = -1
    return codes, best


def _rows(windows: Windows, rows: slice) -> Windows:
    return Windows(windows.values, windows.starts[rows], windows.ends[rows])


@dataclass(frozen=True, eq=False)
class Ranked(Node):
    """The same candidates, in the order of another score."""

    candidates: Column
    by: Column

    @property
    def inputs(self) -> tuple[Column, ...]:
        return (self.candidates, self.by)

    @cached_property
    def among(self) -> frozenset[Column]:
        return self.candidates.node.among

    def label(self) -> str:
        return self.by.node.label()

    def parts(self) -> list[tuple[str, Column]]:
        return [("", self.by)]

    def evaluate(self, run: Run) -> Pairs:
        pairs: Pairs = run.value(self.candidates)
        return pairs.scored(np.asarray(run.at(self.by, pairs), np.float32))


def ranked(candidates: Candidates, score: Number) -> Candidates:
    """The candidates ordered by a score that a model gives each of them."""
    return Candidates.of(Ranked(candidates, score))


@dataclass(frozen=True, eq=False)
class Top(Node):
    candidates: Column
    k: int

    @property
    def inputs(self) -> tuple[Column, ...]:
        return (self.candidates,)

    def config(self) -> str:
        return str(self.k)

    def label(self) -> str:
        return f"top {self.k} of {name_of(self.candidates)}"

    def parts(self) -> list[tuple[str, Column]]:
        return [(f"all {root_of(self.candidates).k}", self.candidates)]

    def evaluate(self, run: Run) -> Pairs:
        return run.value(self.candidates).top(self.k)


class Fallback(Otherwise):
    """Candidates, and others for the requests that have none or when they cannot be had."""

    @cached_property
    def among(self) -> frozenset[Column]:
        same = root_of(self.strong) is root_of(self.cheap)
        return self.strong.node.among if same else frozenset({Candidates(self)})

    def evaluate(self, run: Run) -> Pairs:
        found: Pairs = super().evaluate(run)
        empty = np.diff(found.offsets) == 0
        if not empty.any():
            return found
        run.note(self.strong, NONE, empty)
        return filled_in(found, run.value(self.cheap), empty)


def filled_in(strong: Pairs, cheap: Pairs, empty: Array) -> Pairs:
    """The strong candidates, and for the empty requests the cheap ones."""
    sizes = np.where(empty, np.diff(cheap.offsets), np.diff(strong.offsets))
    starts = np.where(empty, cheap.offsets[:-1] + len(strong.items), strong.offsets[:-1])
    offsets = offsets_of(sizes)
    places: Array = np.arange(int(offsets[-1])) - np.repeat(offsets[:-1] - starts, sizes)
    items, scores = (np.concatenate([getattr(strong, f), getattr(cheap, f)])[places] for f in ("items", "scores"))
    return Pairs(offsets, items, scores)


def held(candidates: Column) -> int:
    """How many candidates a request has at most."""
    node = candidates.node
    if isinstance(node, Top):
        return min(node.k, held(node.candidates))
    if isinstance(node, Ranked):
        return held(node.candidates)
    if isinstance(node, Fallback):
        return max(held(node.strong), held(node.cheap))
    if isinstance(node, Choice):
        return max(held(option) for option in node.options)
    return root_of(candidates).k


def root_of(candidates: Column) -> Retrieve:
    """The retrieval that candidates come from."""
    node = candidates.node
    while not isinstance(node, Retrieve):
        if isinstance(node, (Ranked, Top)):
            node = node.candidates.node
        elif isinstance(node, Fallback):
            node = node.strong.node
        elif isinstance(node, Choice):
            node = node.options[0].node
        else:
            raise GraphError(f"{name_of(candidates)} is not retrieved", help="start from mt.retrieve(...)")
    return node
