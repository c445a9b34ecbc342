"""A meter: what the models' work has cost, gathered while it is done and written down after it."""

from __future__ import annotations

from threading import Lock

from motet.apply import Apply, Fit
from motet.cost import Cost
from motet.node import event_of
from motet.plan import cost_key
from motet.store import Store


class Meter:
    """What was spent since it was last written down in the store, which plans read. Threads may share it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._costs: dict[str, tuple[Apply, Cost]] = {}
        self._lock = Lock()
        self.ahead = Cost()
        """What columns have taken that no event is part of, since it was made."""
        self._asked: dict[str, tuple[Apply, Cost]] = {}

    def spent(self, node: Apply | Fit, cost: Cost) -> None:
        """Adds what one call took. Fits are not gathered: a state says itself how long its fit took.

        Rows that are kept one by one are never computed again, so what they took is written down at once.
        """
        if not isinstance(node, Apply):
            return
        ahead = event_of(node.grain) is None
        with self._lock:
            known = self._costs.get(node.fingerprint)
            self._costs[node.fingerprint] = (node, known[1] + cost if known else cost)
            self.ahead += cost if ahead else Cost()
            if not ahead:
                asked = self._asked.get(node.fingerprint)
                self._asked[node.fingerprint] = (node, asked[1] + cost if asked else cost)
        if ahead and node.model.costly:
            self.keep()

    def asked(self) -> dict[str, tuple[Apply, Cost]]:
        """What columns have taken that exist per event, by their fingerprints, since it was made."""
        with self._lock:
            return dict(self._asked)

    def keep(self) -> None:
        """Writes it down, by model for plans and by column for bills: after long work, never while somebody waits."""
        with self._lock:
            costs, self._costs = self._costs, {}
        for node, cost in costs.values():
            self._store.add_cost(cost_key(node), cost)
            self._store.add_cost(node.fingerprint, cost)
