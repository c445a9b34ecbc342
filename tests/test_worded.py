"""A call that lacks an argument says which, what it is, and how the call is written."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest

import motet as mt
from motet.errors import GraphError
from motet.worded import worded
from tests.shop import Item, Purchase
from tests.test_late import Slow

LATE = Slow()(Purchase.search)


@pytest.mark.parametrize(
    ("build", "says", "help"),
    [
        (
            lambda: cast(Any, mt.LightGBM("lambdarank"))(Item.price, Purchase.amount),
            "LightGBM('lambdarank') cannot be called so: missing a required argument: 'target'; it takes first: "
            "Candidates | Feature, *others: Feature, target: Flag | Number | Record",
            "LightGBM('lambdarank')(first, ..., target=...)",
        ),
        (lambda: cast(Any, mt.Logistic())(Item.price), "target: Flag", "Logistic()(..., target=...)"),
        (lambda: cast(Any, mt.Logistic())(Item.price, traget=Item.price), "there is no 'traget'", "target=...)"),
        (lambda: cast(Any, mt.BM25())(Item.name), "required argument: 'query'", "BM25()(documents, query)"),
        (lambda: cast(Any, mt.Embed())(Item.name, Item.name), "too many positional arguments", "Embed()(text)"),
        (
            lambda: cast(Any, mt.Endpoint("http://there", "fraud"))(Item.price, Item.price, amount=Item.price),
            "Endpoint('fraud') cannot be called so: too many positional arguments; it takes candidates: Candidates | "
            "None, **inputs: Input",
            "Endpoint('fraud')(name=...)",
        ),
        (lambda: cast(Any, Item.price).otherwise(), "Item.price.otherwise cannot", "Item.price.otherwise(other)"),
        (lambda: cast(Any, LATE).within(seconds=3), "'otherwise'", ".within(seconds=..., otherwise=...)"),
    ],
)
def test_a_call_that_lacks_an_argument_shows_how_it_is_written(build: Any, says: str, help: str) -> None:
    with pytest.raises(GraphError, match=re.escape(says)) as refused:
        build()
    assert refused.value.help.endswith(help)


def test_an_error_within_the_call_stays_what_it_is() -> None:
    class Broken:
        @worded(str)
        def at(self, place: int) -> int:
            raise TypeError("its own")

    with pytest.raises(TypeError, match=r"^its own$"):
        Broken().at(3)
    assert Broken.at.__name__ == "at"
