"""Nearest neighbours of items: who took this took that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from motet.batch import Array, Batch, offsets_of
from motet.clock import library
from motet.column import Number, Sequence
from motet.errors import GraphError
from motet.model import Model, State
from motet.models.behavior.interactions import interactions
from motet.models.behavior.known import plain
from motet.models.behavior.linear import Linear, scored
from motet.models.behavior.outcome import checked
from motet.record import Entity

BLOCK = 256  # items whose likeness to all others is held at a time


@dataclass(frozen=True)
class ItemKNN(Model):
    """Scores items by how often those of the history were taken by the same people.

    The likeness of two items is the cosine of who took them, and each item is scored by its nearest neighbours
    alone: one pass of sparse products, no seed, no rounds; a history that it has never seen needs no refit.

    k: neighbours of an item. shrinkage: people added to the cosine's denominator, so that a likeness that few people
        carry counts little.
    Call: ItemKNN()(mt.past(Visit.film, by=Visit.viewer), Film). Returns a Number per request and item; NaN for a
        history without known items and for items without training events.
        ItemKNN()(heard.liked, Film, learnt_from=mt.past(Visit.film, by=Visit.viewer)) scores by another list of items,
        such as those that somebody names.
    Source: Sarwar et al. 2001 (WWW); shrinkage: Bell & Koren 2007 (ICDM).
    """

    k: int = 100
    shrinkage: float = 10.0
    crosses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checked(self, "k", 1)
        if not self.shrinkage >= 0:
            raise GraphError(f"shrinkage={self.shrinkage} is below zero", help="ItemKNN(shrinkage=10)")

    def __call__(self, history: Sequence, items: type[Entity], learnt_from: Sequence | None = None) -> Number:
        return scored(self, history, items, learnt_from)

    def fit(self, batch: Batch, target: Any) -> State:
        matrix, keys = interactions(batch, target)
        n, lengths = len(keys), np.sqrt(matrix.getnnz(axis=0))
        near, likeness, sizes = list[Array](), list[Array](), list[Array]()
        for low in range(0, n, BLOCK):
            rows = np.arange(low, min(low + BLOCK, n))
            both = np.asarray((matrix[:, rows].T @ matrix).todense(), np.float64)
            cosine = both / (lengths[rows, None] * lengths + self.shrinkage)
            cosine[np.arange(len(rows)), rows] = 0
            best = np.argsort(-cosine, axis=1, kind="stable")[:, : self.k]
            found = np.take_along_axis(cosine, best, axis=1)
            near.append(best[found > 0])
            likeness.append(found[found > 0])
            sizes.append((found > 0).sum(axis=1))
            batch.progress(int(rows[-1]) + 1, n, f"neighbours among {n:,} items")
        return State(
            keys=plain(keys),
            near=np.concatenate(near).astype(np.int32),
            likeness=np.concatenate(likeness).astype(np.float32),
            offsets=offsets_of(np.concatenate(sizes)),
        )

    def apply(self, state: State, batch: Batch) -> Linear:
        return Linear.of(batch, state.opened(_weights))


def _weights(state: State) -> Any:
    """What an item of the history adds to each other one: column i holds the neighbours of item i."""
    n = len(state["offsets"]) - 1
    return library("scipy.sparse").csc_matrix((state["likeness"], state["near"], state["offsets"]), (n, n)).tocsr()
