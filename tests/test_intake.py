"""What the quick way makes of asks is what `parse` makes of them, to the type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet as mt
from motet import intake
from motet.batch import Codes, Ragged, Vocabulary
from motet.errors import DataError
from motet.record import Entity
from motet.table import Table, parse


class Card(mt.Entity):
    card_id: mt.Key


class Shop(mt.Entity):
    shop_id: mt.Key


class Payment(mt.Event):
    card: Card
    shop: Shop
    at: mt.Time
    amount: mt.Number
    abroad: mt.Flag
    note: mt.Text = mt.default("")
    currency: mt.Category
    fraud: mt.Flag = mt.outcome()
    next_shop: Shop = mt.outcome()


KEYS: Mapping[type[Entity], Vocabulary] = {
    Card: Vocabulary(pa.array([7, 3, 2**62])),
    Shop: Vocabulary(pa.array(["a", "b", "ü"], pa.large_string())),
}
PLAIN = {"card": 3, "shop": "b", "at": 5.25, "amount": 2.5, "abroad": True, "note": "hm", "currency": "EUR"}

numbers = st.integers() | st.floats()
anything = numbers | st.booleans() | st.text() | st.none() | st.lists(st.integers(), max_size=2)
rows = st.fixed_dictionaries(
    {
        "card": st.sampled_from([7, 3, 9]) | anything,
        "shop": st.sampled_from(["a", "ü", "z"]) | anything,
        "at": st.floats(-1e9, 1e10) | anything,
        "amount": numbers,
        "abroad": st.booleans() | st.sampled_from([0, 1, "true"]),
        "currency": st.text() | st.none(),
    },
    optional={"note": st.text() | st.none(), "fraud": st.booleans(), "unknown": st.integers()},
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Codes):
        return (
            one.codes.dtype == other.codes.dtype
            and one.codes.tolist() == other.codes.tolist()
            and (one.names.names.equals(other.names.names))
        )
    if isinstance(one, pa.Array):
        return one.equals(other)
    assert not isinstance(one, Ragged)
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype == np.float64)


@dataclass(frozen=True, eq=False)
class Read:
    """A table, equal to another of the same columns."""

    table: Table

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Read) and equal(self.table, other.table)


def equal(one: Table, other: Table) -> bool:
    assert one.columns.keys() == other.columns.keys()
    return (
        len(one) == len(other)
        and one.missing == other.missing
        and all(same(one.columns[name], other.columns[name]) for name in one.columns)
    )


@given(st.lists(rows | st.just(PLAIN), min_size=1, max_size=4))
def test_it_is_what_parse_makes_of_any_rows(asks: list[dict[str, Any]]) -> None:
    assert outcome_of(intake.table_of, asks) == outcome_of(partial(parse, partial=True), asks)


def outcome_of(read: Callable[..., Table], asks: list[dict[str, Any]]) -> Read | str:
    """What reading the asks gives, or what it says is wrong."""
    try:
        return Read(read(Payment, asks, KEYS))
    except DataError as error:
        return str(error)


def test_plain_values_need_no_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = parse(Payment, [PLAIN, {**PLAIN, "card": 8}], KEYS, partial=True)
    monkeypatch.setattr(intake, "parse", lambda *_, **__: pytest.fail("parsed"))
    assert equal(intake.table_of(Payment, [PLAIN, {**PLAIN, "card": 8}], KEYS), expected)


@pytest.mark.parametrize("wrong", [{"card": [1]}, {"amount": "ten"}, {"at": None}, {"colour": "red"}])
def test_what_parse_refuses_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(wrong))):
        intake.table_of(Payment, [{**PLAIN, **wrong}], KEYS)


@pytest.mark.parametrize("at", [1e308, -1e308, "1e308", "1" + "0" * 305])
def test_a_time_beyond_all_times_is_refused_without_a_warning(at: Any) -> None:
    with pytest.raises(DataError, match="at"):
        intake.table_of(Payment, [{**PLAIN, "at": at}], KEYS)
