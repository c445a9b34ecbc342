"""EASE, ItemKNN and ALS: what every scorer of histories must do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import motet.models.behavior.interactions as interactions
from motet.batch import Array, Batch, Codes, Factors, Ragged, Scores
from motet.column import Key, Number, Text, Time
from motet.errors import GraphError, RunError
from motet.model import Model, State
from motet.models.behavior.als import ALS, Folded, ItemVectors
from motet.models.behavior.ease import EASE
from motet.models.behavior.item_knn import ItemKNN
from motet.models.behavior.linear import Places
from motet.past import past
from motet.record import Entity, Event, outcome
from tests.models.planted import FILMS, best_are_of, histories, names, same, stored, two_camps


class Film(Entity):
    film_id: Key
    title: Text


class Viewer(Entity):
    viewer_id: Key


class Visit(Event):
    viewer: Viewer
    at: Time
    film: Film = outcome()
    rating: Number = outcome()


MODELS = [EASE(l2=10), ItemKNN(k=20), ALS(dim=2), ALS(dim=2, weight=5)]
FILMS_NOW = names("film", FILMS)


def scores(model: Any, state: State, history: Ragged, films: Any = FILMS_NOW) -> Scores:
    """What the columns of the model's call compute, one after the other."""
    n, m = len(history), len(films)
    table = Batch({"items": films.names}, rows=m)
    if isinstance(model, EASE | ItemKNN):
        return model.apply(state, Batch({"history": history, "items": Places().apply(state, table)}, rows=n))
    vectors = ItemVectors().apply(state, table)
    asked = Folded(model.l2, model.weight).apply(state, Batch({"history": history, "items": vectors}, rows=n))
    return Factors(asked, vectors)


def dense(*args: Any) -> Array:
    made = scores(*args)
    return made.dense(slice(0, made.shape[0]))


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_it_finds_who_likes_what(model: Model) -> None:
    state = stored(model.fit(*two_camps()))
    found = dense(model, state, histories([0, 2, 4], [1, 3, 5], films=FILMS_NOW))
    assert best_are_of(0, found[0], seen=[0, 2, 4])
    assert best_are_of(1, found[1], seen=[1, 3, 5])


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_equal_seeds_make_equal_states(model: Model) -> None:
    assert same(model.fit(*two_camps()), model.fit(*two_camps()))


def test_the_seed_counts() -> None:
    batch, target = two_camps()
    assert not same(ALS().fit(batch, target), ALS().fit(replace(batch, seed=1), target))


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_an_empty_history_says_nothing(model: Model) -> None:
    found = dense(model, model.fit(*two_camps()), histories([], films=FILMS_NOW))
    assert (np.isnan(found) | (found == 0)).all()


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_films_are_known_by_key_whatever_their_row(model: Model) -> None:
    state = model.fit(*two_camps())
    before = dense(model, state, histories([0, 2], films=FILMS_NOW))
    turned = names("film", FILMS)
    turned.names = turned.names.take(np.arange(FILMS)[::-1])
    after = dense(model, state, histories([FILMS - 1, FILMS - 3], films=turned), turned)
    assert np.allclose(before, after[:, ::-1], equal_nan=True, atol=1e-6)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_new_film_is_neither_scored_nor_read(model: Model) -> None:
    state = model.fit(*two_camps())
    films = names("film", FILMS + 1)
    beyond = FILMS + 3  # an event may name a film that the table does not have yet
    found = dense(model, state, histories([0, 2], [0, FILMS, -1, beyond, 2, 2], films=films), films)
    assert (np.isnan(found[:, FILMS]) | (found[:, FILMS] == 0)).all()
    assert np.array_equal(found[0], found[1], equal_nan=True)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_pairs_and_blocks_agree_with_the_whole(model: Model) -> None:
    rows = [[i % FILMS, (i + 2) % FILMS] for i in range(300)]
    made = scores(model, model.fit(*two_camps()), histories(*rows, films=FILMS_NOW))
    whole = made.dense(slice(0, 300))
    draw = np.random.default_rng(0)
    requests, items = draw.integers(0, 300, 500), draw.integers(0, FILMS, 500)
    assert np.allclose(made.at(requests, items), whole[requests, items], equal_nan=True, atol=1e-6)
    assert np.array_equal(made.dense(slice(290, 300)), whole[290:], equal_nan=True)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_one_request_alone_is_scored_as_among_others(model: Model) -> None:
    state = model.fit(*two_camps())
    together = dense(model, state, histories([1], [0, 2, 6], [3, 5], films=FILMS_NOW))
    assert np.allclose(dense(model, state, histories([0, 2, 6], films=FILMS_NOW))[0], together[1], atol=1e-6)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_nothing_to_learn_from_is_said(model: Model) -> None:
    batch, target = two_camps()
    with pytest.raises(RunError, match="nothing to learn from"):
        model.fit(
            Batch({**batch.columns, "who": Codes(np.full(batch.rows, -1, np.int32), names("v", 1))}, batch.rows),
            target,
        )


def test_a_fold_in_solves_the_least_squares_of_the_fit() -> None:
    batch, target = two_camps()
    model = ALS(dim=6, weight=4, l2=0.5)
    state = model.fit(batch, target)
    history = histories([0, 2, 8], films=FILMS_NOW)
    vectors = ItemVectors().apply(state, Batch({"items": FILMS_NOW.names}, rows=FILMS)).astype(np.float64)
    made = scores(model, state, history)
    confidence = np.ones(FILMS)
    confidence[[0, 2, 8]] = 4
    liked = (confidence > 1).astype(float)
    left = (vectors.T * confidence) @ vectors + 0.5 * np.eye(6)
    assert np.allclose(made.requests[0], np.linalg.solve(left, (vectors.T * confidence) @ liked), atol=1e-5)  # pyright: ignore


def test_ease_is_the_ridge_solution_with_a_zero_diagonal() -> None:
    batch, target = two_camps()
    matrix, keys = interactions.interactions(batch, target)
    weights = EASE(l2=7).fit(batch, target)["weights"].astype(np.float64)
    X = matrix.toarray().astype(np.float64)
    slope = X.T @ X @ weights + 7 * weights - X.T @ X  # of the loss: zero but where the diagonal is held at zero
    assert len(keys) == FILMS
    assert np.abs(slope[~np.eye(len(keys), dtype=bool)]).max() < 1e-3
    assert not np.diag(weights).any()


def test_a_neighbour_is_as_near_as_the_cosine_of_who_took_both_and_only_the_nearest_count() -> None:
    batch, target = two_camps()
    matrix, _ = interactions.interactions(batch, target)
    X = matrix.toarray().astype(np.float64)
    taken = np.sqrt(X.sum(axis=0))
    cosine = X.T @ X / (np.outer(taken, taken) + 3)
    np.fill_diagonal(cosine, 0)
    every = ItemKNN(k=FILMS, shrinkage=3)
    found = dense(every, every.fit(batch, target), histories([0, 2], films=FILMS_NOW))
    np.testing.assert_allclose(found[0], cosine[0] + cosine[2], atol=1e-6)
    one = ItemKNN(k=1, shrinkage=3)
    nearest = dense(one, one.fit(batch, target), histories(*([i] for i in range(FILMS)), films=FILMS_NOW))
    assert ((nearest > 0).sum(axis=0) == 1).all()
    np.testing.assert_allclose(nearest.max(axis=0), cosine.max(axis=0), atol=1e-6)


def test_the_matrix_holds_what_came_before_and_what_came_next() -> None:
    films, viewers = names("f", 4), names("v", 2)
    past_rows = histories([], [0], [3], films=films)
    who = Codes(np.array([0, 0, 1], np.int32), viewers)
    matrix, keys = interactions.interactions(
        Batch({"history": past_rows, "who": who}, rows=3), Codes(np.array([0, 1, -1], np.int32), films)
    )
    assert keys.to_pylist() == ["f0", "f1", "f3"]
    assert matrix.toarray().tolist() == [[1, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("model", [EASE(), ItemKNN(), ALS()], ids=str)
def test_the_call_gives_a_number_per_request_and_item(model: Any) -> None:
    made = model(past(Visit.film, by=Visit.viewer), Film)
    assert isinstance(made, Number)
    assert made.grain == {Visit, Film}


@pytest.mark.parametrize("model", [EASE(), ItemKNN(), ALS()], ids=str)
def test_a_history_of_something_else_is_refused(model: Any) -> None:
    with pytest.raises(GraphError, match=r"reads a history of Film.*(?s:.)*help: .*mt\.past"):
        model(past(Visit.rating, by=Visit.viewer), Film)
    with pytest.raises(GraphError, match="reads a history of Viewer"):
        model(past(Visit.film, by=Visit.viewer), Viewer)


def test_settings_that_mean_nothing_are_refused() -> None:
    for wrong in (lambda: EASE(l2=0), lambda: ALS(dim=0), lambda: ALS(l2=-1), lambda: ALS(rounds=0)):
        with pytest.raises(GraphError, match="help:"):
            wrong()
    for wrong in (lambda: ItemKNN(k=0), lambda: ItemKNN(shrinkage=-1)):
        with pytest.raises(GraphError, match="help:"):
            wrong()
    with pytest.raises(TypeError):
        ALS(factors=3)  # pyright: ignore
