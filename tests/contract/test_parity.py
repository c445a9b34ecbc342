"""Replayed one by one as they arrived, past events give every column the value that it has offline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import motet as mt
from bench._replay import Replayed, ask, compared, replay
from motet.fitted import published
from tests.shop import Item, Purchase, shop

ASKED = 60


def graph() -> mt.Graph:
    bought = mt.past(Purchase.item, by=Purchase.buyer)
    spent = mt.past(Purchase.amount, by=Purchase.buyer, within="20m")
    stars = mt.past(Purchase.stars, by=Purchase.buyer)  # known an hour after
    name = Item.name.lower() + ", " + Item.kind.text()
    tfidf = mt.TFIDF(dim=8)
    meaning = tfidf(name)
    asked = meaning @ tfidf(Purchase.search, learnt_from=name)
    taste = mt.SASRec(dim=8, blocks=1, epochs=2)(bought, Item, content=meaning)
    scorers = [mt.Popular()(Purchase.item), mt.ALS(dim=4)(bought, Item), mt.EASE()(bought, Item), asked, taste]
    named = mt.BM25()(name, Purchase.search)
    latest = mt.past(Purchase.item, by=Purchase.buyer, last=2)
    found = mt.retrieve(Item, k=6, by=[*scorers, named], exclude=latest, where=Item.price > 1)
    numbers = [spent.count(), spent.mean(), spent.sum(), spent.max(), bought.nunique(), bought.since(), stars.mean()]
    features = (*scorers, named, *numbers, Item.price, Item.kind, Purchase.amount, Purchase.buyer.age)
    score = mt.LightGBM("lambdarank", trees=10, min_rows=3)(found, *features, target=Purchase.stars >= 3)
    likes = mt.LightGBM("binary", trees=10, min_rows=3)(*numbers, Purchase.buyer.age, target=Purchase.stars >= 3)
    big = (spent.sum() / spent.count() >= 20) & ~(Purchase.buyer.age >= 30)
    return mt.Graph(top=score.top(3), likes=likes, big=big, cheap=mt.Logistic()(*numbers, target=Purchase.stars >= 3))


def rows_of(data: mt.Data, rows: Any) -> list[dict[str, Any]]:
    """Events as they were given."""
    columns: Mapping[str, Any] = data.tables[Purchase].columns
    made = {n: columns[n].names.names.take(columns[n].codes[rows]).to_pylist() for n in ("buyer", "item")}
    made |= {n: columns[n][rows].tolist() for n in ("amount", "stars")}
    made |= {"at": (columns["at"][rows] / 1e6).tolist(), "search": columns["search"].take(rows).to_pylist()}
    return [dict(zip(made, values, strict=True)) for values in zip(*made.values(), strict=True)]


@pytest.fixture(scope="module")
def data() -> mt.Data:
    return shop(events=1600)


@pytest.fixture(scope="module")
def folder(data: mt.Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the graph prepared from all but the latest events."""
    store = tmp_path_factory.mktemp("store")
    train, _ = data.split(at=latest(data))
    graph().fit(train, store=store, quiet=True).prepare()
    return store


def latest(data: mt.Data) -> int:
    at: Any = data.tables[Purchase].columns["at"]
    return int(at[-ASKED])


def replayed(data: mt.Data, folder: Path, change: Any = lambda row: row) -> Replayed:
    train, test = data.split(at=latest(data))
    offline = graph().fit(train, store=folder, quiet=True).context(test)
    rows = test.asked[Purchase]
    events = [change(row) for row in rows_of(data, rows)]
    return replay(published(graph(), store=folder, quiet=True), offline, rows, events)


def test_online_equals_offline(data: mt.Data, folder: Path) -> None:
    found = replayed(data, folder)
    assert found.mismatches == {}
    assert found.events == ASKED
    assert 40 < found.columns <= len(compared(graph()))


def test_a_difference_is_seen(data: mt.Data, folder: Path) -> None:
    """The comparison is worth something: another amount by one buyer shows in all that reads amounts."""
    found = replayed(data, folder, lambda row: {**row, "amount": row["amount"] + (row["buyer"] == "b1")})
    assert {"Purchase.amount", "likes", "spent"} <= set(found.mismatches)
    assert max(found.mismatches.values()) < ASKED


def test_a_new_buyer_has_a_past_from_the_first_event_on(data: mt.Data, folder: Path) -> None:
    online = published(graph(), store=folder, quiet=True)
    event = {"buyer": "new", "at": 2_000_000, "amount": 3.0, "item": 4, "stars": 5.0}
    online.observe(Purchase, [event, {**event, "item": 7, "at": 2_000_001}])
    after = online.ask(buyer="new", at=2_000_002, amount=1.0)
    count = mt.past(Purchase.item, by=Purchase.buyer).nunique()
    assert ask(online, {"buyer": "new", "at": 2_000_002, "amount": 1.0}).value(count).tolist() == [2]
    assert not {4, 7} & {each["item_id"] for each in after["top"]}
