"""EASE: a linear recommender with a closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from motet.batch import Batch
from motet.column import Number, Sequence
from motet.errors import GraphError, RunError
from motet.model import Model, State
from motet.models.behavior.interactions import interactions
from motet.models.behavior.known import plain
from motet.models.behavior.linear import Linear, scored
from motet.record import Entity

MOST = 30_000  # items: the matrix then takes 7 GB in float64 while it is inverted


@dataclass(frozen=True)
class EASE(Model):
    """Scores items by a linear item-to-item model: history @ B, where B has a closed form and zero diagonal.

    One inversion of an items x items matrix: exact, no seed, strong on sparse data with up to some ten
    thousand items; a history that it has never seen needs no refit.

    l2: ridge penalty; larger for fewer events (100 to 1,000 is the usual range).
    Call: EASE()(mt.past(Visit.film, by=Visit.viewer), Film). Returns a Number per request and item; NaN for a
        history without known items and for items without training events.
        EASE()(heard.liked, Film, learnt_from=mt.past(Visit.film, by=Visit.viewer)) scores by another list of items,
        such as those that somebody names.
    Errors: more than 30,000 items with training events. Source: Steck 2019 (arXiv 1905.03375).
    """

    l2: float = 250.0
    crosses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.l2 > 0:
            raise GraphError(f"l2={self.l2} leaves the matrix without an inverse", help="EASE(l2=250)")

    def __call__(self, history: Sequence, items: type[Entity], learnt_from: Sequence | None = None) -> Number:
        return scored(self, history, items, learnt_from)

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
        return Linear.of(batch, state["weights"])
