"""Of several columns for one place the one is chosen that is worth most after what it costs."""

from pathlib import Path

import pytest

import motet as mt
from tests.shop import Buyer, Item, Purchase, shop
from tests.tickets import Ticket, expert, guess, tickets

fame = mt.Popular()(Purchase.item)
seen = mt.past(Purchase.item, by=Purchase.buyer, last=1)
taste = mt.EASE()(seen, Item)
popular = mt.retrieve(Item, k=5, by=[fame], exclude=seen)
personal = mt.retrieve(Item, k=5, by=[taste], exclude=seen)
either = mt.Graph(top=mt.choose(popular, personal).top(3))
train, test = shop(events=1_200).split(last=5, by=Purchase.buyer)


class Other(mt.Event):
    at: mt.Time
    words: mt.Text
    topic: mt.Category = mt.outcome()
    kind: mt.Category = mt.outcome()


def choose(folder: Path, worth: mt.Worth, prices: mt.Prices):
    return either.choose(train, test, worth, prices, store=folder, quiet=True)


def test_the_best_is_chosen_and_its_graph_is_the_one_without_a_choice(tmp_path: Path) -> None:
    found = choose(tmp_path, mt.Worth(hit=1.0), mt.Prices())
    plain = mt.Graph(top=personal.top(3))
    assert found.chosen == "personal"
    assert found.graph.fingerprint == plain.fingerprint
    fitted = found.graph.fit(train, store=tmp_path, quiet=True)
    quality = next(row.quality for row in found.rows if row.name == "personal")
    assert fitted.evaluate(test).figure("top", "NDCG@3") == quality


def test_how_far_the_others_are_behind_is_told_pair_by_pair(tmp_path: Path) -> None:
    found = choose(tmp_path, mt.Worth(hit=1.0), mt.Prices())
    best, other = (next(row for row in found.rows if row.name == name) for name in ("personal", "popular"))
    assert best.behind is None
    assert other.behind is not None
    assert other.behind.value == pytest.approx((best.net.value or 0) - (other.net.value or 0))
    assert other.behind.sure
    assert "do not tell" not in str(found)


def test_what_the_requests_do_not_tell_apart_is_said(tmp_path: Path) -> None:
    same = mt.retrieve(Item, k=5, by=[mt.EASE(l2=251.0)(seen, Item)], exclude=seen)
    graph = mt.Graph(top=mt.choose(personal, same).top(3))
    found = graph.choose(train, test, mt.Worth(hit=1.0), store=tmp_path, quiet=True)
    assert "these requests do not tell" in str(found)


def test_what_is_measured_is_an_output_that_reads_the_place(tmp_path: Path) -> None:
    data = tickets(300)
    alone = mt.Graph(topic=mt.choose(guess.label, expert))
    beside = mt.Graph(other=guess.label, topic=mt.choose(guess.label, expert))
    for graph in (alone, beside):
        found = graph.choose(data, data, mt.Worth(correct=1.0), store=tmp_path, quiet=True)
        assert found.chosen == "expert"
        assert [row.quality.value for row in found.rows if row.name == "expert"] == [1.0]
    with pytest.raises(mt.DataError, match=r"no output of those that read the place \(topic\)"):
        beside.choose(data, data, mt.Worth(hit=1.0), store=tmp_path, quiet=True)


def test_what_predicts_another_outcome_takes_no_part() -> None:
    topic = mt.Classify()(Other.words, target=Other.topic).label
    other = mt.Classify()(Other.words, target=Other.kind).label
    for join in (lambda: mt.choose(topic, other), lambda: topic.escalate(other, budget=0.1)):
        with pytest.raises(mt.GraphError, match=r"topic predicts Other.topic, and other predicts Other.kind"):
            join()


def test_requests_of_which_nobody_knows_the_outcome_choose_nothing(tmp_path: Path) -> None:
    unknown = mt.Data({Ticket: [{"at": i, "amount": 0.5, "side": 1.0, "topic": None} for i in range(9)]})
    desk = mt.Graph(topic=mt.choose(guess.label, expert))
    with pytest.raises(mt.DataError, match="no request has a known outcome"):
        desk.choose(tickets(300), unknown, mt.Worth(correct=1.0), store=tmp_path, quiet=True)


def test_options_of_one_name_are_told_apart_and_the_best_is_kept_whichever_comes_first(tmp_path: Path) -> None:
    """Two escalations that nobody has named are labelled alike."""
    little, much = (guess.label.escalate(expert, budget=budget) for budget in (0.01, 0.6))
    data = tickets(600)
    for options in ((little, much), (much, little)):
        graph = mt.Graph(topic=mt.choose(*options))
        found = graph.choose(data, data, mt.Worth(correct=1.0, wrong=-1.0), store=tmp_path, quiet=True)
        assert len({row.name for row in found.rows}) == 2
        best = max(found.rows, key=lambda row: row.quality.value or 0)
        assert found.chosen == best.name
        assert (best.quality.value or 0) > 0.9
        kept = found.graph.fit(data, store=tmp_path, quiet=True).evaluate(data)
        assert kept.figure("topic", "accuracy") == best.quality


def test_none_lives_on_what_another_has_embedded(tmp_path: Path) -> None:
    asks = [
        {"buyer": "b1", "at": i, "search": f"tea number {i}", "amount": 1.0, "item": 1, "stars": 5.0} for i in range(40)
    ]
    data = mt.Data(
        {
            Item: [{"item_id": 1, "name": "tea", "price": 1.0, "kind": "tea"}],
            Buyer: [{"buyer_id": "b1", "age": 20.0}],
            Purchase: asks,
        }
    )
    meaning = mt.Embed("minilm-l6")(Purchase.search)
    ways = [
        mt.retrieve(Item, k=1, by=[mt.Embed("minilm-l6")(Item.name) @ meaning, other]) for other in (fame, Item.price)
    ]
    found = mt.Graph(top=mt.choose(*ways)).choose(data, data, mt.Worth(hit=1.0), store=tmp_path, quiet=True)
    one, other = (row.milliseconds for row in found.rows)
    assert other > one / 5


def test_where_it_costs_more_than_it_brings_the_cheaper_one_stays(tmp_path: Path) -> None:
    found = choose(tmp_path, mt.Worth(hit=1e-9), mt.Prices(cpu_hour=1e6))
    cost = {row.name: row.bill.total for row in found.rows}
    assert found.chosen == min(cost, key=lambda name: cost[name])
    assert found.chosen in str(found)
    assert found.to_dict()["chosen"] == found.chosen


def test_nothing_is_fitted_or_answered_before_it_is_chosen(tmp_path: Path) -> None:
    for graph in (either, mt.Graph(taste=mt.choose(taste, fame).otherwise(None))):
        with pytest.raises(mt.GraphError, match="nothing is chosen yet") as refused:
            graph.fit(train, store=tmp_path, quiet=True)
        assert "graph.choose" in str(refused.value)


def test_what_cannot_take_one_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(mt.GraphError, match="nothing to choose"):
        mt.choose(popular)
    with pytest.raises(mt.GraphError, match="cannot fall back"):
        mt.choose(fame, Item.name)  # pyright: ignore[reportArgumentType]
    with pytest.raises(mt.GraphError, match="0 places"):
        mt.Graph(top=popular).choose(train, test, mt.Worth(hit=1.0), store=tmp_path)
