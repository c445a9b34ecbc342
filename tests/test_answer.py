"""What is answered to an event that is arriving now."""

from pathlib import Path

import pytest

import motet as mt
from tests.shop import Buyer, Item, Purchase, asked, shop, stored

bought = mt.past(Purchase.item, by=Purchase.buyer, last=3)
spent = mt.past(Purchase.amount, by=Purchase.buyer)
fame = mt.Popular()(Purchase.item)
top = mt.retrieve(Item, k=4, by=[fame], exclude=bought)
graph = mt.Graph(
    top=top,
    times=spent.count(),
    spent=spent.sum(),
    mean=spent.mean(),
    age=Purchase.buyer.age * 1,
    said=Purchase.search + "!",
    bought=bought,
)
NOW = 9_000_000  # seconds; later than anything in the shop


@pytest.fixture
def fitted(tmp_path: Path) -> mt.Fitted:
    return graph.fit(shop(), store=tmp_path, quiet=True)


def test_an_answer_has_every_output_as_plain_values(fitted: mt.Fitted) -> None:
    answer = fitted.ask(buyer="b1", at=NOW, amount=3.0, search="tea")
    assert list(answer) == list(graph.outputs)
    assert answer["said"] == "tea!"
    assert answer["age"] == 21
    assert [set(item) for item in answer["top"]] == [{"item_id", "name", "score"}] * 4
    scores = [item["score"] for item in answer["top"]]
    assert scores == sorted(scores, reverse=True)
    assert not {item["item_id"] for item in answer["top"]} & set(answer["bought"])


def test_an_ask_is_answered_as_the_same_event_is_offline(fitted: mt.Fitted) -> None:
    data = fitted.data
    rows = range(0, 400, 37)
    asks = [
        {
            "buyer": f"b{stored(data, Purchase, 'buyer').codes[i]}",
            "at": stored(data, Purchase, "at")[i] / 1e6,
            "amount": stored(data, Purchase, "amount")[i],
        }
        for i in rows
    ]
    codes = stored(data, Purchase, "buyer")
    names = codes.names.tolist()
    for ask, i in zip(asks, rows, strict=True):
        ask["buyer"] = names[codes.codes[i]]
    online = [answer["spent"] for answer in fitted.ask_many(asks)]
    offline = asked(spent.sum(), data)
    assert online == [offline[i] for i in rows]
    assert len(set(online)) > 3


def test_a_default_need_not_be_given(fitted: mt.Fitted) -> None:
    assert fitted.ask(buyer="b1", at=NOW, amount=3.0)["said"] == "!"


def test_an_unknown_viewer_has_no_past_and_is_answered(fitted: mt.Fitted) -> None:
    answer = fitted.ask(buyer="nobody knows me", at=NOW, amount=3.0)
    assert (answer["times"], answer["spent"], answer["mean"]) == (0, 0, None)
    assert answer["age"] is None
    assert answer["bought"] == []
    assert len(answer["top"]) == 4


def test_without_a_time_it_is_now(fitted: mt.Fitted) -> None:
    now = fitted.ask(buyer="b1", at=NOW, amount=3.0)
    assert fitted.ask(buyer="b1", amount=3.0) == now
    assert fitted.ask(buyer="b1", at=None, amount=3.0) == now


def test_an_earlier_ask_sees_less(fitted: mt.Fitted) -> None:
    assert fitted.ask(buyer="b1", at=1, amount=3.0)["times"] == 0


def test_asks_of_one_batch_are_answered_as_each_alone(fitted: mt.Fitted) -> None:
    asks = [{"buyer": f"b{n}", "at": NOW, "amount": float(n), "search": "x" * n} for n in range(1, 6)]
    assert fitted.ask_many(asks) == [fitted.ask(**ask) for ask in asks]


def test_a_field_that_does_not_exist_is_an_error_with_those_that_do(fitted: mt.Fitted) -> None:
    with pytest.raises(mt.DataError, match="Purchase has no field 'amuont'") as raised:
        fitted.ask(buyer="b1", at=NOW, amuont=3.0)
    assert "did you mean 'amount'" in str(raised.value)


def test_a_field_that_is_missing_is_an_error(fitted: mt.Fitted) -> None:
    with pytest.raises(mt.DataError, match="amount"):
        fitted.ask(buyer="b1", at=NOW)


def test_a_value_of_another_type_is_an_error(fitted: mt.Fitted) -> None:
    with pytest.raises(mt.DataError, match=r"Purchase\.amount"):
        fitted.ask(buyer="b1", at=NOW, amount="a lot")


@pytest.mark.parametrize("key", [["b1"], ("b1",), {"id": "b1"}, {}, True, b"b1"])
def test_what_can_be_no_key_is_an_error_alone_and_among_others(fitted: mt.Fitted, key: object) -> None:
    ask = {"at": NOW, "amount": 3.0}
    with pytest.raises(mt.DataError, match=r"Purchase\.buyer needs keys of Buyer \(20 texts\), and is"):
        fitted.ask(buyer=key, **ask)
    with pytest.raises(mt.DataError, match=r"Purchase\.buyer needs keys of Buyer \(20 texts\).*row 1"):
        fitted.ask_many([{"buyer": "b1", **ask}, {"buyer": key, **ask}])


def test_an_outcome_cannot_be_asked_with(fitted: mt.Fitted) -> None:
    with pytest.raises(mt.DataError, match=r"Purchase\.stars is an outcome: it is not known when asked") as raised:
        fitted.ask(buyer="b1", at=NOW, amount=3.0, stars=4.0)
    assert "ask with: buyer, at, search, amount;" in raised.value.help
    assert fitted.ask(buyer="b1", at=NOW, amount=3.0, stars=None) == fitted.ask(buyer="b1", at=NOW, amount=3.0)


@pytest.mark.parametrize("row", [{"buyer": ["b1"]}, {"buyer": {}}, {"buyer": "b1", "item": "the fifth"}])
def test_what_is_observed_has_keys_of_their_type(fitted: mt.Fitted, row: dict[str, object]) -> None:
    with pytest.raises(mt.DataError, match="keys of"):
        fitted.observe(Purchase, [{"at": NOW, "amount": 7.0, "item": 5, **row}])


def test_new_keys_are_observed_as_their_entity_writes_them(fitted: mt.Fitted) -> None:
    fitted.observe(Purchase, [{"buyer": 77, "at": NOW - 60, "amount": 7.0, "item": "5"}])
    assert fitted.ask(buyer="77", at=NOW, amount=3.0)["bought"] == [5]


def test_what_is_observed_is_seen_by_the_next_ask(fitted: mt.Fitted) -> None:
    ask = {"buyer": "b1", "at": NOW, "amount": 3.0}
    before = fitted.ask(**ask)
    fitted.observe(Purchase, [{"buyer": "b1", "at": NOW - 60, "amount": 7.0, "item": 5, "stars": 4.0}])
    after = fitted.ask(**ask)
    assert after["times"] == before["times"] + 1
    assert after["spent"] == before["spent"] + 7
    assert after["bought"] == [*before["bought"][-2:], 5]
    assert 5 not in {item["item_id"] for item in after["top"]}


def test_what_is_observed_before_the_first_ask_is_seen_too(fitted: mt.Fitted) -> None:
    fitted.observe(Purchase, [{"buyer": "b1", "at": NOW - 60, "amount": 7.0, "item": 5, "stars": 4.0}])
    assert fitted.ask(buyer="b1", at=NOW, amount=3.0)["bought"][-1] == 5


def test_what_is_observed_at_the_same_time_is_not_before(fitted: mt.Fitted) -> None:
    before = fitted.ask(buyer="b1", at=NOW, amount=3.0)
    fitted.observe(Purchase, [{"buyer": "b1", "at": NOW, "amount": 7.0, "item": 5, "stars": 4.0}])
    assert fitted.ask(buyer="b1", at=NOW, amount=3.0) == before


def test_a_new_viewer_has_a_past_from_the_first_observed_event_on(fitted: mt.Fitted) -> None:
    ask = {"buyer": "new", "at": NOW, "amount": 3.0}
    assert fitted.ask(**ask)["times"] == 0
    fitted.observe(Purchase, [{"buyer": "new", "at": NOW - 60, "amount": 7.0, "item": 5, "stars": 4.0}])
    fitted.observe(Purchase, [{"buyer": "new", "at": NOW - 30, "amount": 8.0, "item": 6, "stars": 4.0}])
    assert fitted.ask(**ask)["bought"] == [5, 6]
    assert fitted.ask(**{**ask, "buyer": "newer"})["bought"] == []


def test_an_outcome_that_is_observed_late_is_seen_when_it_arrives(tmp_path: Path) -> None:
    stars = mt.past(Purchase.stars, by=Purchase.buyer)
    fitted = mt.Graph(rated=stars.count()).fit(shop(), store=tmp_path, quiet=True)
    rated = fitted.ask(buyer="b1", at=NOW, amount=1.0)["rated"]
    fitted.observe(Purchase, [{"buyer": "b1", "at": NOW - 60, "amount": 7.0, "item": 5, "stars": 4.0}])
    assert fitted.ask(buyer="b1", at=NOW, amount=1.0)["rated"] == rated
    assert fitted.ask(buyer="b1", at=NOW + 3600, amount=1.0)["rated"] == rated + 1


def test_an_event_of_other_data_cannot_be_observed(fitted: mt.Fitted) -> None:
    class Click(mt.Event):
        buyer: Buyer
        at: mt.Time

    with pytest.raises(mt.DataError, match="Click is no event of these data"):
        fitted.observe(Click, [{"buyer": "b1", "at": NOW}])


def test_a_graph_without_an_event_cannot_be_asked(tmp_path: Path) -> None:
    fitted = mt.Graph(price=Item.price * 1).fit(shop(), store=tmp_path, quiet=True)
    with pytest.raises(mt.GraphError, match="asked by no event"):
        fitted.ask()


def test_an_output_of_an_entity_is_that_of_the_one_that_asks(tmp_path: Path) -> None:
    mixed = mt.Graph(age=Buyer.age, amount=Purchase.amount, price=Item.price, fame=fame)
    fitted = mixed.fit(shop(), store=tmp_path, quiet=True)
    answers = fitted.ask_many([{"buyer": buyer, "amount": 1, "at": NOW} for buyer in ("b7", "b3", "nobody")])
    assert [answer["age"] for answer in answers] == [27, 23, None]
    # Which item it is nobody knows yet: its columns are prepared, and no answer.
    assert all(answer.keys() == {"age", "amount"} for answer in answers)
