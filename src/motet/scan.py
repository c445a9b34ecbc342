"""Exact search by a few queries at a time, which reads a quarter of the items' memory.

A lone query takes longer to read the items than to multiply them. A copy of them in 8 bits gives every score up to
a known error, and only what may be among the best is scored exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from motet import kernels, search
from motet.search import Found, Matrix
from motet.windows import Windows

FEW = 6  # queries from which on one exact product is as fast
HELD = 512  # items that are rounded at a time
SMALL = 1 << 20  # numbers that a processor's own cache holds: there is nothing to save
LEVELS = 127  # of an item's number, to either side of zero
DIGIT = 63  # the highest digit that a query's number is written with, to either side of zero
BASE = 2 * DIGIT + 1
STEPS = DIGIT * BASE + DIGIT  # of a query's number, in two digits
ROUNDING = 1e-6  # of sums of float32, as a part of the product of both lengths
TINY = np.float32(1e-30)


class Scan:
    """Finds what `search.top` finds among items [m, d] that stay as they are."""

    def __init__(self, items: Matrix) -> None:
        self._items = items

    def search(
        self,
        queries: Matrix,
        k: int,
        exclude: Windows | None = None,
        allowed: NDArray[np.bool_] | None = None,
    ) -> Found:
        """As `search.top`: the k items of the highest inner product, exactly."""
        if not self._worth(queries) or self._coarse is None:
            return search.top(queries, self._items, k, exclude=exclude, allowed=allowed)
        about, error = self._coarse.scores(queries), self._coarse.error
        if allowed is not None:
            about[~search.per_query(allowed, len(queries))] = -np.inf
        if exclude is not None:
            about[search.named(exclude, slice(0, len(queries)), len(self._items))] = -np.inf
        # At least k items score this much, so what cannot is not among the best.
        reached = search.highest(about - error, k)[1][:, -1:]
        rows, codes = np.nonzero((about + error >= reached) & (about > -np.inf))
        scores = np.einsum("pd,pd->p", queries[rows], self._items[codes])
        return search.ranked(rows, codes, scores, len(queries), k)

    def _worth(self, queries: Matrix) -> bool:
        few = 0 < len(queries) <= FEW and self._items.size >= SMALL and queries.shape[1] == self._items.shape[1]
        return few and bool(np.isfinite(queries).all() and queries.any(axis=1).all())

    @cached_property
    def _coarse(self) -> Coarse | None:
        """Made at the first use; None where an item is no number."""
        return Coarse.of(self._items) if np.isfinite(self._items).all() else None


class Coarse(NamedTuple):
    """Items in 8 bits. unit: what 1 is worth in each, float32 [m]. error: how far a score may be off, of a query of
    length 1, float32 [m]."""

    product: Callable[[NDArray[np.uint8]], NDArray[np.int32]]
    unit: Matrix
    error: Matrix

    @staticmethod
    def of(items: Matrix) -> Coarse:
        parts = [_rounded(items[start : start + HELD]) for start in range(0, len(items), HELD)]
        coarse, unit, error = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Coarse(kernels.product_with(coarse), unit, error)

    def scores(self, queries: Matrix) -> Matrix:
        """About the scores of each query divided by its length: float32 [n, m]."""
        step = np.maximum(np.abs(queries).max(axis=1, keepdims=True), TINY) / STEPS
        number = np.rint(queries / step)
        high = np.rint(number / BASE)
        digits = np.concatenate([high, number - BASE * high]) + kernels.ZERO
        product = self.product(digits.astype(np.uint8)).astype(np.float32)
        length = np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), TINY)
        return (BASE * product[: len(queries)] + product[len(queries) :]) * (step / length) * self.unit


def _rounded(items: Matrix) -> tuple[NDArray[np.int8], Matrix, Matrix]:
    """Items in 8 bits, what 1 is worth in each, and how far a score may be off."""
    unit = np.maximum(np.abs(items).max(axis=1), TINY) / LEVELS
    coarse = np.rint(items / unit[:, None]).astype(np.int8)
    meant = coarse * unit[:, None]
    # Cauchy and Schwarz: what the items lose, and what the query loses, which is half a step in each dimension.
    lost = np.sqrt(items.shape[1]) / (2 * STEPS) + ROUNDING
    error = np.linalg.norm(items - meant, axis=1) + lost * np.linalg.norm(meant, axis=1)
    return coarse, unit, error.astype(np.float32)
