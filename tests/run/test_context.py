"""What a run keeps of costly rows: once for good, and never a failure that may pass."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import motet as mt
from motet.batch import Batch
from motet.intake import table_of
from motet.record import reference_of
from tests.shop import Item, Purchase, shop

calls: list[int] = []
busy: set[float] = set()


class Priced(dict[str, Any]):
    def __init__(self, columns: Mapping[str, Any], failed: list[bool]) -> None:
        super().__init__(columns)
        self.problems = ["the endpoint was busy" if f else None for f in failed]
        self.passing = failed


@dataclass(frozen=True)
class Appraise(mt.Model):
    """Doubles prices at some cost; prices in `busy` fail this time."""

    costly: ClassVar[bool] = True

    def __call__(self, price: mt.Number) -> "Appraisal":
        from motet.record import filled

        return filled(Appraisal, mt.column(mt.Column, self, price=price))

    def block(self) -> int:
        return 5

    def apply(self, state: mt.State, batch: Batch) -> Priced:
        calls.append(batch.rows)
        failed = [price in busy for price in batch["price"].tolist()]
        return Priced({"worth": np.where(failed, np.nan, batch["price"] * 2)}, failed)


class Appraisal(mt.Record):
    worth: mt.Number


@pytest.fixture
def fitted(tmp_path: Path) -> mt.Fitted:
    calls.clear()
    busy.clear()
    worth = Appraise()(Item.price).worth
    bought = mt.past(Purchase.item, by=Purchase.buyer)
    best = mt.retrieve(Item, k=12, by=[worth], exclude=bought)
    return mt.Graph(best=best).fit(shop(), store=tmp_path, quiet=True)


def test_a_row_is_computed_once(fitted: mt.Fitted) -> None:
    assert fitted.prepare().new == 12
    assert fitted.prepare().new == 0
    assert sum(calls) == 12


def test_a_failure_that_may_pass_is_counted_and_tried_again_and_the_others_are_kept(fitted: mt.Fitted) -> None:
    busy.update({3.0, 4.0})
    first = fitted.prepare()
    assert first.problems == {"worth": {"the endpoint was busy, tried again by the next prepare": 2}}
    answered = fitted.ask(buyer="b0", amount=1)["best"]
    assert not {row["item_id"] for row in answered} & {2, 3}
    busy.clear()
    second = fitted.prepare()
    assert (second.new, second.problems) == (2, {})
    assert {row["item_id"] for row in fitted.ask(buyer="new", amount=1)["best"]} == set(range(12))


def test_where_no_row_can_be_computed_the_reason_is_said(fitted: mt.Fitted) -> None:
    busy.update(float(price) for price in range(1, 13))
    with pytest.raises(mt.RunError, match=r"no row of worth could be computed: the endpoint was busy") as raised:
        fitted.prepare()
    assert "motet prepare it again" in raised.value.help


def test_what_several_threads_need_at_once_is_made_once(fitted: mt.Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column per item, and the index over it."""
    context, made = fitted.context(fitted.data), list[str]()
    vectors = np.eye(12, dtype=np.float32)

    def slowly(what: str, value: Any) -> Any:
        time.sleep(0.05)
        made.append(what)
        return value

    monkeypatch.setattr(context, "_computed", lambda column: slowly("column", vectors))
    monkeypatch.setattr("motet.run.context.Scan", lambda items: slowly("index", items))
    threads = [threading.Thread(target=lambda: context.index(context.shared(Item.price))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["column", "index"]


def test_batches_see_whole_events_while_others_are_observed(tmp_path: Path) -> None:
    """Two histories of one event are of one length and tell of the same events, whoever observes meanwhile."""
    items, paid = mt.past(Purchase.item, by=Purchase.buyer), mt.past(Purchase.amount, by=Purchase.buyer)
    fitted = mt.Graph(items=items, paid=paid).fit(shop(), store=tmp_path, quiet=True)
    context, wrong, over = fitted.live, list[Any](), threading.Event()
    ask = {"buyer": "b1", "amount": 1.0, "at": 3_000_000}

    def read() -> None:
        while not over.wait(0.0005):  # one that never waits keeps the interpreter to itself
            run = context.asked(Purchase, table_of(Purchase, [ask], context.entities()))
            seen, amounts = run.value(items).windows.row(0), run.value(paid).windows.row(0)
            if len(seen) != len(amounts) or np.any(seen[amounts > 100] != amounts[amounts > 100] % 10):
                wrong.append((seen, amounts))

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(100):
        row = {"buyer": "b1", "at": 2_000_000 + i, "amount": 1000.0 + i % 10, "item": i % 10}
        fitted.observe(Purchase, [row, {**row, "buyer": f"new {i}"}])
    over.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(fitted.ask(**ask)["items"]) >= 100


def test_a_settled_context_keeps_no_event_twice_and_makes_no_history_later(tmp_path: Path) -> None:
    items = mt.past(Purchase.item, by=Purchase.buyer)
    fitted = mt.Graph(items=items).fit(shop(), store=tmp_path, quiet=True)
    fitted.live.settle(fitted.outline.columns)
    fitted.observe(Purchase, [{"buyer": "new", "at": 2_000_000, "amount": 1.0, "item": 3}])
    assert fitted.ask(buyer="new", amount=1.0, at=2_000_001)["items"] == [3]
    with pytest.raises(mt.RunError, match="settled"):
        fitted.live.history(Purchase.stars, reference_of(Purchase.buyer))
