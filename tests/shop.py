"""A small made-up shop that many tests share: who bought what when, and what they thought of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import motet as mt
from motet.run.context import Batched, Context
from motet.run.runner import Local
from motet.store import Store


class Item(mt.Entity):
    item_id: mt.Key
    name: mt.Text
    price: mt.Number
    kind: mt.Category


class Buyer(mt.Entity):
    buyer_id: mt.Key
    age: mt.Number


class Purchase(mt.Event):
    buyer: Buyer
    at: mt.Time
    search: mt.Text = mt.default("")
    amount: mt.Number
    item: Item = mt.outcome()
    stars: mt.Number = mt.outcome(after="1h")


def shop(
    buyers: int = 20, items: int = 12, events: int = 400, seed: int = 0, names: Mapping[int, str] | None = None
) -> mt.Data:
    """Buyers who mostly buy the next item of the kind that they bought last; some buy twice in one second.

    names: what some of the items are called, by number.
    """
    rng = np.random.default_rng(seed)
    kinds = np.array(["tea", "cup", "pot"])
    last = rng.integers(0, items, buyers)
    rows: list[dict[str, object]] = []
    for i in range(events):
        buyer = int(rng.integers(0, buyers))
        last[buyer] = (last[buyer] + 3) % items if rng.random() < 0.8 else rng.integers(0, items)
        rows.append(
            {
                "buyer": f"b{buyer}",
                "at": 1_000_000 + int(i // 2) * 60,  # two at a time: ties
                "amount": float(rng.integers(1, 50)),
                "item": int(last[buyer]),
                "stars": float(rng.integers(1, 6)),
            }
        )
    called = {i: f"{kinds[i % 3]} number {i}" for i in range(items)} | dict(names or {})
    goods = [{"item_id": i, "name": called[i], "price": float(i + 1), "kind": str(kinds[i % 3])} for i in range(items)]
    people = [{"buyer_id": f"b{b}", "age": float(20 + b)} for b in range(buyers)]
    return mt.Data({Item: goods, Buyer: people, Purchase: rows})


def stored(data: mt.Data, record: Any, field: str) -> Any:
    """What the table of a record holds in one field."""
    return data.tables[record].columns[field]


def asked(column: Any, data: mt.Data, event: Any = Purchase) -> Any:
    """A column that needs no fit, for each event that the data ask."""
    return asked_batch(data, event).value(column)


def asked_batch(data: mt.Data, event: Any = Purchase) -> Batched:
    """All events that the data ask, as one batch, nothing fitted."""
    return Context(data, Local(), Store("unused")).batch(event, data.asked[event])
