"""Models that remember what they were given: what tests of fitting look into."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

import motet as mt
from motet.batch import Array, Batch
from motet.model import Model, State

FITTED: defaultdict[str, list[Batch]] = defaultdict(list)
"""By name, the batches that each probe was fitted on, in order."""


@dataclass(frozen=True)
class Probe(Model):
    """Learns the latest time and the sum of its target, and answers with both in one number.

    Its state is (latest row's time in minutes, seed), so that what is stacked on it can say which state it saw.
    """

    name: str
    fails: bool = False
    interrupted: bool = False

    def __call__(self, *read: mt.Number, at: mt.Time, target: mt.Flag | mt.Number) -> mt.Number:
        given: dict[str, Any] = {f"read{i}": column for i, column in enumerate(read)}
        fit = mt.learn(self, target=target, at=at, **given)
        return mt.column(mt.Number, self, fit, at=at, **given)

    def fit(self, batch: Batch, target: Any) -> State:
        if self.interrupted:
            raise KeyboardInterrupt
        if self.fails:
            raise ValueError("the probe fails")
        FITTED[self.name].append(batch)
        return State(latest=float(batch["at"].max()), sum=float(np.nansum(target)), seed=batch.seed)

    def apply(self, state: State, batch: Batch) -> Array:
        return np.full(batch.rows, state["latest"])
