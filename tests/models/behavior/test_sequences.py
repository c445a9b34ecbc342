"""The order in which each one did what, as a sequence model is given it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from motet.batch import Codes, Ragged, Vocabulary
from motet.errors import RunError
from motet.models.behavior.sequences import sequences
from motet.windows import Windows
from tests.models.planted import names

FILMS, VIEWERS = names("film", 9), names("viewer", 3)
# Viewer 0 saw 1 2 3 4, viewer 2 saw 5 6; nobody knows viewer 1.
VALUES = np.array([1, 2, 3, 4, 5, 6], np.int32)
LIVES = np.array([0, 4, 4, 6])
STARTS, ENDS = np.array([0, 0, 0, 1, 4, 4]), np.array([0, 1, 2, 3, 4, 5])
WHO = Codes(np.array([0, 0, 0, 0, 2, 2], np.int32), VIEWERS)
FILM = Codes(VALUES, FILMS)


def rows(history: Ragged, who: Codes, target: Any) -> list[list[int]]:
    values, offsets, _ = sequences(history, who, target)
    return [values[a:b].tolist() for a, b in pairwise(offsets)]


def history(starts: Any = STARTS, ends: Any = ENDS, lives: Any = LIVES) -> Ragged:
    return Ragged(Windows(VALUES, starts, ends), FILMS, lives=lives)


def test_everything_up_to_the_latest_row_is_read_however_short_the_windows() -> None:
    assert rows(history(np.maximum(ENDS - 1, STARTS)), WHO, FILM) == [[1, 2, 3, 4], [], [5, 6]]


def test_what_no_row_has_reached_is_not_seen() -> None:
    early = history(STARTS[:3], ENDS[:3])
    assert rows(early, Codes(WHO.codes[:3], VIEWERS), Codes(VALUES[:3], FILMS)) == [[1, 2, 3]]


def test_rows_of_one_instant_all_come_last() -> None:
    tied = history(ends=np.array([0, 1, 1, 1, 4, 4]), starts=np.array([0, 0, 0, 0, 4, 4]))
    assert rows(tied, WHO, FILM) == [[1, 2, 3, 4], [], [5, 6]]


def test_without_whole_lives_the_longest_windows_serve() -> None:
    assert rows(history(lives=None), WHO, FILM) == [[1, 2, 3, 4], [], [5, 6]]


def test_without_an_outcome_only_the_past_is_read() -> None:
    assert rows(history(), WHO, None) == [[1, 2, 3], [], [5]]


def test_an_event_of_nobody_or_of_nothing_is_left_out() -> None:
    nobody = Codes(np.array([0, 0, 0, 0, -1, -1], np.int32), VIEWERS)
    assert rows(history(), nobody, FILM) == [[1, 2, 3, 4]]
    nothing = Codes(np.array([1, 2, 3, -1, 5, 6], np.int32), FILMS)
    assert rows(history(), WHO, nothing) == [[1, 2, 3], [], [5, 6]]


def test_items_of_another_vocabulary_are_translated() -> None:
    other = Codes(VALUES - 1, Vocabulary(FILMS.names[1:]))
    assert rows(history(), WHO, other) == [[1, 2, 3, 4], [], [5, 6]]


def test_nothing_to_learn_from_is_one_sentence() -> None:
    nobody = Codes(np.full(6, -1, np.int32), VIEWERS)
    with pytest.raises(RunError, match="nothing to learn from"):
        sequences(history(), nobody, FILM)
