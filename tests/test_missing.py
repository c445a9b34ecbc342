"""`otherwise(None)`: where a model cannot be had, its value is missing, of the right kind and in every row."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import motet as mt
from motet.batch import Codes, Ragged
from motet.node import Choice, Column, Otherwise
from tests.shop import Item, Purchase, asked, shop

KINDS = mt.Number, mt.Flag, mt.Text, mt.Category, mt.Tags, mt.Vector
data = shop(items=12, events=10)


def nothing(kind: type[Column], of: Column = Item.price) -> Column:
    """What stands in for a column of a kind that exists as often as another."""
    optional = kind(of.node).otherwise(None)
    assert isinstance(optional.node, Otherwise)
    return optional.node.cheap


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_is_missing(kind: type[Column]) -> None:
    value: Any = asked(nothing(kind), data)
    assert len(value) == 12
    match value:
        case pa.Array():
            assert value.null_count == 12
        case Codes():
            assert (value.codes == -1).all()
        case Ragged():
            assert (value.windows.lengths == 0).all()
        case _:
            assert value.size == 0 or np.isnan(value).all()


def test_there_are_as_many_as_requests_where_it_is_of_requests() -> None:
    assert np.isnan(asked(nothing(mt.Number, Purchase.amount), data)).tolist() == [True] * 10


def test_a_vector_of_nothing_is_near_to_nothing() -> None:
    close = nothing(mt.Vector) @ mt.Embed("minilm-l6")(Purchase.search)  # pyright: ignore[reportOperatorIssue, reportUnknownVariableType]
    found: Any = asked(close, data)
    assert np.isnan(found.dense(slice(0, 10))).all()
    assert found.shape == (10, 12)


def test_a_score_that_is_missing_for_every_pair_retrieves_nothing() -> None:
    fame = mt.past(Purchase.item, by=Purchase.buyer).count() + Item.price
    optional = fame.otherwise(None)
    assert isinstance(optional.node, Otherwise)
    missing: Any = optional.node.cheap
    pairs = asked(mt.retrieve(Item, k=3, by=[missing]), data)
    assert len(pairs.items) == 0
    assert len(pairs) == 10


def test_what_is_not_chosen_yet_says_so() -> None:
    with pytest.raises(mt.GraphError, match="nothing is chosen yet"):
        asked(mt.Number(Choice((Item.price, Item.price))), data)
