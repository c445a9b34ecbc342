"""Ranking metrics against a brute force that sorts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from motet.errors import DataError
from motet.metrics.ranking import MISS, hit_rate, mrr, ndcg, rank_of, recall
from motet.windows import Windows


def place(scores: list[float], target: int, hidden: set[int]) -> int:
    """The worst place that the true item can get when the shown items are sorted by score."""
    if target < 0 or target in hidden:
        return MISS
    clean = [-np.inf if np.isnan(score) else score for score in scores]
    shown = sorted((i for i in range(len(clean)) if i not in hidden), key=lambda i: (-clean[i], i == target))
    return shown.index(target)


@given(st.integers(0, 100_000), st.integers(1, 12))
@settings(max_examples=150)
def test_ranks_are_the_worst_place_among_the_shown_items(seed: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.choice([0.0, -0.0, 1.0, 2.5, np.nan, -np.inf, np.inf], (9, m)).astype(np.float32)
    target = rng.integers(-1, m, 9)
    exclude = Windows.of(rng.integers(-1, m + 2, 30), np.sort(np.append(rng.integers(0, 31, 8), [0, 30])))
    ranks = rank_of(scores, target, exclude)
    assert ranks.tolist() == [place(scores[i].tolist(), target[i], set(exclude.row(i).tolist())) for i in range(9)]
    assert rank_of(scores, target).tolist() == [place(scores[i].tolist(), target[i], set()) for i in range(9)]


def test_a_constant_model_ranks_last_not_first() -> None:
    for constant in (0.5, np.nan, -np.inf):
        assert rank_of(np.full((1, 100), constant), np.array([0])).tolist() == [99]


def test_a_target_outside_the_scored_items_is_refused() -> None:
    with pytest.raises(DataError, match="true item 3 is not among 3"):
        rank_of(np.zeros((1, 3)), np.array([3]))


def test_no_items_and_no_requests() -> None:
    assert rank_of(np.zeros((2, 0)), np.array([-1, -1])).tolist() == [MISS, MISS]
    assert len(ndcg(rank_of(np.zeros((0, 4)), np.array([], np.int64)), 10)) == 0


@given(st.integers(0, 100_000), st.integers(1, 30))
@settings(max_examples=60)
def test_ndcg_is_scikit_learns(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    scores, target = rng.permuted(np.tile(np.arange(20.0), (5, 1)), axis=1), rng.integers(0, 20, 5)
    found = ndcg(rank_of(scores, target), k)
    assert found.mean() == pytest.approx(ndcg_score(np.eye(20)[target], scores, k=k))


def test_the_metrics_by_hand() -> None:
    ranks = np.array([0, 1, 2, 9, 10, MISS])
    assert hit_rate(ranks, 10).tolist() == [1, 1, 1, 1, 0, 0]
    assert ndcg(ranks, 3).tolist() == [1, 1 / np.log2(3), 0.5, 0, 0, 0]
    assert mrr(ranks).tolist() == [1, 1 / 2, 1 / 3, 1 / 10, 1 / 11, 0]
    assert mrr(ranks, 2).tolist() == [1, 1 / 2, 0, 0, 0, 0]
    assert recall(ranks, 10).tolist() == hit_rate(ranks, 10).tolist()


def test_recall_of_requests_with_several_true_items() -> None:
    ranks = np.array([0, 12, 3, MISS])
    shares = recall(ranks, 10, Windows(ranks, np.array([0, 3, 4]), np.array([3, 4, 4])))
    assert shares[:2].tolist() == [2 / 3, 0]
    assert np.isnan(shares[2])


def test_ranks_that_cannot_be_are_refused() -> None:
    with pytest.raises(DataError, match="1 ranks are negative"):
        hit_rate(np.array([0, -1]), 10)
    with pytest.raises(DataError, match="the first 0 items"):
        ndcg(np.array([0]), 0)
