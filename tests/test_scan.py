"""Scanning in 16 bits against exact search."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motet import scan
from motet.scan import Coarse, Scan
from motet.search import Matrix, top
from motet.windows import Windows


@pytest.fixture(autouse=True, scope="module")
def any_size() -> Iterator[None]:
    """Also few items are scanned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "SMALL", 0)
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
@settings(max_examples=200, deadline=None)
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
@settings(max_examples=50, deadline=None)
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
        for some, asked in ((holed, queries), (items, odd)):
            assert np.array_equal(Scan(some).search(asked, 5), top(asked, some, 5), equal_nan=True)


def test_a_query_of_nothing_is_answered() -> None:
    items = np.eye(4, dtype=np.float32)
    assert Scan(items).search(np.zeros((1, 4), np.float32), 2)[0].tolist() == [[0, 1]]
    assert Scan(items).search(np.zeros((0, 4), np.float32), 2)[0].shape == (0, 2)
