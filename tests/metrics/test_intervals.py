"""Intervals cover what they say, with the dependence they are told of."""

from __future__ import annotations

import numpy as np
import pytest

from motet.errors import DataError
from motet.metrics import binary, intervals
from motet.metrics.binary import auc, auc_of
from motet.metrics.intervals import (
    Estimate,
    difference,
    mean,
    over_seeds,
    standard_error,
    statistic,
    statistic_difference,
)


def holds(found: Estimate, truth: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


def width(found: Estimate) -> float:
    assert found.low is not None
    assert found.high is not None
    return found.high - found.low


def coverage(clustered: bool, told: bool) -> float:
    """How often the interval holds the true mean, 30 viewers of 10 requests, when viewers differ or not."""
    held = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        viewers = np.repeat(np.arange(30), 10)
        values = rng.normal(size=300) + (rng.normal(size=30)[viewers] if clustered else 0)
        held += holds(mean(values, viewers if told else None), 0)
    return held / 300


def test_an_interval_holds_the_truth_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 300)
    assert 0.90 <= coverage(clustered=False, told=False) <= 0.98
    assert 0.88 <= coverage(clustered=True, told=True) <= 0.98
    assert coverage(clustered=True, told=False) < 0.75, "clusters would not matter"


def test_an_interval_of_the_auc_holds_the_truth_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 200)
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels = rng.random(200) < 0.3
        scores = rng.normal(size=200) + labels  # the true AUC is Phi(1 / sqrt(2))
        held += holds(statistic(auc_of(scores, labels), 200), 0.76025)
    assert 0.90 <= held / 200 <= 0.99


def test_pairing_sees_a_difference_that_two_intervals_hide() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(size=400)
    ours, theirs = hard + 0.05 + rng.normal(0, 0.1, 400), hard + rng.normal(0, 0.1, 400)
    assert difference(ours, theirs).sure
    assert holds(mean(ours), theirs.mean())
    assert not difference(theirs, theirs).sure


def test_pairing_of_a_statistic_sees_it_too() -> None:
    rng = np.random.default_rng(1)
    labels = rng.random(2000) < 0.5
    theirs = rng.normal(size=2000) + labels
    ours = theirs + 0.25 * labels
    found = statistic_difference(auc_of(ours, labels), auc_of(theirs, labels), 2000)
    assert found.sure
    assert found.value == pytest.approx((auc(ours, labels) or 0) - (auc(theirs, labels) or 0))


def test_a_statistic_that_is_a_mean_has_the_interval_of_the_mean() -> None:
    values, groups = np.random.default_rng(2).normal(size=200), np.arange(200) // 4
    same = statistic(lambda weights: float(weights @ values / weights.sum()), 200, groups)
    assert str(same) == str(mean(values, groups))


def test_the_standard_error_is_the_bootstraps_with_groups_of_any_size() -> None:
    rng = np.random.default_rng(4)
    viewers = np.repeat(np.arange(200), rng.integers(1, 10, 200))
    values = rng.normal(size=200)[viewers] + rng.normal(size=len(viewers))
    for groups, units in ((None, len(viewers)), (viewers, 200)):
        error, known_of = standard_error(values, groups)
        assert known_of == units
        assert 2 * 1.96 * (error or 0) == pytest.approx(width(mean(values, groups)), rel=0.07)
    assert standard_error(values)[0] == pytest.approx(values.std(ddof=1) / np.sqrt(len(values)))
    assert standard_error(values, np.zeros(len(values))) == (None, 1)
    assert standard_error(np.array([])) == (None, 0)
    assert standard_error(np.full(7, 0.1)) == (0.0, 7)


def test_nothing_to_measure_has_no_value_and_one_row_no_interval() -> None:
    assert mean(np.array([])) == Estimate(None, None, None, 0)
    assert statistic(auc_of(np.array([]), np.array([])), 0) == Estimate(None, None, None, 0)
    assert statistic(auc_of(np.array([0.1, 0.2]), np.array([1, 1])), 2) == Estimate(None, None, None, 2)
    assert over_seeds([]) == Estimate(None, None, None, 0)
    assert mean(np.array([0.5])) == Estimate(0.5, None, None, 1)
    assert mean(np.array([0.5, 0.7]), np.array(["a", "a"])) == Estimate(0.6, None, None, 2)


def test_resamples_without_a_positive_are_left_out() -> None:
    scores, labels = np.array([0.5, 0.9, 0.2]), np.array([1, 0, 0])
    found = statistic(auc_of(scores, labels), 3)
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)


def test_rows_that_are_all_alike_do_not_say_what_others_would_be() -> None:
    assert mean(np.full(200, 0.1), np.arange(200) % 7) == Estimate(0.1, None, None, 200)
    assert difference(np.full(9, 1.0), np.full(9, 1.0)) == Estimate(0.0, None, None, 9)
    assert not mean(np.full(200, 0.1)).sure
    nearly = mean(np.append(np.full(199, 0.1), 0.2))
    assert nearly.low == pytest.approx(0.1)
    assert nearly.high == pytest.approx(0.1015, abs=0.0005)


def test_a_run_is_reproducible_and_its_memory_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).normal(size=500)
    whole = mean(values)
    assert mean(values) == whole
    monkeypatch.setattr(intervals, "AT_ONCE", 1)
    assert str(mean(values)) == str(whole)


def test_seeds_are_averaged_and_drawn_again_like_requests() -> None:
    runs = [np.random.default_rng(seed).random(50) for seed in range(3)]
    found = over_seeds(runs)
    assert found.value == mean(np.mean(runs, axis=0)).value
    assert found.n == 50
    assert over_seeds([runs[0]]) == mean(runs[0])
    with pytest.raises(DataError, match="runs have 50, 49 rows"):
        over_seeds([runs[0], runs[1][1:]])


def test_seeds_that_differ_make_a_figure_less_sure() -> None:
    requests = np.random.default_rng(0).random(2_000)
    one = over_seeds([requests + shift for shift in (-0.1, 0.0, 0.1)], np.arange(2_000) % 100)
    other = over_seeds([requests] * 3, np.arange(2_000) % 100)
    assert one.value == pytest.approx(other.value)
    assert width(one) > 4 * width(other)


def test_rows_without_a_metric_and_missing_groups_are_refused() -> None:
    with pytest.raises(DataError, match="the metric of row 1 is nan"):
        mean(np.array([1.0, np.nan]))
    with pytest.raises(DataError, match="2 rows have 1 groups"):
        mean(np.array([1.0, 2.0]), np.array([1]))
    with pytest.raises(DataError, match="2 rows against 1"):
        difference(np.array([1.0, 2.0]), np.array([1.0]))


def test_how_it_reads() -> None:
    assert str(Estimate(0.09514, 0.0902, 0.10034, 943)) == "0.0951 [0.0902, 0.1003] n=943"
    assert str(Estimate(0.5, None, None, 1)) == "0.5000 n=1"
    assert str(Estimate(None, None, None, 0)) == "no value n=0"


def test_a_calibration_error_s_interval_holds_its_value_and_reaches_down_to_what_chance_makes() -> None:
    held = 0
    for seed in range(20):
        draw = np.random.default_rng(seed)
        chances = draw.random(400)
        came = draw.random(400) < chances
        found = intervals.error_statistic(binary.calibration_error_of(chances, came), 400)
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        assert 0 <= found.low <= found.value <= found.high
        held += found.low < 0.01  # the truth is 0
    assert held >= 12  # a percentile bootstrap's: none
