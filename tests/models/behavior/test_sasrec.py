"""SASRec on the graph: its columns, its state, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from motet.batch import Array, Batch, Ragged
from motet.column import Key, Number, Text, Time
from motet.errors import GraphError
from motet.model import State
from motet.models.behavior.sasrec import SASRec
from motet.models.behavior.sequence import ItemTower, UserTower
from motet.past import past
from motet.record import Entity, Event, outcome
from tests.models.planted import FILMS, best_are_of, histories, names, same, stored, two_camps

QUICK = SASRec(dim=16, blocks=1, length=8, epochs=12, patience=12)
FILMS_NOW = names("film", FILMS)


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


def scores(model: SASRec, state: State, history: Ragged, films: Any = FILMS_NOW, **told: Any) -> Array:
    """What the columns of the model's call compute, one after the other."""
    vectors = ItemTower().apply(state, Batch({"items": films.names, **told}, rows=len(films)))
    asked = Batch({"history": history, "items": vectors}, rows=len(history))
    return UserTower(model.length).apply(state, asked) @ vectors.T


def content_of_camps() -> Array:
    return (np.eye(2, 4, dtype=np.float32)[np.arange(FILMS) % 2] + 0.05).astype(np.float32)


@pytest.mark.parametrize("content", [None, content_of_camps()], ids=["without content", "with content"])
def test_it_finds_who_likes_what_and_its_state_can_be_kept(content: Any) -> None:
    batch, target = two_camps()
    told = {} if content is None else {"content": content}
    state = stored(QUICK.fit(replace(batch, columns={**batch.columns, **told}), target))
    found = scores(QUICK, state, histories([0, 2, 4], [1, 3, 5], films=FILMS_NOW), **told)
    assert best_are_of(0, found[0], seen=[0, 2, 4])
    assert best_are_of(1, found[1], seen=[1, 3, 5])


def test_equal_seeds_make_equal_states() -> None:
    batch, target = two_camps()
    quick = replace(QUICK, epochs=2)
    assert same(quick.fit(batch, target), quick.fit(batch, target))
    assert not same(quick.fit(batch, target), quick.fit(replace(batch, seed=1), target))


def test_only_the_last_items_of_a_history_are_read() -> None:
    state = replace(QUICK, epochs=1).fit(*two_camps())
    long, short = list(range(1, 20)), list(range(12, 20))
    found = scores(QUICK, state, histories(long, short, films=FILMS_NOW))
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_no_history_and_films_that_came_later_have_scores_too() -> None:
    state = replace(QUICK, epochs=1).fit(*two_camps())
    more = names("film", FILMS + 2)
    found = scores(QUICK, state, histories([], [FILMS + 1], [FILMS + 7], [-1], films=more), more)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[:, FILMS], found[:, FILMS + 1])
    np.testing.assert_allclose(found[1], found[2], atol=1e-5)


def test_progress_says_how_fast_it_learns() -> None:
    batch, target = two_camps()
    told: list[tuple[int, int, str]] = []
    replace(QUICK, epochs=2).fit(replace(batch, progress=lambda *said: told.append(said)), target)
    assert [done for done, _, _ in told] == [1, 2]
    assert "items/s" in told[0][2]


def test_a_call_makes_a_number_per_request_and_film() -> None:
    made = SASRec()(past(Visit.film, by=Visit.viewer, last=50), Film)
    assert made.grain == {Visit, Film}


def test_what_cannot_mean_anything_is_refused() -> None:
    for wrong in (
        lambda: SASRec(dim=0),
        lambda: SASRec(dim=10, heads=4),
        lambda: SASRec(dropout=1.0),
        lambda: SASRec(bound=-1),
    ):
        with pytest.raises(GraphError):
            wrong()
    with pytest.raises(GraphError, match="history of Film"):
        SASRec()(past(Visit.rating, by=Visit.viewer), Film)
    with pytest.raises(TypeError):
        SASRec(width=3)  # pyright: ignore
