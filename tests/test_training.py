"""The rows that a model is fitted on: which events, which candidates, which labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import motet as mt
from motet.apply import Fit
from motet.batch import Batch, Pairs
from motet.candidates import ranked
from motet.model import Model, State
from motet.run.context import Context
from motet.run.runner import Local
from motet.store import Store
from motet.training import Training, training
from tests.shop import Buyer, Item, Purchase, asked, shop, stored


@dataclass(frozen=True)
class Dear(Model):
    """Scores an item by its price, whoever asks."""

    def __call__(self, price: mt.Number, amount: mt.Number) -> mt.Number:
        return mt.column(mt.Number, self, price=price, amount=amount)

    def apply(self, state: State, batch: Batch) -> Any:
        return np.asarray(batch["price"]) + 0 * np.asarray(batch["amount"])


@dataclass(frozen=True)
class Ranker(Model):
    def __call__(self, found: mt.Candidates, price: mt.Number, target: Any) -> mt.Candidates:
        fit = mt.learn(self, target=target, among=found, price=price, amount=Purchase.amount, requests=None)
        return ranked(found, mt.column(mt.Number, self, fit, among=found, price=price))


found = mt.retrieve(Item, k=5, by=[Dear()(Item.price, Purchase.amount)])


def trained(column: mt.Column, data: mt.Data, requests: int | None = None, seed: int = 0) -> Training:
    (fit,) = column.node.fits
    assert isinstance(fit, Fit)
    limited = Fit(fit.model, fit.args, fit.target, fit.chosen_among, requests)
    return training(limited, Context(data, Local(), Store("unused")), seed, lambda done, of, said: None)


def ranker(target: Any) -> mt.Column:
    node: Any = Ranker()(found, Item.price, target).node
    return node.by


def candidates(data: mt.Data) -> tuple[Pairs, np.ndarray]:
    run = Context(data, Local(), Store("unused")).batch(Purchase, data.asked[Purchase])
    return run.value(found), stored(data, Purchase, "item").codes[data.asked[Purchase]]


def expected(data: mt.Data, worth: np.ndarray) -> list[tuple[int, float, float]]:
    """Brute force: per request with some label above zero, its candidates' (request, price, label)."""
    pairs, happened = candidates(data)
    price, rows = stored(data, Item, "price"), list[tuple[int, float, float]]()
    for i in range(len(happened)):
        items = pairs.items[pairs.offsets[i] : pairs.offsets[i + 1]]
        labels = [worth[i] if item == happened[i] else 0.0 for item in items]
        if max(labels) > 0:
            rows += [(i, price[item], label) for item, label in zip(items, labels, strict=True)]
    return rows


def test_a_candidate_s_label_is_the_outcome_if_it_is_the_one_that_happened() -> None:
    data = shop()
    stars = stored(data, Purchase, "stars")
    made = trained(ranker(Purchase.stars), data)
    rows = expected(data, stars)
    assert made.target.tolist() == [label for _, _, label in rows]
    assert made.batch["price"].tolist() == [price for _, price, _ in rows]


def test_the_label_of_a_condition_is_one_where_it_holds() -> None:
    data = shop()
    liked = (stored(data, Purchase, "stars") >= 4).astype(float)
    made = trained(ranker(Purchase.stars >= 4), data)
    assert made.target.tolist() == [label for _, _, label in expected(data, liked)]
    assert set(made.target.tolist()) == {0.0, 1.0}


def test_the_item_itself_as_target_makes_whatever_happened_a_success() -> None:
    data = shop()
    made = trained(ranker(Purchase.item), data)
    rows = expected(data, np.ones(len(data.asked[Purchase])))
    assert made.target.tolist() == [label for _, _, label in rows]


def test_requests_keep_their_candidates_together() -> None:
    data = shop()
    made = trained(ranker(Purchase.item), data)
    groups = made.batch.groups
    assert groups is not None
    sizes = np.diff(groups)
    assert set(sizes.tolist()) == {0, 5}, "who found nothing has no rows"
    assert np.add.reduceat(made.target, groups[:-1][sizes > 0]).tolist() == [1.0] * int((sizes > 0).sum())
    amounts = made.batch["amount"].reshape(-1, 5)
    assert (amounts == amounts[:, :1]).all(), "what a request knows is the same for each of its candidates"


def test_features_per_request_and_per_item_meet_in_the_right_rows() -> None:
    data = shop()
    made = trained(ranker(Purchase.item), data)
    rows = expected(data, np.ones(len(data.asked[Purchase])))
    amounts = stored(data, Purchase, "amount")
    assert made.batch["amount"].tolist() == [amounts[i] for i, _, _ in rows]


def test_so_many_requests_are_drawn_at_random_by_seed() -> None:
    data = shop()
    column = mt.Logistic()(Purchase.amount, target=Purchase.stars >= 4)
    first, again, other = (trained(column, data, requests=50, seed=seed) for seed in (0, 0, 1))
    assert first.batch.rows == len(first.target) == 50
    assert first.batch["feature0"].tolist() == again.batch["feature0"].tolist()
    assert first.batch["feature0"].tolist() != other.batch["feature0"].tolist()


def test_what_is_asked_for_is_learnt_from_and_nothing_else() -> None:
    train, _ = shop().split(last=2, by=Purchase.buyer)
    made = trained(mt.Logistic()(Purchase.amount, target=Purchase.amount >= 9), train)
    assert made.batch["feature0"].tolist() == stored(train, Purchase, "amount")[train.asked[Purchase]].tolist()


def test_an_outcome_that_has_not_arrived_is_not_learnt_from() -> None:
    data = shop()
    times = stored(data, Purchase, "at")
    cut = int(np.median(times))
    train, _ = data.split(at=cut)
    late = trained(mt.Logistic()(Purchase.amount, target=Purchase.stars >= 4), train)
    at_once = trained(mt.Logistic()(Purchase.amount, target=Purchase.amount >= 9), train)
    hour = 3_600_000_000
    assert late.batch.rows == int((times + hour < cut).sum())
    assert at_once.batch.rows == int((times < cut).sum())
    assert 0 < late.batch.rows < at_once.batch.rows


def test_a_student_learns_from_every_event_of_which_its_teacher_says_something() -> None:
    data = shop()
    train, _ = data.split(at=int(np.median(stored(data, Purchase, "at"))))
    before = mt.past(Purchase.stars, by=Purchase.buyer)
    student = mt.LightGBM("regression")(Purchase.amount, target=Purchase.stars)
    made = trained(mt.taught(student, by=before.mean()), train)
    said = asked(before.mean(), train)
    assert made.target.tolist() == said[np.isfinite(said)].tolist(), "those too whose own outcome has not arrived"
    amounts = stored(train, Purchase, "amount")[train.asked[Purchase]]
    assert made.batch["feature0"].tolist() == amounts[np.isfinite(said)].tolist()
    assert (made.batch.rows, made.silent) == (np.isfinite(said).sum(), np.isnan(said).sum())
    assert made.silent > 0


def test_a_larger_sample_of_a_teacher_holds_the_smaller_one() -> None:
    student = mt.taught(mt.LightGBM("regression")(Purchase.amount, target=Purchase.stars), by=Purchase.amount * 2)
    drawn = [set(trained(student, shop(), requests=n).batch["at"].tolist()) for n in (20, 50, 1_000)]
    assert drawn[0] < drawn[1] < drawn[2]
    assert trained(student, shop(), requests=20).batch.rows == 20
    other = trained(student, shop(), requests=20, seed=1)
    assert set(other.batch["at"].tolist()) != drawn[0]


def test_nothing_to_learn_from_is_said() -> None:
    data = shop()
    early, _ = data.split(at=int(stored(data, Purchase, "at").min()) + 60_000_000)
    with pytest.raises(mt.RunError, match="has no Purchase to learn from"):
        trained(mt.Logistic()(Purchase.amount, target=Purchase.stars >= 4), early)


def test_candidates_that_never_hold_what_happened_are_said() -> None:
    items = [{"item_id": i, "name": "", "price": float(i), "kind": "tea"} for i in range(12)]
    rows = [{"buyer": "b", "at": i, "amount": 1.0, "item": 0, "stars": 5.0} for i in range(9)]
    data = mt.Data({Item: items, Buyer: [{"buyer_id": "b", "age": 1.0}], Purchase: rows})
    with pytest.raises(mt.RunError, match="of 9 requests none found what it came to"):
        trained(ranker(Purchase.item), data)
