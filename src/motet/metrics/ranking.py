"""How well a ranking finds the one true item of each request.

Every metric takes ranks and gives one number per request, float64 [n], so that intervals and paired
differences can be taken of it; `intervals.mean` makes the one figure.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.errors import DataError
from motet.windows import Windows

Ranks = NDArray[np.int64]
Floats = NDArray[np.float64]

MISS = int(np.iinfo(np.int64).max)
"""The rank of a true item that is not in the list at all."""


def ndcg(ranks: Ranks, k: int) -> Floats:
    """Normalized discounted cumulative gain with one true item: 1 / log2(rank + 2) within the first k.

    ranks: int64 [n], 0 is the first place. Source: Järvelin & Kekäläinen 2002.
    """
    return np.where(_within(ranks, k), 1 / np.log2(ranks.astype(np.float64) + 2), 0.0)


def hit_rate(ranks: Ranks, k: int) -> Floats:
    """1 where the true item is within the first k. With one true item a request this is the recall."""
    return _within(ranks, k).astype(np.float64)


def recall(ranks: Ranks, k: int, requests: Windows | None = None) -> Floats:
    """The share of a request's true items within the first k.

    ranks: int64, one a true item. requests: which of the ranks belong to each request, where a request
    can have several true items: `Windows(ranks, starts, ends)`. A request without any is NaN.
    """
    hits = hit_rate(ranks, k)
    return hits if requests is None else Windows(hits, requests.starts, requests.ends).mean()


def mrr(ranks: Ranks, k: int = MISS) -> Floats:
    """Reciprocal rank, 1 / (rank + 1), within the first k (of the whole list if not given)."""
    return np.where(_within(ranks, k), 1 / (ranks.astype(np.float64) + 1), 0.0)


def rank_of(
    scores: NDArray[np.floating[Any]], target: NDArray[np.integer[Any]], exclude: Windows | None = None
) -> Ranks:
    """The place of the true item among all items, counted against the model: ties rank before it.

    scores: [n, m]; NaN counts as -inf, so a model that says the same of all items ranks last.
    target: [n] item codes; -1 is an item that the model does not know: MISS.
    exclude: item codes per request that are not shown (seen items); a target among them is a MISS.
    """
    n, m = scores.shape
    if len(target) and int(target.max()) >= m:
        raise DataError(f"the true item {int(target.max())} is not among {m} scored items", help="-1: unknown")
    known: NDArray[np.bool_] = target >= 0
    if not known.any():
        return np.full(len(scores), MISS, np.int64)
    own = scores[np.arange(n), np.where(known, target, 0)]
    own = np.where(np.isnan(own), -np.inf, own)
    ranks = np.count_nonzero(_ahead(scores, own[:, None]), axis=1) - 1
    if exclude is not None:
        rows, codes = _pairs(exclude, m)
        ahead = _ahead(scores[rows, codes], own[rows])
        ranks = ranks - np.bincount(rows[ahead], minlength=n)
        known = known & (np.bincount(rows[codes == target[rows]], minlength=n) == 0)
    return np.where(known, ranks, MISS)


def _ahead(scores: NDArray[Any], own: NDArray[Any]) -> NDArray[np.bool_]:
    """What the true item does not beat. Everything, NaN too, where its own score is -inf."""
    return (scores >= own) | np.isneginf(own)


def _pairs(codes: Windows, m: int) -> tuple[Ranks, Ranks]:
    """The (row, code) pairs of ragged item codes, each once; codes that name no item are left out."""
    values, offsets = codes.flat()
    rows = np.repeat(np.arange(len(codes)), np.diff(offsets))
    real = (values >= 0) & (values < m)
    pairs = np.unique(rows[real] * m + values[real])
    return pairs // m, pairs % m


def _within(ranks: Ranks, k: int) -> NDArray[np.bool_]:
    if k < 1:
        raise DataError(f"the first {k} items are none", help="k=10")
    if len(ranks) and int(ranks.min()) < 0:
        raise DataError(f"{int((ranks < 0).sum())} ranks are negative", help="0 is the first place, MISS is none")
    return ranks < k
