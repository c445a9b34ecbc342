"""Scores as probabilities: monotone in the score, and right as often as they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.clock import library
from motet.errors import DataError
from motet.metrics.binary import Labels
from motet.metrics.intervals import Floats, Groups


@dataclass(frozen=True, eq=False)
class Isotonic:
    """The monotone step from scores to probabilities with the least squared error, by pool adjacent violators.

    scores: float64 [m], ascending, where steps end. probabilities: float64 [m], never descending. Between two ends
    it is linear, outside of all scores it is what it is at the nearest. Source: Zadrozny & Elkan 2002.
    """

    scores: Floats
    probabilities: Floats

    @staticmethod
    def of(scores: NDArray[Any], labels: Labels) -> Isotonic:
        """Learnt from scores [n] and labels, 0 or 1 [n]. Raises DataError without rows of both classes."""
        _refuse_wrong(scores, labels)
        if len(np.unique(labels)) < 2:
            raise DataError(
                f"all {len(labels):,} labels are the same: nothing tells how scores and labels go together",
                help="calibrate on rows of both classes",
            )
        distinct, of, sizes = np.unique(scores.astype(np.float64), return_inverse=True, return_counts=True)
        shares = np.bincount(of, labels.astype(np.float64)) / sizes
        optimize = library("scipy.optimize")
        fitted: Floats = optimize.isotonic_regression(shares, weights=sizes).x
        level = np.diff(fitted) == 0
        ends = ~(np.append(False, level) & np.append(level, False))  # what is inside a step says nothing more
        return Isotonic(distinct[ends], fitted[ends])

    def __call__(self, scores: NDArray[Any]) -> Floats:
        """The probability of each score, float64 [n]. Infinite scores are beyond all others; NaN is refused."""
        _refuse_nan(scores)
        return np.interp(scores.astype(np.float64), self.scores, self.probabilities)


def calibrated(scores: NDArray[Any], labels: Labels, groups: Groups | None = None, folds: int = 5) -> Floats:
    """The probability of each row as the other folds know it, float64 [n]: what to measure calibration on.

    groups: [n], rows of one are in one fold (cross-fitted). Raises DataError where there are fewer groups than
    folds, or where a fold leaves the others without both classes.
    """
    _refuse_wrong(scores, labels)
    fold = _folds(np.arange(len(scores)) if groups is None else groups, len(scores), folds)
    found = np.empty(len(scores))
    for out in range(folds):
        held = fold == out
        found[held] = Isotonic.of(scores[~held], labels[~held])(scores[held])
    return found


def _folds(groups: Groups, n: int, folds: int) -> NDArray[np.int64]:
    """The fold of each row; groups are dealt out by turns."""
    if len(groups) != n:
        raise DataError(f"{n} scores have {len(groups)} groups", help="one group a row")
    of = np.unique(groups, return_inverse=True)[1]
    count = int(of.max()) + 1 if n else 0
    if folds < 2 or count < folds:
        raise DataError(f"{count:,} groups make no {folds} folds", help="at least 2 folds, at least as many groups")
    return of % folds


def _refuse_wrong(scores: NDArray[Any], labels: Labels) -> None:
    if len(scores) != len(labels):
        raise DataError(f"{len(scores)} scores have {len(labels)} labels", help="one label a row")
    _refuse_nan(scores)
    if np.isinf(scores).any():
        row = int(np.isinf(scores).argmax())
        raise DataError(f"the score in row {row} is {scores[row]}", help="learn from finite scores")
    if not np.isin(labels, (0, 1)).all():
        row = int((~np.isin(labels, (0, 1))).argmax())
        raise DataError(f"the label in row {row} is {labels[row]}", help="labels are 0 or 1")


def _refuse_nan(scores: NDArray[Any]) -> None:
    if np.isnan(scores).any():
        row = int(np.isnan(scores).argmax())
        raise DataError(f"the score in row {row} is NaN", help="answer those rows with the otherwise, then calibrate")
