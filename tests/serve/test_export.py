"""What has happened, read back as data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import motet as mt
from motet.serve.export import exported
from motet.serve.journal import Happened
from motet.serve.log import opened, written
from tests.shop import Buyer, Item, Purchase, stored


class Click(mt.Event):
    buyer: Buyer
    at: mt.Time


bought = mt.Graph(n=mt.past(Purchase.item, by=Purchase.buyer).count())
both = mt.Graph(
    n=mt.past(Purchase.item, by=Purchase.buyer).count(),
    clicks=mt.past(Click.at, by=Click.buyer, asof=Purchase.buyer).count(),
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    journal = opened(None, "goods", tmp_path)
    row = {"buyer": "b", "amount": 1, "at": 5.25, "item": 3}
    click = Happened("c", "Click", json.dumps({"buyer": "b", "at": 7}), "d")
    written(journal, [[Happened("a", "Purchase", json.dumps(row), "d"), click]])
    written(journal, [[Happened("b", "Purchase", json.dumps({**row, "at": "2001-02-03T04:05:06Z"}), "d")]])
    journal.close()
    return tmp_path


def test_what_is_exported_can_be_bound(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "new.jsonl"
    assert exported(bought, "goods", file, store=store) == 2
    data = mt.Data(
        {
            Purchase: file,
            Item: [{"item_id": 3, "name": "x", "price": 1, "kind": "x"}],
            Buyer: [{"buyer_id": "b", "age": 1}],
        }
    )
    assert stored(data, Purchase, "search").to_pylist() == ["", ""]
    assert data.times(Purchase).tolist() == [5_250_000, 981_173_106_000_000]
    assert exported(bought, "goods", file, "Purchase", store=store) == 2


def test_where_there_are_several_kinds_it_has_to_be_said_which(store: Path, tmp_path: Path) -> None:
    with pytest.raises(mt.DataError, match="which events") as raised:
        exported(both, "goods", tmp_path / "x", store=store)
    assert "Click, Purchase" in raised.value.help
    with pytest.raises(mt.DataError, match="'Clack' is no event"):
        exported(both, "goods", tmp_path / "x", "Clack", store=store)
    assert not (tmp_path / "x").exists()
    assert exported(both, "goods", tmp_path / "x", "Click", store=store) == 1
