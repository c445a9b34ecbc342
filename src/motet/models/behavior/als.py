"""Matrix factorization of implicit feedback."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from motet.apply import Whole
from motet.batch import Array, Batch, Ragged, take
from motet.clock import library
from motet.column import Number, Sequence, Vector, column
from motet.errors import GraphError
from motet.model import Model, State
from motet.models.behavior.interactions import interactions, learnt_from
from motet.models.behavior.known import places, plain
from motet.models.behavior.outcome import checked
from motet.models.cores import threads
from motet.record import Entity

BLOCK = 256  # requests that are folded in at a time: 256 x 64 x 64 normal equations are 8 MB


@dataclass(frozen=True)
class ALS(Model):
    """A vector per item and one per history, whose dot product says how likely the item comes next.

    Items are learnt by alternating least squares on who did what; a request's vector is the solution of
    the same least squares for its history, so a new viewer and a new event count at once, without a refit.

    dim: of the vectors. l2: ridge penalty. weight: how much more one event says than one that did not
        happen. rounds: alternations.
    Call: ALS()(mt.past(Visit.film, by=Visit.viewer), Film). Returns a Number per request and item; an item
        without training events and a history without known items have the zero vector.
    Source: Hu, Koren & Volinsky 2008 (ICDM); fitted by the library `implicit`.
    """

    dim: int = 64
    l2: float = 10.0
    weight: float = 1.0
    rounds: int = 15

    def __post_init__(self) -> None:
        checked(self, "dim", 1)
        checked(self, "rounds", 1)
        if not (self.l2 > 0 and self.weight > 0):
            raise GraphError(f"{self}: l2 and weight are above zero", help="ALS(l2=10, weight=1)")

    def __call__(self, history: Sequence, items: type[Entity]) -> Number:
        fit = learnt_from(self, history, items)
        vectors = column(Vector, ItemVectors(), fit, items=items.key_column())
        asking = column(Vector, Folded(self.l2, self.weight), fit, history=history, items=Whole(vectors))
        return vectors @ asking

    def fit(self, batch: Batch, target: Any) -> State:
        matrix, keys = interactions(batch, target)
        als, limits = library("implicit.cpu.als"), library("threadpoolctl")
        # Its own threads and those of BLAS would get in each other's way.
        with limits.threadpool_limits(1, "blas"):
            learner = als.AlternatingLeastSquares(
                factors=self.dim,
                regularization=self.l2,
                alpha=self.weight,
                iterations=self.rounds,
                num_threads=threads(),
                random_state=batch.seed,
            )

            def tell(done: int, *_: Any) -> None:
                batch.progress(done + 1, self.rounds, f"{matrix.shape[0]:,} x {matrix.shape[1]:,}")

            learner.fit(matrix, show_progress=False, callback=tell)
        vectors = np.ascontiguousarray(learner.item_factors, np.float32)
        exact = vectors.astype(np.float64)
        return State(keys=plain(keys), vectors=vectors, gram=exact.T @ exact)


@dataclass(frozen=True)
class ItemVectors(Model):
    """The vector of each item, zero for one that the state does not know."""

    def apply(self, state: State, batch: Batch) -> Array:
        return take(state["vectors"], places(state, batch["items"]))


@dataclass(frozen=True)
class Folded(Model):
    """The vector of a history: least squares against the items' vectors, which stay as they are.

    Solves (V'V + l2 + (weight - 1) H'H) x = weight H'1, with V all items' vectors and H the history's own.
    """

    l2: float
    weight: float

    def apply(self, state: State, batch: Batch) -> Array:
        history, items = cast(Ragged, batch["history"]), cast(Array, batch["items"])
        gram = state["gram"] + self.l2 * np.eye(items.shape[1])
        made = np.zeros((len(history), items.shape[1]), np.float32)
        for low in range(0, len(history), BLOCK):
            rows = range(low, min(low + BLOCK, len(history)))
            liked = [take(items, np.unique(history.windows.row(i))).astype(np.float64) for i in rows]
            left = np.stack([gram + (self.weight - 1) * (H.T @ H) for H in liked])
            right = np.stack([self.weight * H.sum(axis=0) for H in liked])
            made[low : low + len(rows)] = np.linalg.solve(left, right[..., None])[..., 0]
        return made
