from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from motet.batch import Array, Batch
from motet.column import Key, Text, Time
from motet.errors import GraphError
from motet.model import NOTHING
from motet.models.content.bm25 import BM25, Indexed, Matches
from motet.models.content.words import words
from motet.record import Entity, Event, outcome
from tests.models.planted import texts

PLOTS = [
    "a ship lost at sea",
    "a ship, a ship and another ship of the fleet",
    "love in Paris",
    None,
    "",
    "海の上の船",
]


class Film(Entity):
    film_id: Key
    plot: Text


class Search(Event):
    at: Time
    query: Text
    film: Film = outcome()


def matches(plots: list[str | None], *queries: str | None, model: BM25 | None = None) -> Matches:
    model = model or BM25()
    index = Indexed(model.k1, model.b).apply(NOTHING, Batch({"documents": texts(*plots)}, rows=1))
    given: dict[str, Any] = {
        "index": index,
        "query": texts(*queries),
        "items": texts(*map(str, range(len(plots)))),
    }
    return model.apply(NOTHING, Batch(given, rows=len(queries)))


def scores(plots: list[str | None], query: str | None) -> Array:
    return matches(plots, query).dense(slice(0, 1))[0]


def test_it_finds_the_words_of_a_query() -> None:
    found = scores(PLOTS, "Sea ship")
    assert np.nanargmax(found) == 0
    assert np.isnan(found[[2, 3, 4, 5]]).all(), "what matches no word has no score"
    assert scores(PLOTS, "船")[5] != scores(PLOTS, "船")[5], "one character alone is no pair"
    assert np.nanargmax(scores(PLOTS, "海の船")) == 5


@pytest.mark.parametrize("query", [None, "", "...", "unheard"])
def test_a_query_without_known_words_says_nothing(query: str | None) -> None:
    assert np.isnan(scores(PLOTS, query)).all()


@pytest.mark.parametrize("plots", [[], ["", None], ["..."]])
def test_texts_without_words_match_nothing(plots: list[str | None]) -> None:
    assert np.isnan(scores(plots, "ship")).all()


def test_the_score_is_that_of_the_formula() -> None:
    documents = [words(plot or "") for plot in PLOTS]
    n, average = len(documents), np.mean([len(d) for d in documents])
    having = sum("ship" in d for d in documents)
    idf = np.log(1 + (n - having + 0.5) / (having + 0.5))
    found = scores(PLOTS, "ship")
    for i in (0, 1):
        tf = documents[i].count("ship")
        expected = idf * tf / (tf + 1.2 * (1 - 0.75 + 0.75 * len(documents[i]) / average))
        assert found[i] == pytest.approx(expected, rel=1e-5)


def test_pairs_agree_with_the_whole() -> None:
    made = matches(PLOTS, "ship", None, "sea love")
    requests, items = np.array([2, 0, 1, 2, 0]), np.array([0, 1, 1, 2, 3])
    whole = made.dense(slice(0, 3))
    assert np.array_equal(made.at(requests, items), whole[requests, items], equal_nan=True)
    assert np.array_equal(made.dense(slice(2, 3)), whole[2:], equal_nan=True)


def test_an_index_can_go_to_another_process() -> None:
    index = Indexed(1.2, 0.75).apply(NOTHING, Batch({"documents": texts(*PLOTS)}, rows=1))
    again = pickle.loads(pickle.dumps(index))
    assert np.array_equal(again.get_scores(["ship"]), index.get_scores(["ship"]))


def test_the_call_gives_a_number_per_request_and_item_and_indexes_once() -> None:
    made = BM25()(Film.plot + "!", Search.query)
    assert made.grain == {Search, Film}
    index = next(c for c in made.node.inputs if not c.grain)
    assert not made.node.fits
    assert index.node.inputs[0].grain == {Film}


def test_what_cannot_be_searched_is_refused() -> None:
    for build in (
        lambda: BM25()(Search.query, Film.plot),
        lambda: BM25()(Film.plot, Film.plot),
        lambda: BM25(b=2),
        lambda: BM25(k1=-1),
    ):
        with pytest.raises(GraphError, match="help:"):
            build()


def test_no_pairs_have_no_scores() -> None:
    nothing = np.zeros(0, np.int64)
    assert Matches(None, [["tea"]], 3).at(nothing, nothing).tolist() == []
