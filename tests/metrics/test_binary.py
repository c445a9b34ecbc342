"""Binary metrics against scikit-learn, and the laws they obey."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk

from motet.errors import DataError
from motet.metrics import binary

Case = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]


def case(seed: int, n: int = 80) -> Case:
    """Scores with many ties, labels of both classes, bootstrap weights that keep both."""
    rng = np.random.default_rng(seed)
    labels = np.append(rng.integers(0, 2, n), [0, 1])
    weights = np.append(rng.integers(0, 3, n), [1, 1]).astype(float)
    return rng.integers(0, 12, n + 2) / 11, labels, weights


@given(st.integers(0, 100_000))
@settings(max_examples=80)
def test_weighted_auc_and_average_precision_are_scikit_learns(seed: int) -> None:
    scores, labels, weights = case(seed)
    assert binary.auc_of(scores, labels)(weights) == pytest.approx(
        sk.roc_auc_score(labels, scores, sample_weight=weights)
    )
    assert binary.average_precision_of(scores, labels)(weights) == pytest.approx(
        sk.average_precision_score(labels, scores, sample_weight=weights)
    )


@given(st.integers(0, 100_000), st.sampled_from([np.exp, np.cbrt, lambda x: 3 * x - 9, np.log]))
@settings(max_examples=40)
def test_auc_is_invariant_under_monotone_maps_and_mirrors_when_turned(seed: int, grow: Callable[[Any], Any]) -> None:
    scores, labels, _ = case(seed)
    with np.errstate(divide="ignore"):
        grown = grow(scores)
    area = binary.auc(scores, labels)
    assert area is not None
    assert binary.auc(grown, labels) == area
    assert binary.auc(-scores, labels) == pytest.approx(1 - area)


@given(st.integers(0, 100_000))
@settings(max_examples=40)
def test_means_are_scikit_learns(seed: int) -> None:
    p, labels, _ = case(seed)
    clipped = np.clip(p, binary.CLIP, 1 - binary.CLIP)
    assert binary.log_losses(p, labels).mean() == pytest.approx(sk.log_loss(labels, clipped))
    assert binary.squared_errors(p, labels).mean() == pytest.approx(sk.brier_score_loss(labels, p))


@given(st.integers(0, 100_000))
@settings(max_examples=40)
def test_weights_mean_repeated_rows_and_the_order_of_rows_means_nothing(seed: int) -> None:
    p, labels, weights = case(seed)
    repeated = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(p)), weights.astype(int)))
    for of in (binary.auc_of, binary.average_precision_of, binary.calibration_error_of):
        plain = of(p[repeated], labels[repeated])(np.ones(len(repeated)))
        assert of(p, labels)(weights) == pytest.approx(plain)


def test_calibration_error_by_hand() -> None:
    p, labels = np.array([0.1, 0.1, 0.9, 0.9]), np.array([0, 0, 1, 0])
    assert binary.calibration_error(p, labels, bins=2) == pytest.approx((0.1 + 0.4) / 2)
    assert binary.calibration_error(p, labels, bins=1) == pytest.approx(0.25)


def test_calibration_error_of_calibrated_probabilities_is_small_and_of_shifted_ones_is_the_shift() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(0.2, 0.8, 200_000)
    labels = rng.random(len(true)) < true
    assert 0 < (binary.calibration_error(true, labels) or 0) < 0.005
    assert binary.calibration_error(true + 0.15, labels) == pytest.approx(0.15, abs=0.003)


@pytest.mark.parametrize("measure", [binary.auc, binary.average_precision, binary.calibration_error])
def test_no_rows_have_no_score(measure: Callable[..., float | None]) -> None:
    assert measure(np.array([]), np.array([])) is None


def test_one_class_has_no_auc() -> None:
    assert binary.auc(np.array([0.1, 0.9]), np.array([1, 1])) is None
    assert binary.auc(np.array([0.1, 0.9]), np.array([False, False])) is None
    assert binary.average_precision(np.array([0.1, 0.9]), np.array([0, 0])) is None


def test_scores_may_be_infinite_and_tie_there() -> None:
    scores, labels = np.array([-np.inf, -np.inf, 0.0, np.inf, np.inf]), np.array([0, 1, 0, 1, 0])
    assert binary.auc(scores, labels) == pytest.approx((0.5 + 0 + 0 + 1 + 1 + 0.5) / 6)


def test_what_cannot_be_measured_is_refused_by_row() -> None:
    with pytest.raises(DataError, match="1 of 2 scores are NaN, the first in row 1"):
        binary.auc(np.array([0.1, np.nan]), np.array([0, 1]))
    with pytest.raises(DataError, match=r"1.5 in row 0 is no probability"):
        binary.log_losses(np.array([1.5]), np.array([1]))
    with pytest.raises(DataError, match="the label in row 1 is 2"):
        binary.auc(np.array([0.1, 0.2]), np.array([0, 2]))
    with pytest.raises(DataError, match="2 scores have 1 labels"):
        binary.auc(np.array([0.1, 0.2]), np.array([0]))


def test_a_wrong_certainty_costs_a_bounded_loss() -> None:
    assert binary.log_losses(np.array([0.0, 1.0]), np.array([1, 1])) == pytest.approx([16.118, 0], abs=1e-3)
