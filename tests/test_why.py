"""What an answer's items were found by is what the scorers say of them, counted by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motet as mt
from motet.table import parse
from tests.shop import Item, Purchase, shop

seen = mt.past(Purchase.item, by=Purchase.buyer, last=2)
fame = mt.Popular()(Purchase.item)
taste = mt.ALS()(seen, Item)
named = mt.BM25()(Item.name, Purchase.search)
found = mt.retrieve(Item, k=6, by=[taste, named], exclude=seen)
graph = mt.Graph(top=found.otherwise(fame).top(4), dear=mt.retrieve(Item, k=3, by=[Item.price, named]), seen=seen)
NOW = 9_000_000


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> mt.Fitted:
    return graph.fit(shop(), store=tmp_path_factory.mktemp("shop"), quiet=True)


def test_the_places_are_those_among_all_that_may_be_found(fitted: mt.Fitted) -> None:
    ask = {"buyer": "b1", "at": NOW, "amount": 3.0, "search": "tea"}
    answer, why = fitted.ask(**ask), fitted.why(**ask)
    assert list(why) == ["top", "dear"]
    assert [item["item_id"] for item in why["top"]] == [item["item_id"] for item in answer["top"]]
    prices = {row["item_id"]: row["price"] for row in items(fitted)}
    dearest = sorted(prices.values(), reverse=True)
    for item in why["dear"]:
        assert item["by"].get("Item.price", 4) == min(1 + dearest.index(prices[item["item_id"]]), 4)
    run: Any = fitted.live.asked(Purchase, parse(Purchase, [ask], fitted.live.entities(), partial=True))
    scores = np.array(run.value(taste).dense(slice(0, 1))[0])
    scores[answer["seen"]] = np.nan
    for item in why["top"]:
        place = 1 + int((scores > scores[item["item_id"]]).sum())
        assert item["by"].get("taste", 7) == min(place, 7)
    assert any("named" in item["by"] for item in why["top"])


def items(fitted: mt.Fitted) -> list[dict[str, float]]:
    table = fitted.data.tables[Item]
    keys: Any = table.columns["item_id"]
    prices = np.asarray(table.columns["price"])
    return [{"item_id": key, "price": float(price)} for key, price in zip(keys.to_pylist(), prices, strict=True)]


def test_what_a_condition_leaves_out_is_before_nothing(tmp_path: Path) -> None:
    cheap = mt.retrieve(Item, k=3, by=[Item.price, named], where=Item.price <= 5)
    fitted = mt.Graph(cheap=cheap).fit(shop(), store=tmp_path, quiet=True)
    why = fitted.why(buyer="b1", amount=3.0)["cheap"]
    assert [(item["item_id"], item["by"]["Item.price"]) for item in why] == [(4, 1), (3, 2), (2, 3)]


def test_what_an_otherwise_answered_was_found_by_none(fitted: mt.Fitted) -> None:
    nobody = {"buyer": "new", "at": NOW, "amount": 3.0}
    assert [item["by"] for item in fitted.why(**nobody)["top"]] == [{}] * 4


def test_equal_scores_share_the_best_of_their_places(tmp_path: Path) -> None:
    alike = mt.Graph(top=mt.retrieve(Item, k=12, by=[Item.price * 0, named]))
    why = alike.fit(shop(), store=tmp_path, quiet=True).why(buyer="b1", amount=3.0, search="pot")
    assert {item["by"][name] for item in why["top"] for name in item["by"] if name != "named"} == {1}


def test_a_wrong_ask_is_refused_as_it_is_by_ask(fitted: mt.Fitted) -> None:
    with pytest.raises(mt.DataError, match=r"Purchase\.amount is not given"):
        fitted.why(buyer="b1")
    with pytest.raises(mt.DataError, match="is an outcome"):
        fitted.why(buyer="b1", amount=3.0, item=3)
