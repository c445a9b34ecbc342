"""What a graph is before any data are there."""

import pytest

import motet as mt
from tests.shop import Buyer, Item, Purchase

recent = mt.past(Purchase.amount, by=Purchase.buyer, last=3)
likes = mt.Logistic()(recent.mean(), target=Purchase.stars >= 4)
fame = mt.Popular()(Purchase.item)
found = mt.retrieve(Item, k=5, by=[fame], exclude=mt.past(Purchase.item, by=Purchase.buyer))
score = mt.LightGBM("lambdarank")(found, fame, likes, Item.price, target=Purchase.stars >= 3)


def test_the_event_that_asks_follows_from_the_outputs() -> None:
    assert mt.Graph(likes=likes).event is Purchase
    assert mt.Graph(price=Item.price * 2).event is None


def test_columns_come_before_what_reads_them_and_each_once() -> None:
    graph = mt.Graph(top=score.top(3))
    places = {c.fingerprint: i for i, c in enumerate(graph.columns)}
    assert len(places) == len(graph.columns)
    for column in graph.columns:
        assert all(places[needed.fingerprint] < places[column.fingerprint] for needed in column.node.inputs)


def test_fits_are_in_order_and_each_once() -> None:
    graph = mt.Graph(likes=likes, top=score.top(3))
    assert [str(fit.model) for fit in graph.fits].count("Logistic()") == 1
    assert isinstance(graph.fits[-1].model, mt.LightGBM)
    assert len(graph.fits) == 3


def test_records_are_those_that_are_read_or_referred_to() -> None:
    assert set(mt.Graph(likes=likes).records) == {Purchase, Buyer, Item}
    assert set(mt.Graph(price=Item.price * 2).records) == {Item}


def test_equal_graphs_have_equal_fingerprints() -> None:
    assert mt.Graph(likes=likes).fingerprint == mt.Graph(likes=likes).fingerprint
    assert mt.Graph(likes=likes).fingerprint != mt.Graph(dislikes=likes).fingerprint
    assert mt.Graph(likes=likes).fingerprint != mt.Graph(likes=likes, top=score.top(3)).fingerprint


def test_columns_are_called_as_in_the_file_that_makes_the_graph() -> None:
    graph = mt.Graph(best=score.top(3))
    assert graph.name(fame) == "fame"
    assert graph.name(score) == "score"
    assert graph.name(graph.outputs["best"]) == "best"
    assert graph.name(Item.price) == "Item.price"


def test_graphs_are_parts_of_graphs() -> None:
    small = mt.Graph(likes=likes)
    both = mt.Graph(small, top=score.top(3))
    assert list(both.outputs) == ["likes", "top"]
    with pytest.raises(mt.GraphError, match="two outputs are called 'likes'"):
        mt.Graph(small, likes=likes)


def test_an_output_that_is_not_there_lists_those_that_are() -> None:
    graph = mt.Graph(likes=likes)
    assert graph.output("likes") == likes
    with pytest.raises(mt.GraphError, match="did you mean 'likes'"):
        graph.output("like")


def test_a_graph_is_shown_by_its_outputs() -> None:
    assert repr(mt.Graph(likes=likes)) == "Graph(likes: Number @ {Purchase})"


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({}, "without outputs"),
        ({"stars": Purchase.stars}, "is an outcome of Purchase"),
        ({"wrong": 7}, "not a column"),
    ],
)
def test_outputs_that_mean_nothing_are_refused(outputs: dict[str, object], said: str) -> None:
    with pytest.raises(mt.GraphError, match=said):
        mt.Graph(**outputs)
