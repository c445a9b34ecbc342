"""How far predicted numbers are from the true ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.errors import DataError
from motet.metrics.binary import Statistic

Floats = NDArray[np.float64]


def absolute_errors(predicted: NDArray[Any], true: NDArray[Any]) -> Floats:
    """Each row's absolute error; their mean is the MAE."""
    return np.abs(_errors(predicted, true))


def rmse(predicted: NDArray[Any], true: NDArray[Any]) -> float | None:
    """Root of the mean squared error, in the unit of the target. None without rows."""
    return rmse_of(predicted, true)(np.ones(len(true)))


def mae(predicted: NDArray[Any], true: NDArray[Any]) -> float | None:
    """Mean absolute error, in the unit of the target. None without rows."""
    errors = absolute_errors(predicted, true)
    return float(errors.mean()) if len(errors) else None


def rmse_of(predicted: NDArray[Any], true: NDArray[Any]) -> Statistic:
    """The RMSE of weighted rows."""
    squared = _errors(predicted, true) ** 2

    def weighted(weights: Floats) -> float | None:
        mass = weights.sum()
        return float(np.sqrt(weights @ squared / mass)) if mass > 0 else None

    return weighted


def explained_of(predicted: NDArray[Any], true: NDArray[Any]) -> Statistic:
    """The share of the true values' variance that is predicted (R squared): 1 at best, below 0 where their mean would
    be nearer. None where they do not vary."""
    squared = _errors(predicted, true) ** 2

    def weighted(weights: Floats) -> float | None:
        mass = weights.sum()
        if not mass > 0:
            return None
        away = true.astype(np.float64) - weights @ true / mass
        variance = float(weights @ away**2)
        return 1 - float(weights @ squared) / variance if variance > 0 else None

    return weighted


def _errors(predicted: NDArray[Any], true: NDArray[Any]) -> Floats:
    if predicted.shape != true.shape:
        raise DataError(f"{len(predicted)} predictions have {len(true)} true values", help="one a row")
    errors = predicted.astype(np.float64) - true.astype(np.float64)
    if not np.isfinite(errors).all():
        row = int((~np.isfinite(errors)).argmax())
        raise DataError(f"row {row} predicts {predicted[row]} for {true[row]}", help="measure finite rows only")
    return errors
