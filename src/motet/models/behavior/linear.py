"""Scores that are linear in a history: what item-to-item models give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from motet.batch import Array, Batch, Ragged
from motet.column import Number, Sequence, column
from motet.errors import GraphError
from motet.model import Model, State
from motet.models.behavior.interactions import learnt_from, multi_hot
from motet.models.behavior.known import places
from motet.node import name_of
from motet.record import Entity

BLOCK = 256  # requests whose scores over all items are held at a time


def scored(model: Model, history: Sequence, items: type[Entity], learnt: Sequence | None = None) -> Number:
    """A number per request and item, by a model that learns from histories and gives Linear.

    learnt: the histories that it learns from, where it scores other lists of items than those.
    """
    fit = learnt_from(model, history if learnt is None else learnt, items)
    if history.node.holds is not items:
        raise GraphError(
            f"{model} scores {items.__name__} by a list of {items.__name__}, and {name_of(history)} is none",
            help=f"give a history of references to {items.__name__}: mt.past(Visit.film, by=Visit.viewer)",
        )
    places = column(Number, Places(), fit, items=items.key_column())
    return column(Number, model, fit, history=history, items=places)


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
    weights: float32 [known items, known items], an array or a sparse matrix.
    """

    history: Ragged
    places: Array
    weights: Any

    @staticmethod
    def of(batch: Batch, weights: Any) -> Linear:
        """The scores that a model with these weights gives for the columns of its call."""
        return Linear(batch["history"], np.nan_to_num(batch["items"], nan=-1).astype(np.int64), weights)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.history), len(self.places)

    def dense(self, requests: slice) -> Array:
        seen = multi_hot(self.history, self.places, self.weights.shape[0], requests)
        made = np.full((seen.shape[0], len(self.places)), np.nan, np.float32)
        known = self.places >= 0
        found = seen @ self.weights
        made[:, known] = (found if isinstance(found, np.ndarray) else found.toarray())[:, self.places[known]]
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
