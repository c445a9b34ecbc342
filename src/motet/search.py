"""Which items score highest for each query: exact by matrix product, approximate above a size, fused.

Codes are int32 rows of the item table. Every result is padded with code -1 and score -inf where a
request has fewer items than asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.clock import library
from motet.errors import DataError
from motet.windows import Windows

Matrix = NDArray[np.float32]
Codes = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Found = tuple[Codes, Matrix]

EXACT_UP_TO = 20_000
"""Items up to which `top` is the one to use, between the sizes that bench/search.py compares on 2 cores.

A lone query of 64 dimensions takes exact search 0.10 ms over 10,000 items and 0.54 ms over 50,000, the index
0.12 ms and 0.22 ms. With 384 dimensions the index is ahead earlier. It takes 12 to 21 s to build for 50,000
items, once where it is prepared, and misses up to 0.5 % of what exact search finds: where that is not worth it,
`top` fits any size.
"""

HELD = 1 << 24
"""Scores that are held at a time: 64 MB of float32."""

FEW = 32
"""Queries up to which their product with all items is taken by blocks."""

BLOCK = 950_000
"""Multiplications in a block: up to a million OpenBLAS multiplies in place. Beyond, it first copies all items in
another order, which takes longer than the product itself where queries are few: bench/LOG.md.
"""

GRAPH = {"metric": "ip", "dtype": "f32"}
"""What an index is: everything else about it is left to the library."""

ADDED = 1024
"""Items that are added to an index at a time, between two words of progress."""

STRIDE = 64
RRF = 60
"""The constant of reciprocal rank fusion. Source: Cormack, Clarke & Büttcher 2009."""


def top(
    queries: Matrix,
    items: Matrix,
    k: int,
    bias: Matrix | None = None,
    exclude: Windows | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> Found:
    """The k items of the highest `queries @ items.T + bias`, descending; equal scores by lower code.

    queries: [n, d], items: [m, d], bias: [m]. exclude: item codes per query that are not wanted.
    allowed: bool [m], or [n, m] per query: the items that may be found at all. One whose score is NaN is not found.
    """
    check(queries, items.shape[1], k)
    codes, scores = padding(len(queries), k)
    step = max(1, HELD // max(1, len(items)))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        product = products(queries[block], items)
        if bias is not None:
            product += bias
        if allowed is not None:
            product[~per_query(allowed, len(queries))[block]] = -np.inf
        if exclude is not None:
            product[named(exclude, block, len(items))] = -np.inf
        codes[block], scores[block] = highest(product, k)
    return codes, scores


def products(queries: Matrix, items: Matrix) -> Matrix:
    """queries @ items.T: [n, m] of queries [n, d] and items [m, d]."""
    n, d = queries.shape
    step = BLOCK // max(1, n * d)
    if not 1 < n <= FEW or step < STRIDE:
        return queries @ items.T
    columns, out = np.ascontiguousarray(queries.T), np.empty((len(items), n), np.float32)
    for start in range(0, len(items), step):
        np.matmul(items[start : start + step], columns, out=out[start : start + step])
    return np.ascontiguousarray(out.T)


def highest(scores: Matrix, k: int) -> Found:
    """The k highest of each row of `scores` [n, m], descending, equal scores by lower code; NaN is -inf."""
    if np.isnan(scores.max(initial=-np.inf)):
        scores = np.where(np.isnan(scores), np.float32(-np.inf), scores)
    edge = kth(scores, k)
    kept = scores >= edge
    if np.count_nonzero(kept) > len(scores) * k:
        kept = _first_equal(scores, edge, k)
    rows, codes = places(kept & (scores > -np.inf))
    return ranked(rows, codes, scores[rows, codes], len(scores), k)


def kth(scores: Matrix, k: int) -> Matrix:
    """The k-th highest of each row of `scores` [n, m], which has no NaN: [n, 1], -inf where there are fewer."""
    least = scores.shape[1] - k
    if least < 0:
        return np.full((len(scores), 1), -np.inf, np.float32)
    return np.partition(scores, least, axis=1)[:, least, None]


def places(chosen: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(row, code) of what holds, by row and then code."""
    rows, codes = np.divmod(np.flatnonzero(chosen), max(1, chosen.shape[1]))
    return rows, codes


def _first_equal(scores: Matrix, edge: Matrix, k: int) -> NDArray[np.bool_]:
    """What is above the edge, and of what lies on it the first that there is room for."""
    above, equal = scores > edge, scores == edge
    room = k - above.sum(axis=1, keepdims=True)
    return above | (equal & (np.cumsum(equal, axis=1) <= room))


def fuse(lists: Sequence[NDArray[np.integer[Any]]], k: int | None = None) -> Found:
    """One ranking of several per request: an item scores the sum of 1 / (RRF + place) over its lists.

    lists: codes [n, k_i] each, best first, padded with -1; a code that a list repeats counts once.
    k: how many to keep; if not given, the largest union. Equal scores by lower code.
    """
    n = len(lists[0])
    flat = np.concatenate([codes.ravel() for codes in lists])
    row = np.concatenate([np.repeat(np.arange(n), codes.shape[1]) for codes in lists])
    place = np.concatenate([_places(n, codes.shape[1]) for codes in lists])
    of = np.repeat(np.arange(len(lists)), [codes.size for codes in lists])
    # Equal places lie together, so a sum does not depend on which list gave which place.
    order = np.lexsort((of, place, flat, row))
    order = order[flat[order] >= 0]
    order = order[_first_of(row[order], flat[order], of[order])]
    row, flat, place = row[order], flat[order], place[order]
    new = np.append([True], (row[1:] != row[:-1]) | (flat[1:] != flat[:-1]))[: len(row)]
    score = np.bincount(np.cumsum(new) - 1, 1 / (RRF + 1.0 + place))
    row, flat = row[new], flat[new]
    return ranked(row, flat, score, n, k if k is not None else int(np.bincount(row, minlength=1).max()))


class Index:
    """Approximate search by inner product in a navigable graph (HNSW), as bytes that processes share.

    Built once, kept, viewed memory-mapped. Scores are exact; which items are found is approximate.
    Source: Malkov & Yashunin 2016, by the usearch library.
    """

    def __init__(self, graph: Any, viewed: Bytes | None = None) -> None:
        """viewed: the bytes that the graph lies in, which have to live as long as it does."""
        self._graph, self._viewed = graph, viewed

    @staticmethod
    def build(
        items: Matrix,
        bias: Matrix | None = None,
        threads: int = 0,
        progress: Callable[[int, int, str], None] = lambda done, of, said: None,
    ) -> Index:
        """An index over items [m, d]. threads: 0 is all cores; with 1 the same items give the same graph.

        progress: called with (done, of, "items") while it is built.
        """
        vectors = items if bias is None else np.column_stack((items, bias))
        graph = _library().Index(ndim=vectors.shape[1], **GRAPH)
        for start in range(0, len(vectors), ADDED):
            block = np.ascontiguousarray(vectors[start : start + ADDED], np.float32)
            # The first by one thread: several that begin at once with nothing leave some of it out of reach.
            graph.add(np.arange(start, start + len(block)), block, threads=threads if start else 1)
            progress(start + len(block), len(vectors), "items")
        return Index(graph)

    @staticmethod
    def builder() -> str:
        """What builds it, as text: an index that another builder made is another one, and may not be readable."""
        return f"usearch {version('usearch').split('.')[0]} {GRAPH}"

    @staticmethod
    def view(data: Bytes) -> Index:
        """The index that `data` gave, read where it lies: of memory-mapped bytes processes share the memory."""
        return Index(_library().Index.restore(data, view=True), data)

    def data(self) -> Bytes:
        """The index as bytes, for `view`."""
        return np.frombuffer(self._graph.save(), np.uint8)

    def __len__(self) -> int:
        return len(self._graph)

    def search(
        self,
        queries: Matrix,
        k: int,
        exclude: Windows | None = None,
        allowed: NDArray[np.bool_] | None = None,
        threads: int = 0,
    ) -> Found:
        """About the k items of the highest inner product, as `top` gives them.

        Fetches more than k by as many as are excluded, and twice as many again while too few are left: in the end all
        items, which is exact, since the graph need not lead to each of them.
        """
        check(queries, self._graph.ndim, k, beside=1)
        if self._graph.ndim == queries.shape[1] + 1:
            queries = np.column_stack((queries, np.ones(len(queries), np.float32)))
        most = int(exclude.lengths.max(initial=0)) if exclude is not None else 0
        fetch, wanted = min(k + most, len(self)), np.full(len(queries), k)
        if allowed is not None:
            allowed = np.array(per_query(allowed, len(queries)))
            if exclude is not None:
                allowed[named(exclude, slice(0, len(queries)), len(self))] = False
            wanted = np.minimum(k, allowed.sum(axis=1))
        while True:
            found = self._fetch(queries, fetch, k, exclude, allowed, threads)
            enough = (found[0] >= 0).sum(axis=1) >= wanted
            if enough.all() or fetch >= len(self):
                return found
            fetch = min(2 * fetch, len(self))

    def _fetch(
        self,
        queries: Matrix,
        fetch: int,
        k: int,
        exclude: Windows | None,
        allowed: NDArray[np.bool_] | None,
        threads: int,
    ) -> Found:
        if fetch == 0 or len(queries) == 0:
            return padding(len(queries), k)
        every = fetch == len(self)
        matches = self._graph.search(np.ascontiguousarray(queries, np.float32), fetch, threads=threads, exact=every)
        codes = np.asarray(matches.keys, np.int64).reshape(len(queries), -1)
        with np.errstate(invalid="ignore"):
            scores = 1 - np.asarray(matches.distances, np.float32).reshape(codes.shape)
        # It may find fewer than it was asked for, and what is beyond them is not written.
        keep = np.arange(codes.shape[1]) < np.reshape(matches.counts if len(queries) > 1 else len(matches), (-1, 1))
        keep &= (codes < len(self)) & ~np.isnan(scores)
        if allowed is not None:
            keep &= np.take_along_axis(allowed, np.where(keep, codes, 0), axis=1)
        if exclude is not None:
            rows, hidden = named(exclude, slice(0, len(queries)), len(self))
            pairs = np.arange(len(queries))[:, None] * len(self) + codes
            keep &= ~np.isin(pairs, rows * len(self) + hidden)
        rows, columns = np.nonzero(keep)
        codes, scores = codes[rows, columns], scores[rows, columns]
        by_code = np.lexsort((codes, rows))
        return ranked(rows, codes[by_code], scores[by_code], len(queries), k)


def _library() -> Any:
    """usearch, loaded when it is needed and after pyarrow.

    It brings a C++ runtime of its own, which takes the place of everybody's if it is the first one loaded,
    and LightGBM then gives every feature the same name.
    """
    importlib.import_module("pyarrow")
    return library("usearch.index")


def check(queries: Matrix, d: int, k: int, beside: int = 0) -> None:
    """Errors: DataError for queries of another width, and for a k that is none."""
    if queries.ndim != 2 or queries.shape[1] not in (d, d - beside):
        raise DataError(f"queries are {queries.shape}, items have {d} dimensions", help="queries of [n, d]")
    if k < 1:
        raise DataError(f"the first {k} items are none", help="k=10")


def ranked(rows: NDArray[Any], codes: NDArray[Any], scores: NDArray[Any], n: int, k: int) -> Found:
    """The first k of each row's (code, score), which come by row and then code, as padded arrays: descending, equal
    scores by lower code. No score is NaN."""
    ends: NDArray[np.int64] = np.searchsorted(rows, np.arange(n + 1))
    sizes = np.diff(ends)
    table = np.full((n, int(sizes.max(initial=0))), -np.inf, scores.dtype)
    table[np.arange(table.shape[1]) < sizes[:, None]] = scores
    order = np.argsort(-table, axis=1, kind="stable")[:, :k]
    out, width = padding(n, k), min(k, table.shape[1])
    kept = np.arange(width) < sizes[:, None]  # what is not there is last
    out[0][:, :width][kept] = codes[(ends[:-1, None] + order)[kept]]
    out[1][:, :width] = np.take_along_axis(table, order, axis=1)
    return out


def padding(n: int, k: int) -> Found:
    """What n queries find where there is nothing."""
    return np.full((n, k), -1, np.int32), np.full((n, k), -np.inf, np.float32)


def per_query(allowed: NDArray[np.bool_], n: int) -> NDArray[np.bool_]:
    """Which items each of n queries may find: bool [n, m] of [m] or [n, m]."""
    return np.broadcast_to(allowed, (n, allowed.shape[-1]))


def named(codes: Windows, block: slice, m: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(row in the block, code) of ragged item codes; codes that name no item are left out."""
    values, offsets = Windows(codes.values, codes.starts[block], codes.ends[block]).flat()
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    real = (values >= 0) & (values < m)
    return rows[real], values[real].astype(np.int64)


def _places(n: int, k: int) -> NDArray[np.int64]:
    return np.broadcast_to(np.arange(k), (n, k)).ravel()


def _first_of(row: NDArray[Any], code: NDArray[Any], of: NDArray[Any]) -> NDArray[np.int64]:
    """Positions, ascending, of the first place that each list gives a code."""
    lists = int(of.max(initial=0)) + 1
    span = int(code.max(initial=0)) + 1
    return np.sort(np.unique((row * span + code) * lists + of, return_index=True)[1])
