"""A list's vector is the mean of its items'."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import motet as mt
from motet.batch import Batch
from tests.shop import Buyer, Item, Purchase, asked_batch, shop

seen = mt.past(Purchase.item, by=Purchase.buyer)


@dataclass(frozen=True)
class Axis(mt.Model):
    """Each item has a direction of its own."""

    def __call__(self, price: mt.Number) -> mt.Vector:
        return mt.column(mt.Vector, self, price=price)

    def apply(self, state: mt.State, batch: Batch) -> np.ndarray:
        return np.eye(batch.rows, dtype=np.float32)


def test_the_mean_of_the_vectors_of_a_history() -> None:
    run = asked_batch(shop())
    made, windows = run.value(mt.Pool()(seen, Axis()(Item.price))), run.value(seen).windows
    for row, vector in enumerate(made):
        counts = np.bincount(windows.row(row), minlength=12).astype(float)
        length = np.linalg.norm(counts)
        assert vector == pytest.approx(counts / length if length else counts, abs=1e-6)


def test_an_empty_list_has_nothing_to_say() -> None:
    run = asked_batch(shop())
    like = Axis()(Item.price) @ mt.Pool()(seen, Axis()(Item.price))
    empty = run.value(seen).windows.lengths == 0
    assert empty.any()
    assert np.isnan(run.value(like).dense(slice(0, 400))[empty]).all()


def test_vectors_of_other_things_are_refused() -> None:
    with pytest.raises(mt.GraphError, match="vectors of a list's items"):
        mt.Pool()(mt.past(Purchase.amount, by=Purchase.buyer), Axis()(Item.price))
    with pytest.raises(mt.GraphError, match="vectors of a list's items"):
        mt.Pool()(seen, Axis()(Buyer.age))
