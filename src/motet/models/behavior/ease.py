"""EASE: a linear recommender with a closed form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from motet.batch import Array, Batch, Ragged
from motet.column import Number, Sequence, column
from motet.errors import GraphError, RunError
from motet.model import Model, State
from motet.models.behavior.interactions import interactions, learnt_from, multi_hot
from motet.models.behavior.known import places, plain
from motet.record import Entity

MOST = 30_000  # items: the matrix then takes 7 GB in float64 while it is inverted
BLOCK = 256  # requests whose scores over all items are held at a time


@dataclass(frozen=True)
class EASE(Model):
    """Scores items by a linear item-to-item model: history @ B, where B has a closed form and zero diagonal.

    One inversion of an items x items matrix: exact, no seed, strong on sparse data with up to some ten
    thousand items; a history that it has never seen needs no refit.

    l2: ridge penalty; larger for fewer events (100 to 1,000 is the usual range).
    Call: EASE()(mt.past(Visit.film, by=Visit.viewer), Film). Returns a Number per request and item; NaN for a
        history without known items and for items without training events.
    Errors: more than 30,000 items with training events. Source: Steck 2019 (arXiv 1905.03375).
    """

    l2: float = 250.0
    crosses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.l2 > 0:
            raise GraphError(f"l2={self.l2} leaves the matrix without an inverse", help="EASE(l2=250)")

    def __call__(self, history: Sequence, items: type[Entity]) -> Number:
        fit = learnt_from(self, history, items)
        places = column(Number, Places(), fit, items=items.key_column())
        return column(Number, self, fit, history=history, items=places)

    def fit(self, batch: Batch, target: Any) -> State:
        matrix, keys = interactions(batch, target)
        if len(keys) > MOST:
            raise RunError(
                f"EASE would invert a matrix of {len(keys):,} items, and takes at most {MOST:,}",
                help="use mt.ALS(dim=64): its cost grows with the events, not with the square of the items",
            )
        batch.progress(0, 1, f"inverting {len(keys):,} x {len(keys):,}")
        gram = np.asarray((matrix.T @ matrix).todense(), np.float64)
        gram[np.diag_indices_from(gram)] += self.l2
        inverse = np.linalg.inv(gram)
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0)
        batch.progress(1, 1, f"{len(keys):,} items")
        return State(keys=plain(keys), weights=weights.astype(np.float32))

    def apply(self, state: State, batch: Batch) -> Linear:
        places = np.nan_to_num(batch["items"], nan=-1).astype(np.int64)
        return Linear(batch["history"], places, state["weights"])


@dataclass(frozen=True)
class Places(Model):
    """Where each item is in the state, NaN where it is not: a column, so that no request looks up keys."""

    def apply(self, state: State, batch: Batch) -> Array:
        found = places(state, batch["items"])
        return np.where(found < 0, np.nan, found)


@dataclass(frozen=True)
class Linear:
    """Scores history @ weights, computed when they are read.

    places: where each item of the table is in the weights, int64 [items], -1 where it is not.
    """

    history: Ragged
    places: Array
    weights: Array

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.history), len(self.places)

    def dense(self, requests: slice) -> Array:
        seen = multi_hot(self.history, self.places, len(self.weights), requests)
        made = np.full((seen.shape[0], len(self.places)), np.nan, np.float32)
        known = self.places >= 0
        made[:, known] = (seen @ self.weights)[:, self.places[known]]
        made[seen.getnnz(axis=1) == 0] = np.nan
        return made

    def at(self, requests: Array, items: Array) -> Array:
        made = np.full(len(requests), np.nan, np.float32)
        for block, pairs in blocks(requests, BLOCK):
            made[pairs] = self.dense(block)[requests[pairs] - block.start, items[pairs]]
        return made


def blocks(requests: Array, size: int) -> Iterator[tuple[slice, Array]]:
    """The pairs of some requests at a time: which requests, and where their pairs are."""
    order = np.argsort(requests, kind="stable")
    ordered = requests[order]
    for start in np.unique(ordered // size) * size:
        low, high = np.searchsorted(ordered, [start, start + size])
        yield slice(int(start), int(ordered[high - 1]) + 1), order[low:high]
