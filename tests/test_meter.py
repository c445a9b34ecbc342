"""What the models' work has cost, and when it is written down."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

import motet as mt
from motet.apply import Apply
from motet.batch import Array, Batch
from motet.cost import Cost
from motet.meter import Meter
from motet.model import Model, State
from motet.plan import cost_key
from motet.store import Store
from tests.probe import Probe
from tests.shop import Item, Purchase, shop


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


@dataclass(frozen=True)
class Dear(Model):
    """A costly model that is interrupted after its first block of rows."""

    costly: ClassVar[bool] = True

    def __call__(self, price: mt.Number) -> mt.Number:
        return mt.column(mt.Number, self, price=price)

    def block(self) -> int:
        return 3

    def apply(self, state: State, batch: Batch) -> Array:
        if batch["price"].min() > 3:
            raise KeyboardInterrupt
        return batch["price"]


def test_what_rows_cost_that_an_interrupted_fit_leaves_behind_is_known(tmp_path: Path) -> None:
    dear = Dear()(Item.price)
    top = mt.retrieve(Item, k=3, by=[dear], exclude=mt.past(Purchase.item, by=Purchase.buyer)).top(3)
    rank = mt.LightGBM("lambdarank")(top, dear, target=Purchase.stars)
    with pytest.raises(KeyboardInterrupt):
        mt.Graph(top=rank).fit(shop(), store=tmp_path, quiet=True)
    assert isinstance(dear.node, Apply)
    found = Store(tmp_path).cost(cost_key(dear.node))
    assert found is not None
    assert found.rows == 3
