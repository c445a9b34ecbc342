"""Scanning in 16 bits against exact search."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motet import scan
from motet.errors import DataError
from motet.scan import Coarse, Scan
from motet.search import Matrix, top
from motet.windows import Windows


@pytest.fixture(autouse=True, scope="module")
def any_size() -> Iterator[None]:
    """Also few items are scanned, and many that are alike."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "SMALL", 0)
        patch.setattr(scan, "SHARE", 1.0)
        yield


def items_of(rng: np.random.Generator, kind: str, m: int, d: int) -> Matrix:
    drawn = rng.standard_normal((m, d)).astype(np.float32)
    if kind == "whole":
        return rng.integers(-3, 4, (m, d)).astype(np.float32)
    if kind == "alike":
        return (drawn[:1] + 0.001 * drawn).astype(np.float32)
    if kind == "of all lengths":
        return drawn * (10.0 ** rng.uniform(-20, 10, (m, 1))).astype(np.float32)
    drawn[rng.random(m) < 0.3] = 0
    return drawn


@given(
    st.integers(0, 1_000_000),
    st.sampled_from(["whole", "alike", "of all lengths", "some empty"]),
    st.integers(1, 400),
    st.integers(1, 70),
    st.integers(1, scan.FEW),
    st.integers(1, 50),
    st.booleans(),
)
@settings(max_examples=200)
def test_a_scan_finds_what_exact_search_finds(
    seed: int, kind: str, m: int, d: int, n: int, k: int, excluding: bool
) -> None:
    rng = np.random.default_rng(seed)
    items = items_of(rng, kind, m, d)
    queries = (rng.integers(-2, 3, (n, d)) if kind == "whole" else rng.standard_normal((n, d))).astype(np.float32)
    exclude = Windows.of(rng.integers(-1, m + 3, 5 * n), np.arange(n + 1) * 5) if excluding else None
    codes, scores = Scan(items).search(queries, k, exclude)
    wanted, best = top(queries, items, k, exclude=exclude)
    lengths = np.linalg.norm(queries, axis=1, keepdims=True) * np.linalg.norm(items, axis=1).max()
    assert ((codes >= 0) == (wanted >= 0)).all()
    there = codes >= 0
    assert np.allclose(scores[there], best[there], rtol=1e-4, atol=1e-6 * lengths.max())
    if kind == "whole":  # no sum is rounded, so equal scores are equal, and the order is known
        assert (codes == wanted).all()


@given(st.integers(0, 1_000_000), st.integers(1, 300))
@settings(max_examples=50)
def test_no_score_is_further_off_than_is_said(seed: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    items, queries = (rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-9, 9, (n, 1)) for n in (200, 6))
    coarse = Coarse.of(items.astype(np.float32))
    exact = queries @ items.T / np.linalg.norm(queries, axis=1, keepdims=True)
    least, spread = coarse.least(queries.astype(np.float32))
    assert (least <= exact).all()
    assert (least + spread >= exact).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_items_and_queries_that_are_no_numbers_are_left_to_exact_search(wrong: float) -> None:
    rng = np.random.default_rng(0)
    items, queries = rng.standard_normal((50, 8), np.float32), rng.standard_normal((2, 8), np.float32)
    holed, odd = items.copy(), queries.copy()
    holed[7, 3], odd[1, 2] = wrong, wrong
    with np.errstate(invalid="ignore"):
        assert np.array_equal(Scan(holed).search(queries, 5), top(queries, holed, 5), equal_nan=True)
        codes, scores = Scan(items).search(odd, 5)
        wanted, best = top(odd, items, 5)
    assert np.array_equal(codes, wanted)
    assert np.array_equal(scores[1], best[1])
    assert np.allclose(scores, best, rtol=1e-5)


@pytest.mark.parametrize("beside", [0.0, np.nan])
def test_a_query_that_is_scanned_is_answered_alike_whatever_is_beside_it(beside: float) -> None:
    rng = np.random.default_rng(0)
    items, queries = rng.standard_normal((300, 16), np.float32), rng.standard_normal((6, 16), np.float32)
    hidden, fit = Windows.of(rng.integers(0, 300, 60), np.arange(7) * 10), rng.random((6, 300)) < 0.5
    codes, scores = Scan(items).search(queries, 9, hidden, fit)
    queries[2] = beside
    others = np.array([0, 1, 3, 4, 5])
    again = Scan(items).search(queries, 9, hidden, fit)
    assert np.array_equal(again[0][others], codes[others])
    assert np.array_equal(again[1][others], scores[others])
    alone = Scan(items).search(queries[4:5], 9, hidden.take(np.array([4])), fit[4])
    assert np.array_equal(alone[1][0], scores[4])


@pytest.mark.parametrize("exponents", [(20, 19), (37, -6), (0, 37.9), (-30, -12), (0, -39)])
def test_scores_beyond_a_floats_range_are_those_of_exact_search(exponents: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    queries, items = (
        (rng.uniform(-3, 3, (n, 40)) * 10.0**e).astype(np.float32) for n, e in zip((4, 200), exponents, strict=True)
    )
    fit = rng.random((4, 200)) < 0.2
    with np.errstate(all="ignore"):
        codes, scores = Scan(items).search(queries, 10, allowed=fit)
        wanted, best = top(queries, items, 10, allowed=fit)
    assert all(fit[row, code] for row in range(4) for code in codes[row] if code >= 0)
    assert not np.isnan(scores).any()
    assert np.array_equal(codes >= 0, wanted >= 0)
    assert np.allclose(scores[codes >= 0], best[codes >= 0], rtol=1e-4, atol=1e-38)


def test_where_16_bits_tell_too_few_apart_all_are_scored_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    items = np.repeat(rng.standard_normal((1, 8), np.float32), 400, axis=0)
    monkeypatch.setattr(scan, "SHARE", 1 / 16)
    monkeypatch.setattr(Scan, "_scores", None)  # one by one it would take a hundred times as long
    assert Scan(items).search(items[:3], 10)[0].tolist() == [list(range(10))] * 3


def test_a_first_none_is_refused_as_by_exact_search() -> None:
    items = np.eye(4, dtype=np.float32)
    with pytest.raises(DataError, match="the first 0 items are none"):
        Scan(items).search(items, 0)


def test_a_query_of_nothing_is_answered() -> None:
    items = np.eye(4, dtype=np.float32)
    assert Scan(items).search(np.zeros((1, 4), np.float32), 2)[0].tolist() == [[0, 1]]
    assert Scan(items).search(np.zeros((0, 4), np.float32), 2)[0].shape == (0, 2)
