"""Popularity: the baseline that every recommender has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from motet.batch import Array, Batch, Codes, take
from motet.column import Number, column, learn
from motet.errors import GraphError
from motet.model import Model, State
from motet.models.behavior.known import places, plain
from motet.node import event_of, name_of
from motet.record import Record, entity_of, reference_of

DAY = 86_400e6  # microseconds


@dataclass(frozen=True)
class Popular(Model):
    """How often an entity occurred in the training events: log(1 + count) for each, 0 for a new one.

    half_life_days: an event that is older than the latest by so much counts half; None counts all alike.
    Call: Popular()(Visit.film), the reference that is counted. Returns a Number per entity.
    """

    half_life_days: float | None = None

    def __post_init__(self) -> None:
        if self.half_life_days is not None and not self.half_life_days > 0:
            raise GraphError(
                f"a half-life of {self.half_life_days} days never halves", help="Popular(half_life_days=30)"
            )

    def __call__(self, reference: Record) -> Number:
        counted = reference_of(reference)
        event = event_of(counted.grain)
        if event is None:
            raise GraphError(
                f"Popular counts events, and {name_of(counted)} belongs to none",
                help="give an event's reference: mt.Popular()(Visit.film)",
            )
        times = {} if self.half_life_days is None else {"at": event.time_column()}
        return column(Number, self, learn(self, target=counted, **times), items=entity_of(counted).key_column())

    def fit(self, batch: Batch, target: Any) -> State:
        found = cast(Codes, target)
        known = found.codes >= 0
        weights = None if self.half_life_days is None else self._weights(batch["at"])[known]
        counts = np.bincount(found.codes[known], weights, minlength=len(found.names))
        return State(keys=plain(found.names.names), popularity=np.log1p(counts))

    def _weights(self, at: Array) -> Array:
        age = (at.max(initial=0) - at) / DAY
        return np.exp2(-age / (self.half_life_days or np.inf))

    def apply(self, state: State, batch: Batch) -> Array:
        return np.nan_to_num(take(state["popularity"], places(state, batch["items"])))
