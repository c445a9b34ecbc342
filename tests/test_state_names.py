"""A state is found again only where everything that it was learnt from is the same."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import motet as mt
from tests.shop import Buyer, Item, Purchase, shop, stored

seen = mt.past(Purchase.item, by=Purchase.buyer)


def changed(data: mt.Data, field: str) -> mt.Data:
    """The same data with one field of the purchases turned about."""
    columns: dict[str, list[Any]] = {
        "buyer": [f"b{code}" for code in stored(data, Purchase, "buyer").codes],
        "at": (stored(data, Purchase, "at") / 1e6).tolist(),
        "amount": stored(data, Purchase, "amount").tolist(),
        "item": stored(data, Purchase, "item").codes.tolist(),
        "stars": stored(data, Purchase, "stars").tolist(),
    }
    columns[field].reverse()
    names = stored(data, Item, "name").to_pylist()
    prices = stored(data, Item, "price").tolist()
    goods = {"item_id": list(range(len(names))), "name": names, "price": prices, "kind": ["tea"] * len(names)}
    ages = stored(data, Buyer, "age").tolist()
    people = {"buyer_id": [f"b{b}" for b in range(len(ages))], "age": ages}
    return mt.Data({Item: pa.table(goods), Buyer: pa.table(people), Purchase: pa.table(columns)})


def names(graph: mt.Graph, data: mt.Data, store: Path) -> list[str]:
    return sorted(graph.fit(data, store=store, quiet=True).states.names.values())


@pytest.mark.parametrize("field", ["at", "item"])
def test_a_recommender_is_learnt_anew_when_times_or_items_change(field: str, tmp_path: Path) -> None:
    graph = mt.Graph(top=mt.retrieve(Item, k=3, by=[mt.EASE()(seen, Item)]))
    assert names(graph, shop(), tmp_path) != names(graph, changed(shop(), field), tmp_path)


def test_a_ranker_is_learnt_anew_when_what_happened_changes(tmp_path: Path) -> None:
    found = mt.retrieve(Item, k=5, by=[Item.price], exclude=mt.past(Purchase.item, by=Purchase.buyer, last=1))
    score = mt.LightGBM("lambdarank", min_rows=1)(found, Item.price, target=Purchase.stars >= 1)
    graph = mt.Graph(top=score.top(2))
    assert names(graph, shop(), tmp_path) != names(graph, changed(shop(), "item"), tmp_path)


def test_a_target_that_arrives_later_is_another_target() -> None:
    def target(after: str) -> mt.Number:
        class Sale(mt.Event):
            buyer: Buyer
            at: mt.Time
            stars: mt.Number = mt.outcome(after=after)

        return Sale.stars

    assert target("1d").fingerprint != target("60d").fingerprint


def test_arguments_under_each_others_names_make_another_fit() -> None:
    class Named(mt.Model):
        def __call__(self, **given: Any) -> mt.Number:
            return mt.column(mt.Number, self, mt.learn(self, **given), **given)

    one = Named()(a=Item.price, b=Item.price + 1)
    other = Named()(b=Item.price, a=Item.price + 1)
    assert one.node.fits[0].fingerprint != other.node.fits[0].fingerprint


def test_unchanged_data_are_found_again(tmp_path: Path) -> None:
    graph = mt.Graph(top=mt.retrieve(Item, k=3, by=[mt.EASE()(seen, Item)]))
    assert names(graph, shop(), tmp_path) == names(graph, shop(), tmp_path)
