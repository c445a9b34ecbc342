"""Declared records: what their fields become, and which declarations are refused."""

from typing import Any

import pytest

import motet as mt
from motet.batch import Codes
from motet.errors import FieldError
from motet.record import Event, entity_of, filled, reference_of
from motet.span import seconds_of
from tests.shop import Buyer, Item, Purchase, asked, shop, stored


class Maker(mt.Entity):
    maker_id: mt.Key
    size: mt.Number


class Pot(mt.Entity):
    pot_id: mt.Key
    maker: Maker


class Order(mt.Event):
    pot: Pot
    at: mt.Time
    paid: mt.Flag = mt.outcome(after="1d")


def test_a_field_is_a_column_of_its_declared_type() -> None:
    kinds = {name: type(vars(Item)[name]) for name in Item.fields}
    assert kinds == {"item_id": mt.Key, "name": mt.Text, "price": mt.Number, "kind": mt.Category}
    assert Item.price.grain == frozenset({Item})
    assert Item.key_column() == Item.item_id
    assert Purchase.time_column() == Purchase.at


def test_defaults_outcomes_and_labels_are_kept_beside_the_type() -> None:
    class Mood(mt.Record):
        tone: mt.Category = mt.labels("calm", "wild")

    assert Purchase.specs["search"].default == ""
    assert Purchase.specs["search"].has_default
    assert not Purchase.specs["amount"].has_default
    assert Purchase.specs["stars"].delay == 3600
    assert Purchase.outcomes() == ["Purchase.item", "Purchase.stars"]
    assert Mood.specs["tone"].labels == ("calm", "wild")


def test_a_plain_default_is_one_too() -> None:
    class Search(mt.Event):
        at: mt.Time
        words: mt.Text = ""  # pyright: ignore[reportAssignmentType]

    assert Search.specs["words"].default == ""


def test_columns_are_read_through_references_as_deep_as_they_go() -> None:
    size = Order.pot.maker.size
    assert size.grain == frozenset({Order})
    assert size.node.label() == "Order.pot.maker.size"
    data = mt.Data(
        {
            Maker: [{"maker_id": "m", "size": 7.0}, {"maker_id": "n", "size": 8.0}],
            Pot: [{"pot_id": 1, "maker": "n"}, {"pot_id": 2, "maker": "m"}],
            Order: [{"pot": pot, "at": 60 * pot, "paid": True} for pot in (1, 2)],
        }
    )
    assert asked(size, data, Order).tolist() == [8, 7]


def test_a_column_through_a_reference_is_that_of_the_row_it_points_at() -> None:
    data = shop()
    rows = stored(data, Purchase, "buyer").codes
    assert asked(Purchase.buyer.age, data).tolist() == stored(data, Buyer, "age")[rows].tolist()


def test_a_reference_knows_its_entity() -> None:
    assert entity_of(reference_of(Purchase.buyer)) is Buyer
    assert entity_of(reference_of(Order.pot.maker)) is Maker
    with pytest.raises(mt.GraphError, match="is no reference"):
        reference_of(Purchase.amount)


def test_an_event_says_what_it_came_to() -> None:
    found = Purchase.happened(Item)
    assert isinstance(asked(found, shop()), Codes)
    with pytest.raises(mt.GraphError, match="does not say which Buyer it came to"):
        Purchase.happened(Buyer)


def test_a_typo_lists_what_exists_and_is_no_attribute() -> None:
    with pytest.raises(FieldError, match="did you mean 'price'") as raised:
        Item.prise  # pyright: ignore[reportAttributeAccessIssue]
    assert "item_id" in str(raised.value)
    with pytest.raises(FieldError, match="Buyer has no field 'name'"):
        Purchase.buyer.name  # pyright: ignore[reportAttributeAccessIssue]
    assert not hasattr(Item, "prise")


def test_a_record_that_a_model_fills_in_has_its_fields_as_columns() -> None:
    class Facts(mt.Record):
        mood: mt.Category
        year: mt.Number

    facts = filled(Facts, Item.name)
    assert isinstance(facts.mood, mt.Category)
    assert facts.year.grain == frozenset({Item})
    with pytest.raises(FieldError, match="Facts has no field 'mod'"):
        facts.mod  # pyright: ignore[reportAttributeAccessIssue]


def test_labels_are_several_and_different() -> None:
    for names in ((), ("one",), ("one", "one")):
        with pytest.raises(mt.GraphError, match="two or more different names"):
            mt.labels(*names)


def declared(base: Any, **fields: Any) -> Any:
    annotations = {name: kind for name, kind in fields.items() if isinstance(kind, type)}
    values = {name: value for name, value in fields.items() if not isinstance(value, type)}
    return type("Declared", (base,), {"__annotations__": annotations | values.pop("late", {}), **values})


@pytest.mark.parametrize(
    ("base", "fields", "said"),
    [
        (mt.Entity, {"x": mt.Number}, "has no Key"),
        (mt.Entity, {"x": mt.Key, "y": mt.Key}, "has 2 Keys"),
        (Event, {"x": mt.Number}, "has no Time"),
        (Event, {"x": mt.Time, "y": mt.Time}, "has 2 Times"),
        (mt.Record, {"x": int}, "which is no column type"),
        (mt.Record, {"x": mt.Column}, "which is no column type"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_declaration_that_cannot_mean_anything_is_refused(base: Any, fields: Any, said: str) -> None:
    with pytest.raises(mt.GraphError, match=said):
        declared(base, **fields)


@pytest.mark.parametrize(("text", "seconds"), [("7d", 604800), ("90s", 90), ("2h", 7200), (5, 5)])
def test_lengths_of_time(text: Any, seconds: float) -> None:
    assert seconds_of(text) == seconds
