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
from motet.span import seconds_of

SECOND, DAY = 1e6, 86_400  # microseconds; seconds


@dataclass(frozen=True)
class Popular(Model):
    """How often an entity occurred in the training events: log(1 + count) for each, 0 for a new one.

    half_life_days: an event that is older than the latest by so much counts half; None counts all alike.
    within: only events that are no older than the latest by this count, seconds or "30d"; None counts all.
    Call: Popular()(Visit.film), the reference that is counted. Returns a Number per entity.
    """

    half_life_days: float | None = None
    within: str | float | None = None

    def __post_init__(self) -> None:
        if self.half_life_days is not None and not self.half_life_days > 0:
            raise GraphError(
                f"a half-life of {self.half_life_days} days never halves", help="Popular(half_life_days=30)"
            )
        if self.within is not None and not seconds_of(self.within) > 0:
            raise GraphError(f"within={self.within!r} holds no events", help='Popular(within="30d")')

    def __call__(self, reference: Record) -> Number:
        counted = reference_of(reference)
        event = event_of(counted.grain)
        if event is None:
            raise GraphError(
                f"Popular counts events, and {name_of(counted)} belongs to none",
                help="give an event's reference: mt.Popular()(Visit.film)",
            )
        times = {"at": event.time_column()} if self._reads_times else {}
        return column(Number, self, learn(self, target=counted, **times), items=entity_of(counted).key_column())

    def fit(self, batch: Batch, target: Any) -> State:
        found = cast(Codes, target)
        known = found.codes >= 0
        weights = self._weights(batch["at"])[known] if self._reads_times else None
        counts = np.bincount(found.codes[known], weights, minlength=len(found.names))
        return State(keys=plain(found.names.names), popularity=np.log1p(counts))

    @property
    def _reads_times(self) -> bool:
        return self.half_life_days is not None or self.within is not None

    def _weights(self, at: Array) -> Array:
        age = (at.max(initial=0) - at) / SECOND
        recent = age <= (np.inf if self.within is None else seconds_of(self.within))
        return np.where(recent, np.exp2(-age / DAY / (self.half_life_days or np.inf)), 0)

    def apply(self, state: State, batch: Batch) -> Array:
        return np.nan_to_num(take(state["popularity"], places(state, batch["items"])))
