"""Search against a sort of all scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motet import search
from motet.errors import DataError
from motet.search import Found, Index, fuse, highest, products, top
from motet.windows import Windows


def sorted_by(scores: NDArray[np.float32], k: int) -> Found:
    codes = np.full((len(scores), k), -1, np.int32)
    best = np.full((len(scores), k), -np.inf, np.float32)
    for i, row in enumerate(scores):
        order = [j for j in sorted(range(len(row)), key=lambda j: (-row[j], j)) if row[j] > -np.inf][:k]
        codes[i, : len(order)], best[i, : len(order)] = order, row[order]
    return codes, best


def equal(found: Found, want: Found) -> bool:
    return bool((found[0] == want[0]).all() and (found[1] == want[1]).all())


@given(st.integers(0, 100_000), st.integers(1, 700), st.integers(1, 20), st.sampled_from([1, 999, 1 << 24]))
@settings(max_examples=100)
def test_top_is_a_sort_of_all_scores_ties_by_lower_code(seed: int, m: int, k: int, held: int) -> None:
    rng = np.random.default_rng(seed)
    queries = rng.integers(-2, 3, (5, 3)).astype(np.float32)
    items = rng.integers(-2, 3, (m, 3)).astype(np.float32)
    bias = rng.integers(0, 2, m).astype(np.float32)
    exclude = Windows.of(rng.integers(-1, m + 3, 40), np.array([0, 9, 9, 20, 30, 40]))
    allowed = rng.random(m) < 0.8
    scores = queries @ items.T + bias
    scores[:, ~allowed] = -np.inf
    for i in range(5):
        scores[i, [code for code in exclude.row(i) if 0 <= code < m]] = -np.inf
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "HELD", held)
        assert equal(top(queries, items, k, bias, exclude, allowed), sorted_by(scores, k))


@pytest.mark.parametrize("queries", [0, 1, 2, 5, 32, 33])
@pytest.mark.parametrize("block", [500, 20_000, 950_000])
def test_products_are_those_of_the_matrices(queries: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(queries)
    asked = rng.standard_normal((queries, 24), dtype=np.float32)
    items = rng.standard_normal((1_003, 24), dtype=np.float32)
    monkeypatch.setattr(search, "BLOCK", block)
    assert products(asked, items) == pytest.approx(asked @ items.T, abs=1e-5)


def test_highest_of_many_items_is_a_sort_even_where_all_are_equal() -> None:
    rng = np.random.default_rng(0)
    for scores in (rng.normal(size=(4, 5000)), rng.integers(0, 3, (4, 5000)), np.zeros((2, 5000))):
        for k in (1, 10, 38, 39, 40, 4999, 6000):
            found = highest(scores.astype(np.float32), k)
            assert equal(found, sorted_by(scores.astype(np.float32), k))


def test_an_item_without_a_score_is_never_found() -> None:
    items = np.ones((300, 2), np.float32)
    items[7] = np.nan
    codes, scores = top(np.ones((1, 2), np.float32), items, 300)
    assert 7 not in codes
    assert codes[0, -1] == -1
    assert not np.isnan(scores).any()


def test_no_items_and_no_queries() -> None:
    assert top(np.ones((2, 3), np.float32), np.ones((0, 3), np.float32), 4)[0].tolist() == [[-1] * 4] * 2
    assert top(np.ones((0, 3), np.float32), np.ones((5, 3), np.float32), 4)[0].shape == (0, 4)


def test_queries_of_other_dimensions_are_refused() -> None:
    with pytest.raises(DataError, match="items have 4 dimensions"):
        top(np.ones((2, 3), np.float32), np.ones((5, 4), np.float32), 4)


def reciprocal_ranks(lists: list[NDArray[np.int64]], k: int) -> list[list[int]]:
    fused: list[list[int]] = []
    for rows in zip(*lists, strict=True):
        scores: dict[int, list[float]] = {}
        for row in rows:
            for code in dict.fromkeys(row.tolist()):
                if code >= 0:
                    scores.setdefault(code, []).append(1 / (61 + row.tolist().index(code)))
        order = sorted(scores, key=lambda code: (-sum(sorted(scores[code], reverse=True)), code))[:k]
        fused.append(order + [-1] * (k - len(order)))
    return fused


@given(st.integers(0, 100_000), st.integers(1, 4), st.integers(1, 12))
@settings(max_examples=100)
def test_fusion_is_the_sum_of_reciprocal_ranks(seed: int, lists: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    ranked = [rng.integers(-1, 9, (6, rng.integers(0, 7))) for _ in range(lists)]
    codes, scores = fuse(ranked, k)
    assert codes.tolist() == reciprocal_ranks(ranked, k)
    assert (scores[:, 1:] <= scores[:, :-1]).all()
    assert equal(fuse(ranked[::-1], k), (codes, scores))


def test_fusion_without_k_keeps_the_largest_union() -> None:
    codes, _ = fuse([np.array([[3, 1], [2, -1]]), np.array([[1, 5], [2, -1]])])
    assert codes.tolist() == [[1, 3, 5], [2, -1, -1]]


@pytest.fixture(scope="module")
def items() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(5000, 16)).astype(np.float32)


def test_an_index_finds_most_of_what_exact_search_finds(items: NDArray[np.float32]) -> None:
    bias = np.random.default_rng(1).normal(size=5000).astype(np.float32)
    codes, scores = Index.build(items, bias).search(items[:50], 10)
    exact, _ = top(items[:50], items, 10, bias)
    recall = np.mean([np.isin(a, b).mean() for a, b in zip(exact, codes, strict=True)])
    assert recall > 0.9
    products = np.take_along_axis(items[:50] @ items.T + bias, codes.astype(np.int64), axis=1)
    np.testing.assert_allclose(scores, products, rtol=1e-4)


def test_an_index_leaves_k_after_exclusions(items: NDArray[np.float32]) -> None:
    index = Index.build(items)
    exclude = Windows(np.arange(3000), np.array([0, 0]), np.array([1000, 0]))
    allowed = np.arange(5000) % 50 == 3
    codes, _ = index.search(items[:2], 20, exclude, allowed)
    assert (codes >= 0).all()
    assert (codes % 50 == 3).all()
    assert (codes[0] >= 1000).all()


def test_an_index_finds_whatever_exclusions_leave() -> None:
    rng = np.random.default_rng(0)
    items = rng.standard_normal((1_500, 8), dtype=np.float32)
    items = np.vstack([items, items])  # of two equal ones the graph may lead to one alone
    index = Index.build(items, threads=1)
    for queries in np.split(items[:120], 40):
        allowed = np.zeros(3_000, np.bool_)
        allowed[rng.integers(0, 3_000, 3)] = True
        exclude = Windows.of(np.flatnonzero(allowed)[:1], np.array([0, 0, 1, 1]))
        codes, scores = index.search(queries, 3, exclude, allowed)
        exact = top(queries, items, 3, None, exclude, allowed)
        assert codes.tolist() == exact[0].tolist()
        np.testing.assert_allclose(scores, exact[1], atol=1e-4)


def test_a_viewed_index_finds_what_the_built_one_finds(items: NDArray[np.float32], tmp_path: Path) -> None:
    built = Index.build(items)
    np.save(tmp_path / "index.npy", built.data())
    viewed = Index.view(np.load(tmp_path / "index.npy", mmap_mode="r"))
    exclude = Windows(np.arange(3000), np.array([0, 0]), np.array([1000, 0]))
    assert len(viewed) == len(items)
    assert equal(viewed.search(items[:100], 10), built.search(items[:100], 10))
    assert equal(viewed.search(items[:2], 20, exclude), built.search(items[:2], 20, exclude))


def test_progress_is_told_while_an_index_is_built(items: NDArray[np.float32]) -> None:
    told: list[tuple[int, int, str]] = []
    index = Index.build(items[:2500], progress=lambda done, of, said: told.append((done, of, said)))
    assert told == [(1024, 2500, "items"), (2048, 2500, "items"), (2500, 2500, "items")]
    assert len(index) == 2500


def test_one_thread_builds_the_same_index_twice(items: NDArray[np.float32]) -> None:
    first, second = (Index.build(items, threads=1).search(items[:100], 10) for _ in range(2))
    assert equal(first, second)


def test_an_index_that_reaches_fewer_than_asked_for_makes_none_up() -> None:
    items = np.random.default_rng(0).standard_normal((1_500, 8), dtype=np.float32)
    index = Index.build(np.vstack([items, items]))
    for queries in (items[:1], items[:3]):
        codes, scores = index._fetch(queries, 2_999, 2_999, None, None, 0)
        for row, best in zip(codes, scores, strict=True):
            found = row[row >= 0]
            assert len(set(found.tolist())) == len(found) < 2_999
            assert np.isfinite(best[row >= 0]).all()
        assert (np.sort(index.search(queries, 3_000)[0]) == np.arange(3_000)).all()


def test_an_empty_index_finds_nothing() -> None:
    assert Index.build(np.zeros((0, 4), np.float32)).search(np.ones((1, 4), np.float32), 3)[0].tolist() == [[-1] * 3]
