from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from motet.batch import Array, Codes
from motet.column import Category, Flag, Key, Number, Tags, Text, Time, Vector
from motet.errors import GraphError
from motet.model import Model, State
from motet.models.behavior import features
from motet.past import past
from motet.record import Entity, Event, outcome
from tests.models.planted import categories, names, stored, tags


class Card(Entity):
    card_id: Key


class Payment(Event):
    card: Card
    at: Time
    amount: Number
    abroad: Flag
    country: Category
    words: Tags
    memo: Text
    shape: Vector
    fraud: Flag = outcome()


def laid_out(*values: Any) -> tuple[State, dict[str, Any]]:
    named = {f"feature{i}": value for i, value in enumerate(values)}
    return stored(State(layout=features.layout(named))), named


def rows(state: State, *values: Any) -> Array:
    return features.matrix(state, {f"feature{i}": value for i, value in enumerate(values)})


def test_every_kind_has_its_columns() -> None:
    state, named = laid_out(
        np.array([1.0, np.nan]),
        categories("b", "a"),
        tags(["x", "y"], ["y"]),  # the more frequent tag comes first
        np.array([[1, 2], [3, 4]], np.float32),
    )
    made = features.matrix(state, named)
    assert np.array_equal(made, [[1, 1, 1, 1, 1, 2], [np.nan, 0, 1, 0, 3, 4]], equal_nan=True)
    assert features.categories(state["layout"]) == [1]


def test_a_name_keeps_its_place_in_another_vocabulary() -> None:
    state, named = laid_out(categories("a", "b", "b"), tags(["x"], ["y"], ["y"]))
    before = features.matrix(state, named)[:1]
    other = rows(state, categories("a", "0", None), tags(["x", "0", "zz"], ["x"], []))
    assert np.array_equal(other[:1], before)
    assert np.isnan(other[1:, 0]).all(), "a category that was not there at the fit is missing"
    assert not other[2, 1:].any()


def test_infinite_numbers_are_missing() -> None:
    state, named = laid_out(np.array([1.0, np.inf, -np.inf, 1e300]))
    made = features.matrix(state, named)
    assert np.isnan(made[1:3]).all()
    assert np.isfinite(made[3]).all()


def test_rare_names_have_no_place() -> None:
    many = np.concatenate([np.arange(400), np.arange(300)]).astype(np.int32)
    state, named = laid_out(Codes(many, names("c", 400)))
    made = features.matrix(state, named)
    assert len(state["layout"][0]["names"]) == features.MOST
    assert np.isnan(made[350:400]).all(), "the rarest are left out"


def test_one_hot_has_a_column_per_name_and_zeros_where_it_is_missing() -> None:
    state, named = laid_out(categories("a", "b", None), np.array([5.0, 6.0, 7.0]))
    assert features.design(state, named).tolist() == [[1, 0, 5], [0, 1, 6], [0, 0, 7]]


def test_a_table_without_any_names_has_no_columns() -> None:
    state, named = laid_out(categories(None, None), tags([], []), np.array([1.0, 2.0]))
    assert features.design(state, named).tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("column", "help"),
    [
        (Payment.memo, "TFIDF"),
        (Payment.card, "a field of what it refers to"),
        (Payment.card.card_id, "other fields"),
        (Payment.at, "since"),
        (past(Payment.amount, by=Payment.card), "count"),
    ],
    ids=["text", "reference", "key", "time", "history"],
)
def test_what_holds_no_numbers_is_refused_with_what_to_give_instead(column: Any, help: str) -> None:
    with pytest.raises(GraphError, match=rf"reads numbers(?s:.)*help: .*{help}"):
        features.features(Model(), (Payment.amount, column))


def test_no_features_are_refused() -> None:
    with pytest.raises(GraphError, match="no features"):
        features.features(Model(), ())
