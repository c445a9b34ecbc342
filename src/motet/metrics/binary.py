"""How well scores or probabilities tell two classes apart.

The metrics that are means give one number per row (`log_losses`, `squared_errors`); the others are made
ready once (`auc_of`, ...) and then weigh the rows, which is how a bootstrap resamples them.
A metric that has no meaning on the rows it is given (one class only, no rows) is None, never 0 or 0.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.errors import DataError

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_] | NDArray[np.integer[Any]] | NDArray[np.floating[Any]]
Statistic = Callable[[Floats], float | None]
"""A metric of rows that are weighted: float64 [n] weights, 0 leaves a row out, 2 counts it twice."""

CLIP = 1e-7
"""Log loss reads no probability as nearer to 0 or 1 than this: a wrong certainty costs 16.1 nats."""


def auc(scores: NDArray[Any], labels: Labels) -> float | None:
    """Area under the ROC curve: how often a positive scores above a negative, ties counted half."""
    return auc_of(scores, labels)(np.ones(len(scores)))


def auc_of(scores: NDArray[Any], labels: Labels) -> Statistic:
    """The AUC of weighted rows; scores are sorted once."""
    order, first, positive = _by_score(scores, labels)

    def weighted(weights: Floats) -> float | None:
        up, down = _tied(weights[order], positive, first)
        pairs = up.sum() * down.sum()
        below = np.cumsum(down) - down / 2
        return float(up @ below / pairs) if pairs > 0 else None

    return weighted


def average_precision(scores: NDArray[Any], labels: Labels) -> float | None:
    """Mean precision at each positive, highest scores first; rows of one score enter together."""
    return average_precision_of(scores, labels)(np.ones(len(scores)))


def average_precision_of(scores: NDArray[Any], labels: Labels) -> Statistic:
    order, first, positive = _by_score(scores, labels)

    def weighted(weights: Floats) -> float | None:
        up, down = (side[::-1] for side in _tied(weights[order], positive, first))
        found, seen = np.cumsum(up), np.cumsum(up + down)
        precision = np.divide(found, seen, out=np.zeros(len(up)), where=seen > 0)
        return float(up @ precision / found[-1]) if len(up) and found[-1] > 0 else None

    return weighted


def log_losses(probabilities: NDArray[Any], labels: Labels) -> Floats:
    """Negative log-likelihood of each row in nats, probabilities clipped to [CLIP, 1 - CLIP]."""
    p, positive = _probabilities(probabilities), _positive(labels, len(probabilities))
    p = np.clip(p, CLIP, 1 - CLIP)
    return -np.log(np.where(positive, p, 1 - p))


def squared_errors(probabilities: NDArray[Any], labels: Labels) -> Floats:
    """Each row's part of the Brier score, which is their mean (Brier 1950)."""
    return (_probabilities(probabilities) - _positive(labels, len(probabilities))) ** 2


def calibration_error(probabilities: NDArray[Any], labels: Labels, bins: int = 15) -> float | None:
    """Expected calibration error: the mean gap of probability and observed share over bins of equal mass.

    Rows of one probability share a bin, so the order of rows does not matter. Source: Naeini et al. 2015.
    """
    return calibration_error_of(probabilities, labels, bins)(np.ones(len(probabilities)))


def calibration_error_of(probabilities: NDArray[Any], labels: Labels, bins: int = 15) -> Statistic:
    p = _probabilities(probabilities)
    order, first, positive = _by_score(p, labels)
    distinct = p[order][first]

    def weighted(weights: Floats) -> float | None:
        up, down = _tied(weights[order], positive, first)
        mass = up + down
        if not mass.sum() > 0:
            return None
        middle = (np.cumsum(mass) - mass / 2) / mass.sum()
        bin_ = np.minimum((middle * bins).astype(np.int64), bins - 1)
        return float(np.abs(np.bincount(bin_, distinct * mass - up)).sum() / mass.sum())

    return weighted


def _by_score(scores: NDArray[Any], labels: Labels) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Rows in ascending order of score; where each run of equal scores begins; 1.0 where positive."""
    positive = _positive(labels, len(scores))
    _refuse_nan(scores, "scores")
    order = np.argsort(scores, kind="stable")
    ascending = scores[order]
    first = np.flatnonzero(np.append([True], ascending[1:] != ascending[:-1])[: len(order)])
    return order, first, positive[order]


def _tied(weights: Floats, positive: Floats, first: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The weight of positives and of negatives in each run of equal scores."""
    if len(first) == 0:
        return np.zeros(0), np.zeros(0)
    up = weights * positive
    return np.add.reduceat(up, first), np.add.reduceat(weights - up, first)


def _probabilities(probabilities: NDArray[Any]) -> Floats:
    p = probabilities.astype(np.float64)
    _refuse_nan(p, "probabilities")
    if ((p < 0) | (p > 1)).any():
        row = int(((p < 0) | (p > 1)).argmax())
        raise DataError(f"{p[row]} in row {row} is no probability", help="calibrate scores, or measure the AUC")
    return p


def _positive(labels: Labels, n: int) -> Floats:
    positive = labels.astype(np.float64)
    if len(positive) != n:
        raise DataError(f"{n} scores have {len(positive)} labels", help="one label a row")
    if not np.isin(positive, (0, 1)).all():
        row = int((~np.isin(positive, (0, 1))).argmax())
        raise DataError(f"the label in row {row} is {positive[row]}", help="labels are 0 or 1")
    return positive


def _refuse_nan(values: NDArray[Any], name: str) -> None:
    missing = np.isnan(values.astype(np.float64, copy=False))
    if missing.any():
        raise DataError(
            f"{int(missing.sum())} of {len(values)} {name} are NaN, the first in row {int(missing.argmax())}",
            help="answer those rows with the otherwise, then measure",
        )
