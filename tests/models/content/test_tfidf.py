from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from motet.batch import Array, Batch
from motet.candidates import retrieve
from motet.column import Key, Text, Time
from motet.data import Data
from motet.errors import GraphError, RunError
from motet.graph import Graph
from motet.models.content.tfidf import TFIDF
from motet.record import Entity, Event, outcome
from tests.models.planted import same, stored, texts

SEA = ["the ship sails the sea", "a sailor and a ship", "storm over the sea", "the sailor in the storm"]
TOWN = [
    "the cook opens a kitchen",
    "a kitchen full of bread",
    "bread and the baker",
    "the cook and the baker",
]


class Film(Entity):
    film_id: Key
    plot: Text


class Search(Event):
    at: Time
    query: Text
    film: Film = outcome()


def batch(*plots: str | None) -> Batch:
    return Batch({"text": texts(*plots)}, rows=len(plots))


def vectors(model: TFIDF, learnt: list[str], *plots: str | None) -> Array:
    return model.apply(stored(model.fit(batch(*learnt), None)), batch(*plots))


def test_texts_of_one_subject_are_near_each_other() -> None:
    found = vectors(TFIDF(dim=3), SEA + TOWN, *SEA, *TOWN)
    near = found @ found.T
    assert near[:4, :4].mean() > near[:4, 4:].mean() + 0.3
    assert near[4:, 4:].mean() > near[:4, 4:].mean() + 0.3


def test_enough_dimensions_lose_nothing() -> None:
    found = vectors(TFIDF(dim=64), SEA, *SEA, "sea ship", "sea")
    assert found.shape == (6, 64)
    assert found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=2e-3)
    assert found[5] @ found[2] > found[5] @ found[1], "a text with the word is nearer than one without"


def test_a_text_without_known_words_is_zero() -> None:
    assert not vectors(TFIDF(dim=4), SEA, "", None, "unheard of", "...").any()


def test_equal_seeds_make_equal_states_and_one_text_alone_the_same_vector() -> None:
    model = TFIDF(dim=3)
    state = model.fit(batch(*SEA, *TOWN), None)
    assert same(state, model.fit(batch(*SEA, *TOWN), None))
    together = model.apply(state, batch(*SEA, *TOWN))
    assert np.array_equal(model.apply(state, batch(TOWN[2])), together[6:7])


def test_no_words_at_all_are_an_error() -> None:
    with pytest.raises(RunError, match="no word in 2 texts"):
        TFIDF().fit(batch("", None), None)


def test_other_texts_share_the_space_of_those_learnt_from() -> None:
    tfidf = TFIDF(dim=8)
    made, asked = tfidf(Film.plot), tfidf(Search.query, learnt_from=Film.plot)
    assert made.node.fits[0].fingerprint == asked.node.fits[0].fingerprint
    assert made.grain == {Film}
    assert asked.grain == {Search}
    assert (made @ asked).grain == {Search, Film}


def test_texts_without_a_common_word_are_far_apart_and_every_batch_has_one_order(tmp_path: Path) -> None:
    """In full dimensions, where most orders would be told by rounding alone; every film is there twice."""
    rng = np.random.default_rng(0)
    plots = [" ".join(f"w{n}" for n in rng.choice(200, 5, replace=False)) for _ in range(60)]
    queries = [" ".join(f"w{n}" for n in rng.choice(200, 2, replace=False)) for _ in range(40)]
    films = [{"film_id": n, "plot": plot} for n, plot in enumerate(plots * 2)]
    data = Data({Film: films, Search: [{"at": n, "query": q, "film": n} for n, q in enumerate(queries)]})
    tfidf = TFIDF(dim=64)
    similar = tfidf(Film.plot) @ tfidf(Search.query, learnt_from=Film.plot)
    found = retrieve(Film, k=120, by=[similar])
    fitted = Graph(found=found).fit(data, store=tmp_path, quiet=True)
    asks = [{"at": 100, "query": query} for query in queries]
    many = fitted.ask_many(asks)
    assert many == [fitted.ask(**ask) for ask in asks]
    for query, answer in zip(queries, many, strict=True):
        for film in answer["found"]:
            common = set(query.split()) & set(plots[film["film_id"] % 60].split())
            assert (abs(film["score"]) > 2e-3) == bool(common)


def test_similarities_do_not_depend_on_the_order_of_adding() -> None:
    found = vectors(TFIDF(dim=5), SEA + TOWN, *SEA, *TOWN)
    exact = found.astype(np.float64) @ found.T.astype(np.float64)
    assert np.array_equal(found @ found.T, exact)
    assert np.array_equal(found[:, ::-1] @ found.T[::-1], exact)
    assert np.diag(exact).max() < 1


def test_no_dimension_is_refused() -> None:
    with pytest.raises(GraphError, match="help:"):
        TFIDF(dim=0)
