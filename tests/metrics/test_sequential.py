"""Intervals that are looked at once, and at every look."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from motet.errors import DataError
from motet.metrics.intervals import Estimate, standard_error
from motet.metrics.sequential import FEWEST, PLANNED, Sequential, needed, sequential


def looks(values: np.ndarray, every: int = 10, planned: int = 1_000) -> list[Sequential]:
    """What is seen of a mean while its rows come in."""
    found: list[Sequential] = []
    for n in range(every, len(values) + 1, every):
        error, units = standard_error(values[:n])
        found.append(sequential(float(values[:n].mean()), error, n, units, planned))
    return found


@pytest.mark.parametrize("kind", ["normal", "rare clicks", "skewed"])
def test_under_peeking_one_interval_holds_and_the_other_does_not(kind: str) -> None:
    """300 figures without an effect, each looked at 200 times."""
    once = anytime = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        signs = rng.choice([-1.0, 1.0], 2_000)
        size = {
            "normal": rng.normal(size=2_000),
            "rare clicks": rng.random(2_000) < 0.02,
            "skewed": rng.lognormal(0, 1, 2_000),
        }
        seen = looks(signs * size[kind])
        once += any(look.once.sure for look in seen)
        anytime += any(look.anytime.sure for look in seen)
    assert anytime / 300 <= 0.05
    assert once / 300 > 0.2, "peeking would not matter"


def test_viewers_that_come_back_are_no_new_ones() -> None:
    """Each of 150 viewers comes 20 times and likes or dislikes what they see for good."""
    wrong = {True: 0, False: 0}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        viewers = rng.permutation(np.arange(3_000) % 150)
        values = rng.normal(size=150)[viewers] + rng.normal(size=3_000)
        for told in wrong:
            seen: list[Sequential] = []
            for n in range(100, 3_001, 100):
                error, units = standard_error(values[:n], viewers[:n] if told else None)
                seen.append(sequential(float(values[:n].mean()), error, n, units, 1_000))
            wrong[told] += any(look.anytime.sure for look in seen)
    assert wrong[True] / 200 <= 0.05
    assert wrong[False] / 200 > 0.15, "clusters would not matter"


@given(st.integers(FEWEST, 10**7), st.integers(1, 10**6), st.floats(-5, 5), st.floats(1e-6, 10))
@settings(max_examples=100)
def test_every_look_is_less_sure_than_one_look(n: int, planned: int, value: float, error: float) -> None:
    found = sequential(value, error, n, n, planned)
    for one in (found.once, found.anytime):
        assert one.low is not None
        assert one.high is not None
        assert one.high - value == pytest.approx(value - one.low)
    assert found.anytime.low is not None
    assert found.once.low is not None
    assert value - found.anytime.low > 1.4 * (value - found.once.low)


def test_it_is_narrowest_where_it_was_planned() -> None:
    def width(n: int) -> float:
        found = sequential(0.0, 1.0, n, n).anytime
        assert found.high is not None
        return found.high

    assert width(PLANNED) == pytest.approx(1.5486 * 1.96, rel=1e-3)
    assert width(PLANNED // 100) == pytest.approx(4.63 * 1.96, rel=1e-2)
    assert width(PLANNED * 100) == pytest.approx(1.82 * 1.96, rel=1e-2)


def test_a_figure_without_spread_or_with_few_units_has_no_interval() -> None:
    unknown = Estimate(0.5, None, None, 300)
    for error in (None, 0.0):
        found = sequential(0.5, error, 300, 300)
        assert (found.once, found.anytime, found.error) == (unknown, unknown, None)
        assert needed(found) is None
    few = sequential(0.5, 0.1, 300, FEWEST - 1)
    assert few.once.sure
    assert few.anytime == unknown
    assert sequential(0.5, 0.1, 300, 5).once.high == pytest.approx(0.5 + 0.1 * stats.t.ppf(0.975, 4))


def test_a_plan_is_needed() -> None:
    with pytest.raises(DataError, match="0 planned rows are no plan"):
        sequential(0.5, 0.1, 300, 300, 0)


def test_how_it_reads() -> None:
    assert str(sequential(0.5, 0.1, 10_000, 10_000)) == (
        "0.5000 [0.3040, 0.6960] n=10,000 at one look, 0.5000 [0.1965, 0.8035] n=10,000 at any"
    )


@pytest.mark.parametrize("value", [0.05, -0.02, 0.01])
def test_what_is_needed_is_enough_in_four_of_five_cases_and_no_more_than_that(value: float) -> None:
    n = 2_000
    found = sequential(value, 1 / np.sqrt(n), n, n)
    more = needed(found)
    assert more
    rng, total = np.random.default_rng(0), n + more
    sure = [
        sequential(value + rng.normal() / np.sqrt(total), 1 / np.sqrt(total), total, total).anytime.sure
        for _ in range(2_000)
    ]
    assert np.mean(sure) == pytest.approx(0.8, abs=0.03)


def test_what_is_sure_needs_nothing_and_what_is_nothing_cannot_be_told() -> None:
    assert needed(sequential(1.0, 0.1, 1_000, 1_000)) == 0
    assert needed(sequential(0.0, 0.1, 1_000, 1_000)) is None
    assert needed(sequential(1e-200, 0.1, 1_000, 1_000)) is None
