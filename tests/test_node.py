"""What a column is follows from its inputs: its grain, its fingerprint, its name."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet as mt
from motet.apply import Fit
from motet.batch import Array, Batch
from motet.model import Model, State
from motet.node import name_of, upstream
from tests.shop import Buyer, Item, Purchase

NUMBERS: list[mt.Number] = [
    Item.price,
    Buyer.age,
    Purchase.amount,
    Purchase.buyer.age,
    mt.past(Purchase.amount, by=Purchase.buyer).sum(),
]


@dataclass(frozen=True)
class Scaled(Model):
    by: float = 2.0

    def __call__(self, number: mt.Number) -> mt.Number:
        return mt.column(mt.Number, self, number=number)

    def apply(self, state: State, batch: Batch) -> Array:
        return np.asarray(batch["number"]) * self.by


@given(st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=6))
def test_the_grain_of_a_sum_is_the_union_of_its_terms(terms: list[mt.Number]) -> None:
    made = terms[0]
    for term in terms[1:]:
        made = made + term
    assert made.grain - {Buyer} == frozenset[type]().union(*(term.grain - {Buyer} for term in terms))


def test_a_buyer_beside_a_purchase_is_the_one_who_made_it() -> None:
    assert (Purchase.amount + Buyer.age).grain == frozenset({Purchase})
    assert (Buyer.age + Purchase.amount).grain == frozenset({Purchase})
    assert (Buyer.age + Item.price).grain == frozenset({Buyer, Item})


@given(st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=6))
def test_equal_graphs_are_equal_keys(terms: list[mt.Number]) -> None:
    first, second = sum(terms, 0.0), sum(terms, 0.0)
    assert isinstance(first, mt.Column)
    assert isinstance(second, mt.Column)
    assert first is not second
    assert first == second
    assert len({first, second}) == 1


def test_a_changed_config_is_another_column() -> None:
    assert Scaled()(Item.price) == Scaled(2.0)(Item.price)
    assert Scaled(3.0)(Item.price) != Scaled()(Item.price)


def test_a_changed_version_is_another_column() -> None:
    before = Scaled()(Item.price).fingerprint
    Scaled.version = 2
    try:
        assert Scaled()(Item.price).fingerprint != before
    finally:
        Scaled.version = 1


def test_changed_inputs_are_another_column() -> None:
    columns = [
        Scaled()(Item.price),
        Scaled()(Item.price + 1),
        Scaled()(Item.price + 2),
        Scaled()(1 - Item.price),
        Scaled()(Item.price - 1),
        Scaled()(Buyer.age),
        Scaled()(Purchase.buyer.age),
        mt.past(Purchase.amount, by=Purchase.buyer).sum(),
        mt.past(Purchase.amount, by=Purchase.buyer).mean(),
        mt.past(Purchase.amount, by=Purchase.buyer, last=2).sum(),
        mt.past(Purchase.amount, by=Purchase.buyer, within="1d").sum(),
    ]
    assert len(set(columns)) == len(columns)


def test_a_model_fitted_to_another_target_is_another_column() -> None:
    def over(stars: int) -> mt.Number:
        return mt.Logistic()(Purchase.amount, target=Purchase.stars >= stars)

    assert over(3) == over(3)
    assert over(3) != over(4)


def test_upstream_gives_each_column_once_and_inputs_first() -> None:
    score = mt.Logistic()(Purchase.amount, Purchase.amount + 1, target=Purchase.stars >= 4)
    found = list(upstream((score, Purchase.amount)))
    places = {column.fingerprint: i for i, column in enumerate(found)}
    assert len(places) == len(found)
    for column in found:
        needed = (*column.node.inputs, *(i for fit in column.node.fits for i in fit.inputs))
        assert all(places[c.fingerprint] < places[column.fingerprint] for c in needed)


def test_upstream_may_leave_out_what_only_fits_read() -> None:
    score = mt.Logistic()(Purchase.amount, target=Purchase.stars >= 4)
    assert Purchase.stars in upstream((score,))
    assert list(upstream((score,), fits=False)) == [Purchase.amount, score]


def test_only_what_reads_an_outcome_waits_for_the_event() -> None:
    assert (Purchase.stars >= 4).after == frozenset({Purchase})
    assert (Purchase.amount + Purchase.stars).after == frozenset({Purchase})
    assert mt.past(Purchase.stars, by=Purchase.buyer).mean().after == frozenset()
    assert mt.Logistic()(Purchase.amount, target=Purchase.stars >= 4).after == frozenset()


def test_what_is_learnt_has_no_grain_and_rows_of_its_inputs_and_target() -> None:
    (fit,) = mt.Logistic()(Purchase.amount, target=Purchase.stars >= 4).node.fits
    assert isinstance(fit, Fit)
    assert fit.grain == frozenset()
    assert fit.frame == frozenset({Purchase})
    assert fit.learns_outcomes


def test_a_column_is_called_what_its_author_calls_it() -> None:
    dear = Item.price * 2
    nameless = [Item.price * 3, Purchase.buyer.age]
    assert name_of(dear) == "dear"
    names = list(map(name_of, nameless))  # an assertion or a loop would be a variable of its own
    assert names == ["*(Item.price)", "Purchase.buyer.age"]


def test_a_column_remembers_the_line_that_made_it() -> None:
    assert (Item.price * 2).line.startswith("test_node.py:")


def test_neither_true_nor_false() -> None:
    with pytest.raises(mt.GraphError, match="no value yet"):
        bool(Item.price >= 1)
