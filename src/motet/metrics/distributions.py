"""Distributions by scipy, loaded when one is asked for: a server starts a fifth of a second earlier without it."""

from __future__ import annotations

import importlib
from typing import Any


def student(degrees: float, p: float) -> float:
    """What Student's t stays below with probability p."""
    return float(_special().stdtrit(degrees, p))


def binomial(k: int, n: int, p: float) -> float:
    """The probability of k or fewer of n."""
    return float(_special().bdtr(k, n, p))


def binomial_above(k: int, n: int, p: float) -> float:
    """The probability of more than k of n, exact where it is tiny too."""
    return float(_special().bdtrc(k, n, p))


def _special() -> Any:
    return importlib.import_module("scipy.special")
