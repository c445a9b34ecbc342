"""What may be posted as events, and what is said of what may not."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

import pyarrow as pa
import pytest

import motet as mt
from motet.batch import Vocabulary
from motet.serve.events import AHEAD, MOST, NAMED, checked, read
from motet.serve.problems import Refused
from tests.shop import Buyer, Item, Purchase

NOW = 2_000_000_000.0
ENTITIES: Any = {
    Item: Vocabulary(pa.array(range(12))),
    Buyer: Vocabulary(pa.array(["b0", "b1"], pa.large_string())),
}


class Premiere(mt.Event):
    id: mt.Category
    buyer: Buyer
    at: mt.Time


class Visit(mt.Event):
    buyer: Buyer
    item: Item
    at: mt.Time
    price: mt.Number
    liked: mt.Flag = mt.outcome()
    place: mt.Category = mt.outcome()
    topics: mt.Tags = mt.outcome()
    look: mt.Vector = mt.outcome()


ONE: Any = {"Purchase": Purchase}
TWO: Any = {"Purchase": Purchase, "Premiere": Premiere}
VISITS: Any = {"Visit": Visit}
GOOD = {"buyer": "b1", "amount": 3}


def kept(events: list[Any], kinds: Any = ONE) -> list[Any]:
    return checked(events, kinds, ENTITIES, NOW)


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b'{"a": 1}', [{"a": 1}]),
        (b'{\n  "a": 1\n}\n', [{"a": 1}]),
        (b'[{"a": 1}, {"b": 2}]', [{"a": 1}, {"b": 2}]),
        (b'{"a": 1}\n{"b": 2}', [{"a": 1}, {"b": 2}]),
        (b'\n{"a": 1}\r\n\r\n{"b": 2}\r\n', [{"a": 1}, {"b": 2}]),
    ],
)
def test_one_event_or_many_in_an_array_or_one_a_line(body: bytes, events: list[Any]) -> None:
    assert read(body) == events


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "no JSON"),
        (b"[]", 422, "no event"),
        (b'{"a": 1}\n{"b": ', 400, "line 2"),
        (json.dumps([GOOD] * (MOST + 1)).encode(), 413, "1,001 events"),
        (b'{"a": 1}\n' * (MOST + 1), 413, "1,001 events"),
    ],
)
def test_a_body_that_holds_none_or_too_many_is_refused(body: bytes, status: int, says: str) -> None:
    with pytest.raises(Refused, match=says) as raised:
        read(body)
    assert raised.value.status == status
    assert raised.value.help


def test_an_event_is_kept_with_its_time_and_an_id() -> None:
    (event,) = kept([GOOD])
    assert json.loads(event.fields) == {**GOOD, "at": NOW}
    assert event.type == "Purchase"
    assert len(event.id) > 20
    (event,) = kept([{**GOOD, "id": "mine", "type": "Purchase", "at": "2001-02-03", "item": 4, "stars": 2.5}])
    assert event.id == "mine"
    assert json.loads(event.fields) == {**GOOD, "at": "2001-02-03", "item": 4, "stars": 2.5}


def test_the_same_event_again_is_the_same_although_its_time_was_the_servers() -> None:
    (first,) = checked([GOOD], ONE, ENTITIES, NOW)
    (again,) = checked([dict(reversed(GOOD.items()))], ONE, ENTITIES, NOW + 60)
    (other,) = checked([{**GOOD, "amount": 4}], ONE, ENTITIES, NOW)
    assert first.digest == again.digest != other.digest


SEEN: dict[str, Any] = {"buyer": "b1", "item": 3, "at": 981173106, "price": 5}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"price": 5.0}, {"price": "5"}),
        ({"at": 981173106.0}, {"at": "2001-02-03T04:05:06Z"}),
        ({"at": 981173106.5}, {"at": "2001-02-03 04:05:06.500"}),
        ({"item": 3.0}, {"item": "3"}),
        ({"item": 99.0}, {"item": "99"}),
        ({"liked": True}, {"liked": 1}),
        ({"liked": "true"}, {"liked": 1.0}),
        ({"place": 7}, {"place": "7"}),
        ({"topics": ["a", "b"]}, {"topics": "a|b"}),
        ({"look": [1, 0.5]}, {"look": [1.0, 0.5]}),
        ({"liked": None}, {}),
    ],
)
def test_the_same_event_written_otherwise_is_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    digests = [kept([{**SEEN, **given}], VISITS)[0].digest for given in (one, other)]
    assert digests[0] == digests[1]
    assert kept([{**SEEN, "price": 6}, {**SEEN, **one}], VISITS)[1].digest == digests[0]


@pytest.mark.parametrize(
    "other",
    [
        *({"price": 5.1}, {"price": 2**53 + 2}, {"at": 981173106.000001}, {"buyer": "new"}, {"buyer": "newer"}),
        *({"item": 98}, {"item": 99}, {"liked": 0}, {"place": "a"}, {"place": ""}, {"topics": ["b", "a"]}),
        *({"topics": []}, {"look": [1, 0.25]}),
    ],
)
def test_another_event_is_another_one(other: dict[str, Any]) -> None:
    others = [{}, {"item": 100}, {"buyer": "none"}, {"topics": ["a", "b"]}, {"look": [1, 0.5]}, {"price": 2**53}]
    known = {kept([{**SEEN, **given}], VISITS)[0].digest for given in others}
    assert kept([{**SEEN, **other}], VISITS)[0].digest not in known
    assert len(known) == len(others)


def test_an_event_as_it_was_kept_by_servers_before_is_known_again() -> None:
    """Its digest was that of the JSON that was posted."""
    (event,) = kept([{**GOOD, "at": 981173106.25, "item": 4, "stars": 2.5, "search": "tea"}])
    written = '["Purchase",{"amount":3,"at":981173106.25,"buyer":"b1","item":4,"search":"tea","stars":2.5}]'
    assert event.digest == blake2b(written.encode(), digest_size=16).hexdigest()


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (7, "is no object"),
        ({"buyer": "b1"}, "Purchase.amount is not given"),
        ({**GOOD, "colour": 1}, "no field 'colour'"),
        ({**GOOD, "amount": "much"}, "not a number"),
        ({**GOOD, "buyer": ["b1"]}, "Purchase.buyer"),
        ({**GOOD, "item": "tea"}, "Purchase.item"),
        ({**GOOD, "type": "Visit"}, "'Visit' is no type of event"),
        ({**GOOD, "type": ["Purchase"]}, "no type of event"),
        ({**GOOD, "id": ""}, "'' is no id"),
        ({**GOOD, "id": 7}, "7 is no id"),
        ({**GOOD, "id": "a\nb"}, "is no id"),
        ({**GOOD, "id": "x" * 201}, "is no id"),
        ({**GOOD, "id": None}, "None is no id"),
        ({**GOOD, "at": NOW + AHEAD + 60}, "86,460 s from now"),
        ({**GOOD, "at": 1e13}, "outside the years"),
        ({**GOOD, "at": "soon"}, "not a time"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_none_is_kept(event: Any, says: str) -> None:
    with pytest.raises(mt.DataError) as alone:
        kept([event])
    assert says in alone.value.what
    assert alone.value.help
    with pytest.raises(mt.DataError) as among:
        kept([GOOD, event, {**GOOD, "at": "2001-02-03"}])
    assert f"event 1: {alone.value.what}" in among.value.what
    assert "event 0" not in among.value.what
    assert "event 2" not in among.value.what


def test_past_times_and_a_clock_that_is_ahead_are_fine() -> None:
    assert len(kept([{**GOOD, "at": at} for at in (0, -5.5, 1, NOW + AHEAD - 1, "1970-01-01T00:00:00Z", None)])) == 6


def test_so_many_wrong_ones_are_not_all_looked_at() -> None:
    with pytest.raises(mt.DataError) as raised:
        kept([{"buyer": "b1"}] * MOST)
    assert raised.value.what.count("Purchase.amount is not given") == NAMED
    assert "later ones were not looked at" in raised.value.what


def test_where_there_are_several_kinds_the_type_says_which() -> None:
    with pytest.raises(mt.DataError, match="its type is not given") as raised:
        kept([GOOD], TWO)
    assert "Premiere, Purchase" in raised.value.help
    assert [event.type for event in kept([{**GOOD, "type": "Purchase"}], TWO)] == ["Purchase"]


def test_a_record_with_a_field_called_id_has_its_fields_one_level_down() -> None:
    (event,) = kept([{"id": "e1", "type": "Premiere", "fields": {"id": "gala", "buyer": "b0"}}], TWO)
    assert (event.id, json.loads(event.fields)["id"]) == ("e1", "gala")
    for wrong in (
        {"id": "gala", "buyer": "b0"},
        {"fields": {"id": "gala", "buyer": "b0"}, "buyer": "b0"},
        {"fields": 7},
    ):
        with pytest.raises(mt.DataError, match="one level down") as raised:
            kept([{**wrong, "type": "Premiere"}], TWO)
        assert '"fields"' in raised.value.help
