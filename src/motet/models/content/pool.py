"""One vector of many: what the items of a list say together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from motet.apply import Whole
from motet.batch import Array, Batch, Ragged
from motet.column import Sequence, Vector, column
from motet.errors import GraphError
from motet.model import Model, State
from motet.node import item_of, name_of


@dataclass(frozen=True)
class Pool(Model):
    """The mean of the vectors of a list's items, of length 1: mean pooling. Nothing is fitted.

    Call: meaning @ Pool()(heard.liked, meaning) says how like the items that somebody named each item is, and
        meaning @ Pool()(mt.past(Visit.film, by=Visit.viewer, last=10), meaning) how like the latest ones. Returns a
        Vector per request, of zeros for an empty list, so that it has nothing to say.
    """

    def __call__(self, items: Sequence, vectors: Vector) -> Vector:
        entity = items.node.holds
        if entity is None or item_of(vectors.grain) is not entity or len(vectors.grain) != 1:
            raise GraphError(
                f"{self} takes the vectors of a list's items, and {name_of(vectors)} is none per item of"
                f" {name_of(items)}",
                help="mt.Pool()(mt.past(Visit.film, by=Visit.viewer), embed(Film.plot))",
            )
        return column(Vector, self, items=items, vectors=cast(Any, Whole(vectors)))

    def apply(self, state: State, batch: Batch) -> Array:
        lists: Ragged = batch["items"]
        vectors = np.asarray(batch["vectors"], np.float32)
        codes, offsets = lists.windows.flat()
        rows = np.repeat(np.arange(len(lists)), np.diff(offsets))
        known = (codes >= 0) & (codes < len(vectors))
        made = np.zeros((len(lists), vectors.shape[1]), np.float32)
        np.add.at(made, rows[known], vectors[codes[known]])
        lengths = np.linalg.norm(made, axis=1, keepdims=True)
        return np.divide(made, lengths, out=np.zeros_like(made), where=lengths > 0)
