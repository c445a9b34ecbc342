"""Team drafts are fair, and preferences are found where they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motet.errors import DataError
from motet.metrics.interleaving import Draft, credit, draft, preference
from motet.metrics.intervals import Estimate

rankings = st.lists(st.integers(0, 20), unique=True, max_size=12)


@given(rankings, rankings, st.integers(1, 15), st.integers(0, 1_000))
@settings(max_examples=200)
def test_a_draft_shows_the_best_that_is_left_of_each_in_turns(
    ours: list[int], theirs: list[int], k: int, seed: int
) -> None:
    made = draft(ours, theirs, k, np.random.default_rng(seed))
    assert len(made.items) == len(made.ours) == min(k, len({*ours, *theirs}))
    assert len(set(made.items)) == len(made.items)
    for place, (item, mine) in enumerate(zip(made.items, made.ours, strict=True)):
        left = [one for one in (ours if mine else theirs) if one not in made.items[:place]]
        assert item == left[0]
    both = {True: ours, False: theirs}
    for place in range(len(made.items)):
        counts = {team: made.ours[:place].count(team) for team in both}
        behind = not made.ours[place]
        if counts[behind] < counts[made.ours[place]]:  # whoever was behind had nothing left
            assert not set(both[behind]) - set(made.items[:place])


def test_by_hand() -> None:
    drafts = {tuple(draft("ab", "cd", 4, np.random.default_rng(seed)).items) for seed in range(50)}
    assert drafts == {tuple("acbd"), tuple("acdb"), tuple("cabd"), tuple("cadb")}
    assert draft("ab", "", 5, np.random.default_rng(0)) == Draft(["a", "b"], [True, True])
    assert draft("", "", 5, np.random.default_rng(0)) == Draft([], [])
    with pytest.raises(DataError, match="a list of 0 items"):
        draft("ab", "cd", 0, np.random.default_rng(0))


def test_random_clicks_prefer_nobody_whatever_the_rankings() -> None:
    """Who clicks by place alone credits both alike, also where the rankings overlap and end after an odd number."""
    rng, credits = np.random.default_rng(0), []
    for _ in range(20_000):
        made = draft([1, 2, 3, 4, 5], [1, 3, 5, 7, 9], 5, rng)
        credits.append(credit(made.ours, list(rng.random(5) < [0.5, 0.3, 0.2, 0.1, 0.1])))
    assert abs(np.mean(credits)) < 4 * np.std(credits) / np.sqrt(len(credits))


def test_a_request_speaks_for_whose_items_were_clicked_more() -> None:
    assert credit([True, False, True], [True, False, True]) == 1
    assert credit([True, False, True], [True, True, False]) == 0
    assert credit([True, False, True], [False, True, False]) == -1
    assert credit([], []) == 0
    with pytest.raises(DataError, match="2 items have 1 clicks"):
        credit([True, False], [True])


def shown(seed: int, better: float, n: int = 2_000) -> np.ndarray:
    """Viewers who click what they like: ours has it first, theirs further down, in a share `better` of requests."""
    rng = np.random.default_rng(seed)
    credits: list[int] = []
    for _ in range(n):
        good, other = ([0, 1, 2, 3], [1, 2, 3, 0]) if rng.random() < better else ([1, 2, 3, 0], [0, 1, 2, 3])
        made = draft(good, other, 3, rng)
        credits.append(credit(made.ours, [item == 0 and rng.random() < 0.5 for item in made.items]))
    return np.array(credits)


def test_the_better_ranking_is_preferred_and_equal_ones_are_not() -> None:
    found = preference(shown(0, better=0.8))
    assert found.anytime.sure
    assert found.once.value is not None
    assert found.once.value > 0.2
    assert not preference(shown(0, better=0.5)).anytime.sure
    turned = preference(-shown(0, better=0.8)).once
    assert (turned.value, turned.low) == (-found.once.value, -(found.once.high or 0))


def test_peeking_at_equal_rankings_prefers_none() -> None:
    wrong = 0
    for seed in range(200):
        credits = np.random.default_rng(seed).choice([-1, 0, 1], 3_000, p=[0.02, 0.96, 0.02])
        wrong += any(preference(credits[:n], planned=1_000).anytime.sure for n in range(100, 3_001, 50))
    assert wrong / 200 <= 0.05


def test_one_viewers_requests_count_as_one_viewers() -> None:
    credits, viewers = np.repeat(np.random.default_rng(0).choice([-1, 1], 100), 20), np.repeat(np.arange(100), 20)
    told, untold = preference(credits, viewers), preference(credits)
    assert told.error is not None
    assert untold.error is not None
    assert told.error == pytest.approx(np.sqrt(20) * untold.error, rel=0.05)


def test_credits_that_cannot_be_are_refused_and_clicks_that_were_not_say_nothing() -> None:
    with pytest.raises(DataError, match="the credit of row 1 is 2"):
        preference(np.array([1, 2]))
    with pytest.raises(DataError, match="the credit of row 0 is nan"):
        preference(np.array([np.nan]))
    with pytest.raises(DataError, match="no request was interleaved"):
        preference(np.array([]))
    assert preference(np.zeros(500)).once == Estimate(0.0, None, None, 500)
