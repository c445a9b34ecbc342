from __future__ import annotations

import numpy as np
import pytest

from motet.batch import Batch, Codes
from motet.column import Key, Time
from motet.errors import GraphError
from motet.models.behavior.popular import Popular
from motet.record import Entity, Event, outcome
from tests.models.planted import names, stored, texts


class Film(Entity):
    film_id: Key


class Visit(Event):
    at: Time
    film: Film = outcome()


DAY = 86_400_000_000


def popularity(model: Popular, codes: list[int], films: list[str], days: list[int] | None = None) -> list[float]:
    at = np.array(days or [0] * len(codes), np.int64) * DAY
    state = model.fit(Batch({"at": at}, rows=len(codes)), Codes(np.array(codes, np.int32), names("f", 4)))
    return model.apply(stored(state), Batch({"items": texts(*films)}, rows=len(films))).tolist()


def test_it_counts() -> None:
    found = popularity(Popular(), [0, 0, 0, 1, -1], ["f0", "f1", "f2"])
    assert found == pytest.approx([np.log(4), np.log(2), 0])


def test_films_are_known_by_key_and_a_new_one_has_zero() -> None:
    assert popularity(Popular(), [3, 3], ["new", "f3"]) == pytest.approx([0, np.log(3)])


def test_an_event_counts_half_after_its_half_life() -> None:
    found = popularity(Popular(half_life_days=10), [0, 1, 1], ["f0", "f1"], days=[20, 10, 0])
    assert found == pytest.approx([np.log(2), np.log(1.75)])


def test_the_call_gives_a_number_per_entity() -> None:
    assert Popular()(Visit.film).grain == {Film}


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(GraphError, match="help:"):
        Popular(half_life_days=0)
    with pytest.raises(GraphError, match="is no reference"):
        Popular()(Visit.at)  # pyright: ignore


def test_only_the_events_of_its_window_count() -> None:
    days = [20, 15, 14, 0]
    assert popularity(Popular(within="5d"), [0, 1, 1, 1], ["f0", "f1"], days) == pytest.approx([np.log(2)] * 2)
    both = popularity(Popular(half_life_days=5, within="5d"), [0, 1, 1, 1], ["f0", "f1"], days)
    assert both == pytest.approx([np.log(2), np.log(1.5)])


def test_a_window_that_holds_nothing_is_refused() -> None:
    for wrong in (0, "a while"):
        with pytest.raises(GraphError, match="help:"):
            Popular(within=wrong)
