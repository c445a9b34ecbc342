"""Exact search by the queries of a batch, which reads half of the items' memory.

A few queries take longer to read the items than to multiply them. A copy of them in 16 bits (bfloat16), which
processors also multiply several times as fast, gives every score up to a known error; only what may be among the best
is scored from its own vector.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from motet import search
from motet.search import Found, Matrix
from motet.windows import Windows

FEW = 32  # queries: what a server answers at once, at most
HELD = 512  # items that are rounded at a time
SMALL = 1 << 20  # numbers that a processor's own cache holds: there is nothing to save
ROUNDING = 2.0**-23  # of each number that is added up, as a part of the product of both lengths
LARGEST = float(np.finfo(np.float32).max)  # beyond it sums of products are no numbers
SHARE = 1 / 16  # of all scores; to take so many of them by themselves takes as long as all of them by one product
TINY = 1e-30  # what numbers too small for a processor's own format may add up to
BFLOAT16 = "bfloat16"


class Scan:
    """Finds what `search.top` finds among items [m, d] that stay as they are.

    Where few queries come, each by itself: their codes and scores are equal to the bit in any such batch.
    """

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
        search.check(queries, self._items.shape[1], k)
        scanned = self._worth(queries)
        if not scanned.any():
            return search.top(queries, self._items, k, exclude=exclude, allowed=allowed)
        if scanned.all():
            return self._scan(queries, k, exclude, allowed)
        codes, scores = search.padding(len(queries), k)
        for rows, by in (np.flatnonzero(scanned), self._scan), (np.flatnonzero(~scanned), self.search):
            hidden = None if exclude is None else exclude.take(rows)
            some = None if allowed is None else search.per_query(allowed, len(queries))[rows]
            codes[rows], scores[rows] = by(queries[rows], k, hidden, some)
        return codes, scores

    def _scan(self, queries: Matrix, k: int, exclude: Windows | None, allowed: NDArray[np.bool_] | None) -> Found:
        """The same of queries that are worth it."""
        assert self._coarse is not None
        least, spread = self._coarse.least(queries)
        if allowed is not None:
            least[~search.per_query(allowed, len(queries))] = -np.inf
        if exclude is not None:
            least[search.named(exclude, slice(0, len(queries)), len(self._items))] = -np.inf
        # At least k items score this much, so what cannot is not among the best.
        reached = np.maximum(search.kth(least, k), np.finfo(np.float32).min)
        near = least + spread >= reached
        if np.count_nonzero(near) > max(SHARE * near.size, k * len(queries)):  # too many are alike
            return search.top(queries, self._items, k, exclude=exclude, allowed=allowed)
        rows, codes = search.places(near)
        return search.ranked(rows, codes, self._scores(queries, rows, codes), len(queries), k)

    def _scores(self, queries: Matrix, rows: NDArray[np.int64], codes: NDArray[np.int64]) -> Matrix:
        """The score of each pair, one query after the other. Each is a sum by itself."""
        scores, ends = np.empty(len(rows), np.float32), np.searchsorted(rows, np.arange(len(queries) + 1))
        for row, query in enumerate(queries):
            mine = slice(ends[row], ends[row + 1])
            np.einsum("pd,d->p", self._items[codes[mine]], query, out=scores[mine])
        return scores

    def _worth(self, queries: Matrix) -> NDArray[np.bool_]:
        """Which queries are scanned, bool [n]: those of few that have a length, and whose products are all numbers."""
        if len(queries) > FEW or self._items.size < SMALL or self._coarse is None:
            return np.zeros(len(queries), np.bool_)
        largest = np.abs(queries).max(axis=1, initial=0.0).astype(np.float64)
        return np.asarray((largest > 0) & (largest * self._largest * queries.shape[1] < LARGEST))

    @cached_property
    def _largest(self) -> float:
        return float(max(self._items.max(), -self._items.min()))

    @cached_property
    def _coarse(self) -> Coarse | None:
        """Made at the first use; None where the lengths of items are no numbers."""
        return Coarse.of(self._items) if self._largest < LARGEST / (2 * self._items.shape[1]) else None


class Coarse(NamedTuple):
    """Items rounded to bfloat16, as numkong multiplies them. length: of each as it is rounded, float32 [m]. lost: the
    length of what that took away, float32 [m]."""

    packed: Any
    length: Matrix
    lost: Matrix

    @staticmethod
    def of(items: Matrix) -> Coarse:
        numkong = _numkong()
        rounded = numkong.astype(items, BFLOAT16)
        parts = [_lengths(items[at : at + HELD], rounded[at : at + HELD]) for at in range(0, len(items), HELD)]
        length, lost = (np.concatenate(part).astype(np.float32) for part in zip(*parts, strict=True))
        return Coarse(numkong.dots_pack(rounded, BFLOAT16), length, lost)

    def least(self, queries: Matrix) -> tuple[Matrix, Matrix]:
        """The least that each query's scores can be, float32 [n, m], and how much more the most is, float32 [m]. Both
        are divided by the query's length."""
        numkong = _numkong()
        unit = queries / np.linalg.norm(queries.astype(np.float64), axis=1, keepdims=True)
        rounded = numkong.astype(unit.astype(np.float32), BFLOAT16)
        about = np.asarray(numkong.dots_packed(rounded, self.packed))
        # By Cauchy and Schwarz: what the items lose, and what the queries and the sums lose.
        lost = np.linalg.norm(unit - _widened(rounded), axis=1).max() + queries.shape[1] * ROUNDING
        error = (self.lost + lost * self.length + TINY).astype(np.float32)
        return np.subtract(about, error, out=about), 2 * error


def _lengths(items: Matrix, rounded: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    meant = _widened(rounded)
    return np.linalg.norm(meant, axis=1), np.linalg.norm(items - meant, axis=1)


def _widened(rounded: Any) -> NDArray[np.float64]:
    return np.asarray(_numkong().astype(rounded, "float32")).astype(np.float64)


def _numkong() -> Any:
    """Loaded where it is needed: what searches no vectors does without."""
    import numkong

    return numkong
