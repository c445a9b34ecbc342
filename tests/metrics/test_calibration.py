"""Isotonic calibration beside scikit-learn's, and cross-fitting that never sees its own group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from motet.errors import DataError
from motet.metrics.binary import auc, calibration_error
from motet.metrics.calibration import Isotonic, calibrated

Array = np.ndarray[Any, Any]


def case(seed: int, n: int = 60) -> tuple[Array, Array]:
    """Scores with many ties that say something of their labels, which are of both classes."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(-9, 10, n + 2) / 3
    labels = (rng.random(n + 2) < 1 / (1 + np.exp(-scores))).astype(np.int64)
    labels[-2:] = 0, 1
    return scores, labels


@given(st.integers(0, 100_000))
@settings(max_examples=60)
def test_it_is_scikit_learns_at_every_score_and_between(seed: int) -> None:
    scores, labels = case(seed)
    theirs: Any = IsotonicRegression(out_of_bounds="clip").fit(scores, labels)
    asked = np.linspace(-5, 5, 301)
    assert Isotonic.of(scores, labels)(asked) == pytest.approx(theirs.predict(asked), abs=1e-12)


@given(st.integers(0, 100_000))
@settings(max_examples=60)
def test_it_is_monotone_a_probability_and_right_on_average(seed: int) -> None:
    scores, labels = case(seed)
    fitted = Isotonic.of(scores, labels)
    assert (np.diff(fitted(np.linspace(-9, 9, 200))) >= 0).all()
    assert 0 <= fitted.probabilities.min() <= fitted.probabilities.max() <= 1
    assert fitted(scores).mean() == pytest.approx(labels.mean())
    assert (np.diff(fitted.scores) > 0).all()


def test_by_hand() -> None:
    fitted = Isotonic.of(np.array([1.0, 2, 3, 4, 5]), np.array([0, 1, 0, 0, 1]))
    assert fitted.scores.tolist() == [1, 2, 4, 5]
    assert fitted.probabilities.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1])
    assert fitted(np.array([-np.inf, 1.5, 3, 4.5, 9])).tolist() == pytest.approx([0, 1 / 6, 1 / 3, 2 / 3, 1])
    assert Isotonic.of(np.zeros(4), np.array([0, 1, 1, 1]))(np.array([-1.0, 0, 1])).tolist() == [0.75] * 3


def test_what_is_saved_says_the_same() -> None:
    fitted = Isotonic.of(*case(0))
    again = Isotonic(fitted.scores.copy(), fitted.probabilities.copy())
    assert (again(np.linspace(-4, 4, 99)) == fitted(np.linspace(-4, 4, 99))).all()


def test_scores_that_exaggerate_are_calibrated_and_keep_their_order() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(0.02, 0.5, 20_000)
    labels = rng.random(20_000) < true
    exaggerated = true**0.25
    found = calibrated(exaggerated, labels, np.arange(20_000) // 10)
    assert (calibration_error(exaggerated, labels) or 0) > 0.3
    assert (calibration_error(found, labels) or 1) < 0.02
    assert auc(found, labels) == pytest.approx(auc(true, labels), abs=0.01)


def test_no_group_sees_itself() -> None:
    """Labels are noise that a viewer keeps: who learnt from the same viewer would know them."""
    viewers = np.repeat(np.arange(40), 20)
    told: list[float] = []
    untold: list[float] = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        labels, scores = rng.integers(0, 2, 40)[viewers], rng.random(40)[viewers]
        told.append(auc(calibrated(scores, labels, viewers), labels) or 0.0)
        untold.append(auc(calibrated(scores, labels), labels) or 0.0)
    assert np.mean(told) < 0.53
    assert np.mean(untold) > 0.56, "groups would not matter"


def test_each_fold_is_as_the_others_say() -> None:
    scores, labels = case(3, 198)
    groups = np.repeat(np.arange(4), 50)
    found = calibrated(scores, labels, groups, folds=4)
    for group in range(4):
        held = groups == group
        assert (found[held] == Isotonic.of(scores[~held], labels[~held])(scores[held])).all()
    assert (calibrated(scores, labels, groups, folds=4) == found).all()


def test_what_cannot_be_calibrated_is_refused() -> None:
    scores, labels = np.arange(4.0), np.array([0, 1, 0, 1])
    with pytest.raises(DataError, match="all 2 labels are the same"):
        Isotonic.of(scores[:2], np.array([1, 1]))
    with pytest.raises(DataError, match="all 3 labels are the same"):
        calibrated(scores, np.array([0, 0, 0, 1]), folds=4)
    with pytest.raises(DataError, match="2 groups make no 5 folds"):
        calibrated(scores, labels, np.array([0, 0, 1, 1]))
    with pytest.raises(DataError, match="4 groups make no 1 folds"):
        calibrated(scores, labels, folds=1)
    with pytest.raises(DataError, match="4 scores have 1 groups"):
        calibrated(scores, labels, np.zeros(1))
    with pytest.raises(DataError, match="4 scores have 3 labels"):
        Isotonic.of(scores, labels[1:])
    with pytest.raises(DataError, match="the label in row 1 is 2"):
        Isotonic.of(scores, np.array([0, 2, 0, 1]))
    with pytest.raises(DataError, match="the score in row 0 is inf"):
        Isotonic.of(np.array([np.inf, 0]), np.array([0, 1]))
    for use in (Isotonic.of(scores, labels), lambda nan: calibrated(nan, labels)):
        with pytest.raises(DataError, match="the score in row 2 is NaN"):
            use(np.array([0, 1, np.nan, 3]))
