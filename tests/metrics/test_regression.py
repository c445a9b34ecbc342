from __future__ import annotations

import numpy as np
import pytest

from motet.errors import DataError
from motet.metrics import intervals, regression


def test_errors_by_hand() -> None:
    predicted, true = np.array([1, 2, 7]), np.array([1.0, 4.0, 3.0])
    assert regression.rmse(predicted, true) == pytest.approx(np.sqrt(20 / 3))
    assert regression.mae(predicted, true) == pytest.approx(2)


def test_the_share_of_the_variance_that_is_explained_by_hand() -> None:
    true = np.array([1.0, 2.0, 6.0])
    explained = regression.explained_of(np.array([1, 4, 5]), true)
    assert explained(np.ones(3)) == pytest.approx(1 - 5 / 14)
    assert explained(np.array([2.0, 0.0, 1.0])) == pytest.approx(1 - 1 / (2 * (5 / 3) ** 2 + (10 / 3) ** 2))
    assert regression.explained_of(true, true)(np.ones(3)) == 1
    assert regression.explained_of(np.full(3, 3.0), true)(np.ones(3)) == pytest.approx(0)
    assert regression.explained_of(true, np.ones(3))(np.ones(3)) is None
    assert explained(np.zeros(3)) is None


def test_no_rows_have_no_error() -> None:
    assert regression.rmse(np.array([]), np.array([])) is None
    assert regression.mae(np.array([]), np.array([])) is None


def test_the_interval_of_the_rmse_is_as_wide_as_theory_says() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=500)
    found = intervals.statistic(regression.rmse_of(true + rng.normal(size=500), true), 500)
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 / np.sqrt(2 * 500), rel=0.15)


def test_a_prediction_that_is_not_finite_is_refused_by_row() -> None:
    with pytest.raises(DataError, match="row 1 predicts nan for 2"):
        regression.rmse(np.array([1.0, np.nan]), np.array([1.0, 2.0]))
