"""What a graph reads of the past: never the event itself or one at its time, and no outcome too early."""

import numpy as np

import motet as mt
from tests.shop import Buyer, Item, Purchase, asked, shop, stored


def brute(data: mt.Data, value: str, how, delay: float = 0.0) -> list[float]:
    buyers, times = stored(data, Purchase, "buyer").codes, stored(data, Purchase, "at")
    column = stored(data, Purchase, value)
    values = getattr(column, "codes", column)
    rows = range(len(times))
    return [
        how([values[j] for j in rows if buyers[j] == buyers[i] and times[j] < times[i] - delay * 1e6]) for i in rows
    ]


def test_count_is_of_strictly_earlier_events() -> None:
    data = shop()
    found = asked(mt.past(Purchase.item, by=Purchase.buyer).count(), data)
    assert found.tolist() == brute(data, "item", len)


def test_an_outcome_is_seen_once_it_has_arrived() -> None:
    data = shop()
    found = asked(mt.past(Purchase.stars, by=Purchase.buyer).sum(), data)
    assert found.tolist() == brute(data, "stars", sum, delay=3600)
    assert not np.array_equal(found, brute(data, "stars", sum))


def test_the_past_of_a_condition_on_an_outcome_waits_for_the_outcome() -> None:
    data = shop()
    liked = Purchase.stars >= 4
    found = asked(mt.past(liked, by=Purchase.buyer).count(), data)
    assert found.tolist() == brute(data, "stars", len, delay=3600)


def test_what_is_known_of_the_future_changes_nothing() -> None:
    data = shop()
    early, late = data.split(at=1_000_000_000_000 + 6_000_000_000)
    mean = mt.past(Purchase.amount, by=Purchase.buyer, within="2h").mean()
    before = asked(mean, early)
    rows = data.asked[Purchase]
    among_all = asked(mean, data)[np.isin(rows, early.asked[Purchase])]
    assert before.tobytes() == among_all.tobytes()
    assert len(late.asked[Purchase]) + len(before) == len(rows)


def test_an_entity_column_is_seen_through_the_only_reference_to_it() -> None:
    data = shop()
    older = mt.past(Purchase.item, by=Purchase.buyer).count() + Buyer.age
    assert older.grain == frozenset({Purchase})
    ages = stored(data, Buyer, "age")[stored(data, Purchase, "buyer").codes]
    assert asked(older, data).tolist() == [n + age for n, age in zip(brute(data, "item", len), ages, strict=True)]


def test_an_entity_that_is_an_outcome_stays_a_candidate() -> None:
    per_pair = mt.past(Purchase.item, by=Purchase.buyer).count() + Item.price
    assert per_pair.grain == frozenset({Purchase, Item})
