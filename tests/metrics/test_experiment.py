"""Experiments whose effect is known, divided well and badly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from motet.errors import DataError
from motet.metrics.experiment import MISMATCH, Arm, balance, difference
from motet.metrics.intervals import Estimate
from motet.metrics.sequential import Sequential, needed

Array = np.ndarray[Any, Any]


def experiment(seed: int, viewers: int = 400, visits: int = 5, effect: float = 0.3) -> tuple[Arm, Arm]:
    """Half of the viewers get ours. They differ, as they did before, and come up to `visits` times."""
    rng = np.random.default_rng(seed)
    taste, got_ours = rng.normal(size=viewers), rng.random(viewers) < 0.5
    viewer = np.repeat(np.arange(viewers), rng.integers(1, visits + 1, viewers))
    before = (taste + 0.3 * rng.normal(size=viewers))[viewer]
    values = taste[viewer] + effect * got_ours[viewer] + rng.normal(size=len(viewer))
    ours = got_ours[viewer]
    return Arm(values[ours], viewer[ours], before[ours]), Arm(values[~ours], viewer[~ours], before[~ours])


def before(arm: Arm) -> Array:
    assert arm.before is not None
    return arm.before


def plain(arm: Arm) -> Arm:
    return Arm(arm.values, arm.groups)


def holds(found: Estimate, truth: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


def width(found: Sequential) -> float:
    assert found.once.high is not None
    assert found.once.low is not None
    return found.once.high - found.once.low


def test_by_hand_and_as_the_t_test_says() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 1, 300), rng.normal(0, 1, 300)
    found = difference(Arm(a), Arm(b))
    theirs = stats.ttest_ind(a, b).confidence_interval(0.95)
    assert found.once.value == pytest.approx(a.mean() - b.mean())
    assert found.once.n == found.anytime.n == 600
    assert (found.once.low, found.once.high) == pytest.approx((theirs.low, theirs.high), abs=0.005)


@pytest.mark.parametrize("effect", [0.0, 0.3])
def test_intervals_hold_the_effect_with_and_without_what_was_known_before(effect: float) -> None:
    held = {"cuped": 0, "plain": 0, "rows": 0}
    found: list[float] = []
    for seed in range(300):
        ours, theirs = experiment(seed, effect=effect)
        adjusted = difference(ours, theirs).once
        found.append(adjusted.value or 0.0)
        held["cuped"] += holds(adjusted, effect)
        held["plain"] += holds(difference(plain(ours), plain(theirs)).once, effect)
        held["rows"] += holds(
            difference(
                Arm(ours.values), Arm(theirs.values), share=len(ours.values) / (len(ours.values) + len(theirs.values))
            ).once,
            effect,
        )
    assert abs(np.mean(found) - effect) < 4 * np.std(found) / np.sqrt(300)
    assert 0.92 <= held["cuped"] / 300 <= 0.98
    assert 0.92 <= held["plain"] / 300 <= 0.98
    assert held["rows"] / 300 < 0.9, "clusters would not matter"


def test_what_was_known_before_narrows_the_interval_by_its_correlation() -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(size=8_000)
    values = 0.8 * before + 0.6 * rng.normal(size=8_000)
    ours, theirs = slice(0, 4_000), slice(4_000, 8_000)
    cuped = difference(Arm(values[ours], None, before[ours]), Arm(values[theirs], None, before[theirs]))
    assert width(cuped) / width(difference(Arm(values[ours]), Arm(values[theirs]))) == pytest.approx(0.6, abs=0.012)


@given(st.integers(0, 10_000), st.floats(-5, 5), st.floats(0.2, 9))
@settings(max_examples=30)
def test_only_what_differs_counts(seed: int, by: float, times: float) -> None:
    ours, theirs = experiment(seed % 50, effect=0.2)
    found = difference(ours, theirs).once
    other = [Arm(by + times * arm.values, arm.groups, 3 - 2 * before(arm)) for arm in (ours, theirs)]
    moved = difference(other[0], other[1]).once
    turned = difference(theirs, ours).once
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert (moved.value, moved.low, moved.high) == pytest.approx(
        (times * found.value, times * found.low, times * found.high)
    )
    assert (turned.value, turned.low, turned.high) == pytest.approx((-found.value, -found.high, -found.low))


def test_a_covariate_that_says_nothing_changes_nothing() -> None:
    ours, theirs = experiment(0)
    same = difference(
        Arm(ours.values, ours.groups, np.ones(len(ours.values))),
        Arm(theirs.values, theirs.groups, np.ones(len(theirs.values))),
    )
    assert str(same) == str(difference(plain(ours), plain(theirs)))


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_peeking_at_few_clicks_finds_no_effect_that_is_not_there(share: float) -> None:
    """150 experiments without an effect, 1 % click, each looked at 30 times."""
    wrong = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        clicks = rng.random(3_000) < 0.01
        ours = rng.permuted(np.tile(np.arange(20) < 20 * share, (150, 1)), axis=1).ravel()  # even at every look
        for n in range(100, 3_001, 100):
            mine, now = ours[:n], clicks[:n]
            if difference(Arm(now[mine]), Arm(now[~mine]), 1_000, share).anytime.sure:
                wrong += 1
                break
    assert wrong / 150 <= 0.05


def test_an_arm_in_which_nobody_clicked_is_not_sure_of_it() -> None:
    few, many = np.zeros(100), (np.arange(1_900) % 200 == 0).astype(float)
    found = difference(Arm(few), Arm(many), share=0.05)
    assert not found.once.sure
    assert found.error == pytest.approx(np.sqrt(many.var() * (1 / 100 + 1 / 1_900)), rel=0.05)


def test_nothing_is_known_of_arms_without_spread_or_with_one_viewer() -> None:
    none = difference(Arm(np.zeros(50)), Arm(np.zeros(50)))
    assert (none.once, none.anytime, needed(none)) == (Estimate(0.0, None, None, 100),) * 2 + (None,)
    lone = difference(Arm(np.ones(3), np.zeros(3)), Arm(np.arange(4.0), np.arange(1, 5)))
    assert lone.once == Estimate(-0.5, None, None, 7)


@pytest.mark.parametrize(("ours", "theirs", "share"), [(50_500, 49_500, 0.5), (500, 500, 0.5), (5_100, 94_900, 0.05)])
def test_a_sound_division_is_as_likely_as_the_chi_square_test_says(ours: int, theirs: int, share: float) -> None:
    n = ours + theirs
    assert balance(ours, theirs, share) == pytest.approx(
        stats.chisquare([ours, theirs], [n * share, n * (1 - share)]).pvalue, rel=0.05
    )


def test_sound_divisions_are_seldom_refused_also_where_an_arm_is_small() -> None:
    rng = np.random.default_rng(0)
    for share, viewers in ((0.5, 1_000), (0.01, 60)):
        refused = 0
        for ours in rng.binomial(viewers, share, 2_000):
            try:
                balance(int(ours) or 1, viewers - int(ours), share)
            except DataError:
                refused += 1
        assert refused / 2_000 <= 4 * MISMATCH


@pytest.mark.parametrize(("ours", "theirs", "share"), [(5_000, 5_400, 0.5), (700, 9_300, 0.05), (12, 60, 0.5)])
def test_a_division_that_went_wrong_is_refused(ours: int, theirs: int, share: float) -> None:
    with pytest.raises(
        DataError, match=f"sample ratio mismatch: {ours:,} got ours, {theirs:,} theirs, and {share:.1%}"
    ):
        balance(ours, theirs, share)
    with pytest.raises(DataError, match="sample ratio mismatch"):
        difference(Arm(np.zeros(ours)), Arm(np.zeros(theirs)), share=share)


def test_viewers_are_divided_and_not_their_visits() -> None:
    """One side's viewers come ten times as often: no mismatch, since as many viewers got each."""
    difference(Arm(np.zeros(5_000), np.arange(5_000) % 500), Arm(np.zeros(500), 500 + np.arange(500)))


def test_what_is_no_experiment_is_refused() -> None:
    rows = np.zeros(10)
    with pytest.raises(DataError, match="2 viewers got both versions, 8 among them"):
        difference(Arm(rows, np.arange(10)), Arm(rows, np.arange(8, 18)))
    with pytest.raises(DataError, match="one version has groups or before"):
        difference(Arm(rows, np.arange(10)), Arm(rows))
    with pytest.raises(DataError, match="one version has groups or before"):
        difference(Arm(rows, None, rows), Arm(rows))
    with pytest.raises(DataError, match="10 got ours and 0 theirs"):
        difference(Arm(rows), Arm(np.zeros(0)))
    with pytest.raises(DataError, match="a share of 1 is no experiment"):
        balance(1, 1, 1)
    with pytest.raises(DataError, match="10 values have 9 before"):
        Arm(rows, None, rows[1:])
    with pytest.raises(DataError, match="before of row 0 is nan"):
        Arm(rows, None, rows + np.nan)
    with pytest.raises(DataError, match="values of row 0 is inf"):
        Arm(rows + np.inf)
