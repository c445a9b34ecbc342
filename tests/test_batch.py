"""Values: what row -1 gives, what candidates hold, and vocabularies that are put together."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.batch import NO_TIME, Codes, Factors, Pairs, Ragged, Vocabulary, concat, offsets_of, take
from motet.windows import Windows

NAMES = Vocabulary(pa.array(["tea", "cup"], pa.large_string()))


def test_the_candidates_of_some_requests_are_theirs_in_the_order_asked_for() -> None:
    pairs = Pairs(np.array([0, 2, 2, 5]), np.array([7, 8, 1, 2, 3]), np.array([0.9, 0.8, 0.7, 0.6, 0.5]))
    some = pairs.of(np.array([2, 1, 0]))
    assert some.offsets.tolist() == [0, 3, 3, 5]
    assert some.items.tolist() == [1, 2, 3, 7, 8]
    assert some.scores.tolist() == [0.7, 0.6, 0.5, 0.9, 0.8]
    assert len(pairs.of(np.array([1])).items) == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([1.0, 2.0]), [2.0, np.nan, np.nan]),
        (np.array([1, 2], np.int64), [2, NO_TIME, NO_TIME]),
        (np.array([[1.0], [2.0]], np.float32), [[2.0], [0.0], [0.0]]),
    ],
)
def test_a_row_that_is_not_there_gives_the_missing_value_of_the_kind(value, expected) -> None:
    np.testing.assert_array_equal(take(value, np.array([1, -1, 2])), expected)


def test_a_text_a_code_and_a_history_are_missing_in_their_own_way() -> None:
    rows = np.array([0, -1, 7])
    assert take(pa.array(["a", "b"]), rows).to_pylist() == ["a", None, None]
    assert take(Codes(np.array([1, 0], np.int32), NAMES), rows).codes.tolist() == [1, -1, -1]
    history = Ragged(Windows(np.array([4, 5, 6]), np.array([0, 2]), np.array([2, 3])))
    assert [take(history, rows).windows.row(i).tolist() for i in range(3)] == [[4, 5], [], []]


def test_taking_from_nothing_gives_only_missing_values() -> None:
    assert np.isnan(take(np.zeros(0), np.array([-1, 0]))).all()
    assert take(Codes(np.zeros(0, np.int32), NAMES), np.array([0])).codes.tolist() == [-1]


def test_codes_of_two_vocabularies_are_put_together_by_name() -> None:
    other = Vocabulary(pa.array(["pot", "tea"], pa.large_string()))
    both = concat([Codes(np.array([0, -1], np.int32), NAMES), Codes(np.array([1, 0], np.int32), other)])
    assert both.names.names.take(pa.array(both.codes, mask=both.codes < 0)).to_pylist() == ["tea", None, "tea", "pot"]


def test_tags_of_two_vocabularies_are_put_together_by_name() -> None:
    other = Vocabulary(pa.array(["pot", "tea"], pa.large_string()))
    parts = [Ragged(Windows(np.array([0, 1]), np.array([0]), np.array([2])), names) for names in (NAMES, other)]
    both = concat(parts)
    assert both.names.names.take(pa.array(both.windows.compact().values)).to_pylist() == ["tea", "cup", "pot", "tea"]


candidates = st.lists(st.lists(st.integers(0, 9), unique=True, max_size=6), min_size=1, max_size=5)


def pairs_of(lists: list[list[int]], seed: int = 0) -> Pairs:
    items = np.array([item for row in lists for item in row], np.int32)
    scores = np.random.default_rng(seed).permutation(len(items)).astype(np.float32)
    return Pairs(offsets_of(np.array([len(row) for row in lists])), items, scores).scored(scores)


@given(candidates)
def test_candidates_are_best_first_and_keep_their_requests(lists: list[list[int]]) -> None:
    pairs = pairs_of(lists)
    for i, row in enumerate(lists):
        mine = slice(pairs.offsets[i], pairs.offsets[i + 1])
        assert sorted(pairs.items[mine].tolist()) == sorted(row)
        assert (np.diff(pairs.scores[mine]) < 0).all()


@given(candidates, st.integers(1, 4))
def test_the_top_of_candidates_is_their_beginning(lists: list[list[int]], k: int) -> None:
    pairs, top = pairs_of(lists), pairs_of(lists).top(k)
    for i in range(len(lists)):
        mine = pairs.items[pairs.offsets[i] : pairs.offsets[i + 1]]
        assert top.items[top.offsets[i] : top.offsets[i + 1]].tolist() == mine[:k].tolist()


@given(candidates)
def test_a_candidate_has_its_score_and_another_item_has_none(lists: list[list[int]]) -> None:
    pairs = pairs_of(lists)
    requests, items = np.repeat(np.arange(len(lists)), 12), np.tile(np.arange(12), len(lists))
    found = pairs.at(requests, items)
    known = {(int(r), int(i)): s for r, i, s in zip(pairs.requests, pairs.items, pairs.scores, strict=True)}
    for request, item, score in zip(requests.tolist(), items.tolist(), found, strict=True):
        assert score == known[(request, item)] if (request, item) in known else np.isnan(score)


def test_a_request_of_zeros_has_nothing_to_say_of_any_item() -> None:
    scores = Factors(np.array([[1.0, 0.0], [0.0, 0.0]], np.float32), np.eye(2, dtype=np.float32))
    np.testing.assert_array_equal(scores.dense(slice(0, 2)), [[1, 0], [np.nan, np.nan]])
    np.testing.assert_array_equal(scores.at(np.array([1, 0]), np.array([0, 0])), [np.nan, 1])
