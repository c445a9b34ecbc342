"""What the models' work has cost, and when it is written down."""

from pathlib import Path

import motet as mt
from motet.apply import Apply
from motet.cost import Cost
from motet.meter import Meter
from motet.plan import cost_key
from motet.store import Store
from tests.probe import Probe
from tests.shop import Purchase, shop


def applied() -> Apply:
    made = Probe("metered")(Purchase.amount, at=Purchase.at, target=Purchase.stars).node
    assert isinstance(made, Apply)
    return made


def test_costs_are_written_down_together_and_once(tmp_path: Path) -> None:
    store, node = Store(tmp_path / "store"), applied()
    meter = Meter(store)
    for _ in range(3):
        meter.spent(node, Cost(calls=1, rows=10))
    assert store.cost(cost_key(node)) is None, "nobody waits for a disk"
    meter.keep()
    meter.keep()
    assert store.cost(cost_key(node)) == Cost(calls=3, rows=30)


def test_what_a_fit_is_stacked_on_is_metered_too(tmp_path: Path) -> None:
    lower = Probe("lower")(Purchase.amount, at=Purchase.at, target=Purchase.stars)
    upper = Probe("upper")(lower, at=Purchase.at, target=Purchase.stars)
    fitted = mt.Graph(upper=upper).fit(shop(), store=tmp_path, quiet=True)
    assert isinstance(lower.node, Apply)
    found = fitted.store.cost(cost_key(lower.node))
    assert found is not None
    assert found.rows > 0
