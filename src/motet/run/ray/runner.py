"""The runner whose costly work is done by the workers of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from motet.apply import Apply, Fit
from motet.batch import Array, Batch
from motet.cost import Cost
from motet.model import State
from motet.run.ray import fits
from motet.run.ray import rows as work
from motet.run.ray.cluster import connected
from motet.run.ray.config import Ray
from motet.run.rows import Kept, Rows
from motet.run.runner import Local, Spent
from motet.store.cells import Cells


class OnRay:
    """Cheap columns are computed in this process: to send them would take longer. Errors: `cluster.connected`."""

    def __init__(self, on: Ray, spent: Spent, store: Path) -> None:
        self._on, self._spent, self._local, self._store = on, spent, Local(spent), store
        self._ray = connected(on)

    def fit(self, node: Fit, batch: Batch, target: Any) -> tuple[State, Cost]:
        state, cost = fits.fitted(self._ray, self._on, node, batch, target, fits.written(self._on, self._store))
        self._spent(node, cost)
        return state, cost

    def apply(self, node: Apply, state: State, batch: Batch) -> Any:
        return self._local.apply(node, state, batch)

    def rows(self, node: Apply, rows: Rows, new: Array, cells: Cells) -> Iterator[Kept]:
        return work.computed(self._ray, self._on, self._spent, node, rows, new, cells) if len(new) else iter(())
