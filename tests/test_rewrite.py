"""Other nodes in the places of some: what reads them is new, the rest is what it was."""

import motet as mt
from motet.places import places
from tests.shop import Item, Purchase

fame = mt.Popular()(Purchase.item)
seen = mt.past(Purchase.item, by=Purchase.buyer, last=2)
spent = mt.past(Purchase.amount, by=Purchase.buyer).mean().otherwise(None)
found = mt.retrieve(Item, k=5, by=[fame], exclude=seen)
score = mt.LightGBM("lambdarank", trees=5)(found, fame, Item.price, spent, target=Purchase.stars >= 4).otherwise(found)
graph = mt.Graph(top=score.top(3), likes=mt.Logistic()(Purchase.amount, spent, target=Purchase.stars >= 4))


def place(name: str):
    return next(place for place in places(graph) if place.name == name)


def without(name: str):
    there = place(name)
    assert there.instead is not None
    return graph.rewritten({there.at.fingerprint: there.instead.node})


def test_what_does_not_read_it_is_the_same_node() -> None:
    other = without("score")
    assert other.outputs["likes"] is graph.outputs["likes"]
    assert other.outputs["top"] != graph.outputs["top"]


def test_what_reads_it_reads_the_other_and_what_it_read_is_gone() -> None:
    other = without("score")
    assert other.outputs["top"] == found.top(3)
    assert [str(fit.model) for fit in other.fits] == ["Popular()", "Logistic()"]
    assert isinstance(other.outputs["top"], mt.Candidates)


def test_models_above_are_fitted_anew_and_keep_their_names() -> None:
    other = without("spent")
    assert {fit.fingerprint for fit in other.fits}.isdisjoint(
        fit.fingerprint for fit in graph.fits if str(fit.model) != "Popular()"
    )
    assert other.name(other.outputs["likes"]) == "likes"
    assert {other.name(column) for column in other.columns} >= {"found", "fame", "score"}


def test_without_a_swap_it_is_the_same_graph() -> None:
    assert graph.rewritten({}).fingerprint == graph.fingerprint
