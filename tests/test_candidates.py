"""Retrieval: what is found, what is left out, and what is answered where nothing is found."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import motet as mt
from motet import candidates, search
from motet.batch import Batch, Pairs
from motet.candidates import filled_in, held
from tests.shop import Buyer, Item, Purchase, asked_batch, shop

seen = mt.past(Purchase.item, by=Purchase.buyer)


@dataclass(frozen=True)
class Drawn(mt.Model):
    """Vectors drawn by seed: `zeros` of the first rows are silent."""

    seed: int
    zeros: int = 0

    def __call__(self, column: mt.Column) -> mt.Vector:
        return mt.column(mt.Vector, self, column=column)

    def apply(self, state: mt.State, batch: Batch) -> np.ndarray:
        made = np.random.default_rng(self.seed).normal(size=(batch.rows, 4)).astype(np.float32)
        made[: self.zeros] = 0
        return made


def lists(pairs: Pairs) -> list[list[int]]:
    return [pairs.items[a:b].tolist() for a, b in zip(pairs.offsets[:-1], pairs.offsets[1:], strict=True)]


taste = Drawn(1)(Purchase.amount) @ Drawn(2)(Item.price)


def test_the_best_by_one_scorer_are_found_in_order() -> None:
    run = asked_batch(shop())
    dense = run.value(taste).dense(slice(0, 400))
    expected = np.argsort(-dense, axis=1, kind="stable")[:, :5]
    assert lists(run.value(mt.retrieve(Item, k=5, by=[taste]))) == expected.tolist()


def test_what_was_seen_is_not_found_where_that_is_asked() -> None:
    run = asked_batch(shop())
    before = run.value(seen).windows
    for i, found in enumerate(lists(run.value(mt.retrieve(Item, k=12, by=[taste], exclude=seen)))):
        assert not set(found) & set(before.row(i).tolist())
        assert len(found) == 12 - len(set(before.row(i).tolist()))


def test_a_silent_scorer_finds_nothing_and_leaves_the_others_their_order() -> None:
    run = asked_batch(shop())
    silent = Drawn(3, zeros=400)(Purchase.amount) @ Drawn(4)(Item.price)
    alone, both = (mt.retrieve(Item, k=5, by=by) for by in ([silent], [taste, silent]))
    assert len(run.value(alone).items) == 0
    assert lists(run.value(both)) == lists(run.value(mt.retrieve(Item, k=5, by=[taste])))


def test_a_number_per_pair_that_no_factors_hold_retrieves_too() -> None:
    run = asked_batch(shop())
    mixed = taste * 2.0 + Item.price
    dense = 2 * run.value(taste).dense(slice(0, 400)) + np.asarray(run.value(Item.price))
    expected = np.argsort(-dense.astype(np.float32), axis=1, kind="stable")[:, :3]
    assert lists(run.value(mt.retrieve(Item, k=3, by=[mixed]))) == expected.tolist()


def test_above_a_size_an_index_finds_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = lists(asked_batch(shop()).value(mt.retrieve(Item, k=5, by=[taste], exclude=seen)))
    monkeypatch.setattr(search, "EXACT_UP_TO", 0)
    found = lists(asked_batch(shop()).value(mt.retrieve(Item, k=5, by=[taste], exclude=seen)))
    shared = [len(set(a) & set(b)) / max(len(a), 1) for a, b in zip(exact, found, strict=True)]
    assert np.mean(shared) > 0.95


def test_requests_without_candidates_are_answered_by_the_otherwise() -> None:
    run = asked_batch(shop())
    half = Drawn(1, zeros=200)(Purchase.amount) @ Drawn(2)(Item.price)
    found = mt.retrieve(Item, k=3, by=[half]).otherwise(Item.price)
    answered = lists(run.value(found))
    assert answered[:200] == [[11, 10, 9]] * 200
    assert answered[200:] == lists(run.value(mt.retrieve(Item, k=3, by=[half])))[200:]
    assert held(found) == 3


def test_a_failing_retrieval_is_answered_by_the_otherwise_and_noted() -> None:
    @mt.function(mt.Number)
    def broken(price: np.ndarray) -> np.ndarray:
        raise ValueError("no")

    run = asked_batch(shop())
    found = mt.retrieve(Item, k=3, by=[broken(Item.price)], exclude=seen).otherwise(Item.price)
    assert [len(each) <= 3 for each in lists(run.value(found))] == [True] * 400
    assert any("ValueError: no" in problem for _, problem in run.context.notes)


def test_filling_in_keeps_what_was_found() -> None:
    strong = Pairs(np.array([0, 2, 2]), np.array([5, 6]), np.array([1.0, 0.5]))
    cheap = Pairs(np.array([0, 1, 3]), np.array([1, 2, 3]), np.array([9.0, 8.0, 7.0]))
    both = filled_in(strong, cheap, np.array([False, True]))
    assert (both.offsets.tolist(), both.items.tolist(), both.scores.tolist()) == (
        [0, 2, 4],
        [5, 6, 2, 3],
        [1, 0.5, 8, 7],
    )


def test_a_score_of_a_wider_set_is_known_for_the_narrower_one() -> None:
    run = asked_batch(shop())
    wide = mt.retrieve(Item, k=8, by=[taste])
    narrow: Pairs = run.value(wide.top(3))
    assert run.at(wide.score, narrow).tolist() == narrow.scores.tolist()


@mt.function(mt.Flag)
def near(amount: np.ndarray, price: np.ndarray) -> np.ndarray:
    """A condition on pairs: the price is about a quarter of the amount."""
    return (np.abs(amount / 4 - price) <= 4).astype(float)


cheap = Item.price <= 4
CONDITIONS = {"per item": cheap, "per request and item": near(Purchase.amount, Item.price)}


def holds(run: Any, where: mt.Flag) -> np.ndarray:
    value = run.value(where)
    dense = value.dense(slice(0, 400)) if hasattr(value, "dense") else np.broadcast_to(value, (400, len(value)))
    return np.asarray(dense) == 1


@pytest.mark.parametrize("where", CONDITIONS.values(), ids=CONDITIONS)
@pytest.mark.parametrize("size", [20_000, 0], ids=["exact", "index"])
@pytest.mark.parametrize("rare", [0.0, 0.1])
def test_the_k_best_of_those_for_which_it_holds_are_found(
    where: mt.Flag, size: int, rare: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "EXACT_UP_TO", size)
    monkeypatch.setattr(candidates, "RARE", rare)
    run = asked_batch(shop())
    allowed, before = holds(run, where), run.value(seen).windows
    dense = np.where(allowed, run.value(taste).dense(slice(0, 400)), -np.inf)
    for i in range(400):
        dense[i, before.row(i)] = -np.inf
    order = np.argsort(-dense, axis=1, kind="stable")[:, :3]
    expected = [[int(item) for item in row if dense[i, item] > -np.inf] for i, row in enumerate(order)]
    assert lists(run.value(mt.retrieve(Item, k=3, by=[taste], exclude=seen, where=where))) == expected


def test_a_condition_holds_of_what_several_scorers_find_and_of_the_otherwise() -> None:
    run = asked_batch(shop())
    half = Drawn(1, zeros=200)(Purchase.amount) @ Drawn(2)(Item.price)
    other = Drawn(5, zeros=200)(Purchase.amount) @ Drawn(6)(Item.price)
    found = mt.retrieve(Item, k=3, by=[half, other], where=cheap).otherwise(Item.price)
    answered = lists(run.value(found))
    assert answered[:200] == [[3, 2, 1]] * 200
    assert {item for each in answered for item in each} == {0, 1, 2, 3}


def test_where_a_condition_holds_of_nothing_nothing_is_found() -> None:
    run = asked_batch(shop())
    found = mt.retrieve(Item, k=3, by=[taste], where=Item.price > 99).otherwise(Item.price)
    assert lists(run.value(found)) == [[]] * 400


def test_a_missing_condition_does_not_hold() -> None:
    goods = [{"item_id": i, "name": "tea", "price": None if i else 1.0, "kind": "tea"} for i in range(3)]
    bought = [{"buyer": "b", "at": 60 * i, "amount": 1.0, "item": i % 3, "stars": 3.0} for i in range(6)]
    run = asked_batch(mt.Data({Item: goods, Buyer: [{"buyer_id": "b", "age": 3.0}], Purchase: bought}))
    assert lists(run.value(mt.retrieve(Item, k=3, by=[taste], where=Item.price < 5))) == [[0]] * 6


def test_what_is_no_condition_on_the_items_is_refused() -> None:
    with pytest.raises(mt.GraphError, match="no condition on Item"):
        mt.retrieve(Item, k=3, by=[taste], where=Purchase.amount > 3)
