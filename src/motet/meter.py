"""A meter: what the models' work has cost, gathered while it is done and written down after it."""

from __future__ import annotations

from motet.apply import Apply, Fit
from motet.cost import Cost
from motet.plan import cost_key
from motet.store import Store


class Meter:
    """What was spent since it was last written down in the store, which plans read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._costs: dict[str, Cost] = {}

    def spent(self, node: Apply | Fit, cost: Cost) -> None:
        """Adds what one call took. Fits are not gathered: a state says itself how long its fit took."""
        if isinstance(node, Apply):
            key = cost_key(node)
            self._costs[key] = self._costs.get(key, Cost()) + cost

    def keep(self) -> None:
        """Writes it down: after long work, never while somebody waits."""
        for key, cost in self._costs.items():
            self._store.add_cost(key, cost)
        self._costs.clear()
