"""Windows and the as-of search against a loop that reads each row alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motet import windows
from motet.errors import DataError
from motet.windows import Windows, asof

AGGREGATES = ("count", "sum", "mean", "min", "max", "nunique")


def random_windows(seed: int, rows: int = 60, size: int = 200, kind: str = "float") -> Windows:
    rng = np.random.default_rng(seed)
    values: NDArray[Any] = rng.choice([0.1, -0.0, 0.0, np.nan, 7.3, 1e16, -3.0], size)
    if kind == "int":
        values = rng.integers(-5, 5, size)
    ends = rng.integers(0, size + 1, rows)
    return Windows(values, np.array([rng.integers(0, end + 1) for end in ends]), ends)


def alone(window: NDArray[Any], aggregate: str) -> float:
    kept = window[~np.isnan(window.astype(float))]
    match aggregate:
        case "count":
            return len(kept)
        case "nunique":
            return len(set(kept.tolist()))
        case "sum":
            return float(kept.astype(float).sum())
        case _:
            return float(getattr(kept.astype(float), aggregate)()) if len(kept) else np.nan


@given(st.integers(0, 10_000), st.sampled_from(["float", "int"]), st.sampled_from([1, 50, 10_000]))
@settings(max_examples=60)
def test_aggregates_equal_those_of_each_row_alone(seed: int, kind: str, block: int) -> None:
    rows = random_windows(seed, kind=kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "BLOCK", block)
        found = {name: getattr(rows, name)() for name in AGGREGATES}
    # Sums that cancel are exact to what was added, not to what is left.
    exact = np.array([1e-14 * np.nansum(np.abs(rows.row(i).astype(float))) for i in range(len(rows))])
    for name, values in found.items():
        wanted = np.array([alone(rows.row(i), name) for i in range(len(rows))])
        assert np.array_equal(np.isnan(values), np.isnan(wanted))
        assert (np.abs(values - wanted) <= exact)[~np.isnan(wanted)].all()


@given(st.integers(0, 10_000), st.integers(0, 300), st.integers(0, 9), st.integers(1, 400))
@settings(max_examples=80)
def test_an_aggregate_is_the_same_bits_anywhere(seed: int, length: int, shift: int, more: int) -> None:
    rng = np.random.default_rng(seed)
    window = rng.choice([-0.0, 0.0, np.nan, 1.0], length) * rng.lognormal(0, 9, length)
    around = np.concatenate([rng.normal(size=shift + more), window, rng.normal(size=more)])
    start = shift + more
    crowd_starts = rng.integers(0, start + 1, 20)
    crowd = Windows(around, np.append(crowd_starts, start), np.append(crowd_starts + 1, start + length))
    lone = Windows(window, np.array([0]), np.array([length]))
    for name in AGGREGATES:
        assert getattr(crowd, name)()[-1:].tobytes() == getattr(lone, name)().tobytes(), name


def test_a_sum_skips_nan_to_the_bit() -> None:
    values = np.random.default_rng(0).lognormal(0, 9, 1000)
    holed = np.insert(values, [3, 500, 900], np.nan)
    one = Windows(values, np.array([0]), np.array([1000])).sum()
    assert one == Windows(holed, np.array([0]), np.array([1003])).sum()


def test_empty_windows_have_counts_and_sums_of_zero_and_nothing_else() -> None:
    for values in (np.array([1.0, np.nan]), np.array([], np.float32), np.array([3, 4])):
        empty = Windows(values, np.zeros(2, np.int64), np.zeros(2, np.int64))
        assert [getattr(empty, name)().tolist() for name in ("count", "sum", "nunique")] == [[0, 0]] * 3
        assert all(np.isnan(getattr(empty, name)()).all() for name in ("mean", "min", "max"))


def test_no_rows_at_all() -> None:
    none = Windows(np.array([1.0]), np.array([], np.int64), np.array([], np.int64))
    assert all(len(getattr(none, name)()) == 0 for name in AGGREGATES)
    assert len(none.compact()) == 0
    assert none.take(np.array([-1, -1])).lengths.tolist() == [0, 0]


def test_infinities_stay_and_never_warn() -> None:
    both = Windows(np.array([np.inf, -np.inf, 1.0]), np.array([0, 1]), np.array([2, 3]))
    assert np.isnan(both.sum()[0])
    assert both.sum()[1] == -np.inf
    assert both.max().tolist() == [np.inf, 1.0]


def test_nunique_of_the_largest_numbers() -> None:
    ends = np.iinfo(np.int64)
    rows = Windows(np.array([ends.min, ends.max, ends.max, 0]), np.array([0, 1]), np.array([4, 3]))
    assert rows.nunique().tolist() == [3, 1]


def test_nunique_of_few_rows_far_apart_equals_that_of_each_alone() -> None:
    values = np.arange(10_000) % 7
    rows = Windows(values, np.array([9_000, 3]), np.array([9_003, 20]))
    assert rows.nunique().tolist() == [3, 7]


def test_take_last_and_compact_keep_the_rows() -> None:
    rows = random_windows(1)
    taken = rows.take(np.array([3, -1, 3, 0]))
    for got, want in zip(range(4), (rows.row(3), rows.values[:0], rows.row(3), rows.row(0)), strict=True):
        np.testing.assert_array_equal(taken.row(got), want)
    own = rows.last(4).compact()
    for i in range(len(rows)):
        np.testing.assert_array_equal(own.row(i), rows.row(i)[-4:])
    assert len(own.values) == int(own.lengths.sum())
    assert rows.last(0).lengths.sum() == 0


def test_rows_of_vectors_are_gathered_whole() -> None:
    vectors = np.arange(12.0).reshape(6, 2)
    own = Windows(vectors, np.array([4, 0]), np.array([6, 1])).compact()
    assert own.values.tolist() == [[8, 9], [10, 11], [0, 1]]


@pytest.mark.parametrize(("start", "end"), [(-1, 0), (2, 1), (0, 4)])
def test_a_window_outside_its_values_is_refused_by_row(start: int, end: int) -> None:
    with pytest.raises(DataError, match="the first is row 1"):
        Windows(np.zeros(3), np.array([0, start]), np.array([1, end]))


@given(st.integers(0, 100_000), st.integers(0, 60), st.none() | st.integers(0, 12), st.integers(0, 5))
@settings(max_examples=150)
def test_asof_finds_what_a_loop_finds(seed: int, n: int, within: int | None, delay: int) -> None:
    rng = np.random.default_rng(seed)
    events = np.array(sorted((int(rng.integers(0, 5)), int(rng.integers(0, 15))) for _ in range(n)), np.int64)
    events = events.reshape(-1, 2)
    offsets = np.searchsorted(events[:, 0], np.arange(6))
    keys, at = rng.integers(-1, 5, 30), rng.integers(-2, 20, 30)
    starts, ends = asof(events[:, 1].copy(), offsets, keys, at, within=within, delay=delay)
    few = asof(events[:, 1].copy(), offsets, keys[:9], at[:9], within=within, delay=delay)
    assert [bound.tolist() for bound in few] == [starts[:9].tolist(), ends[:9].tolist()]
    for key, when, start, end in zip(keys, at, starts, ends, strict=True):
        found = [
            i
            for i, (k, t) in enumerate(events.tolist())
            if k == key and t < when - delay and (within is None or t >= when - within)
        ]
        assert list(range(start, end)) == found


def test_asof_at_the_ends_of_time() -> None:
    ends = np.iinfo(np.int64)
    times = np.array([ends.min, 0, ends.max])
    at = np.array([ends.max, ends.min])
    starts, found = asof(times, np.array([0, 3]), np.array([0, 0]), at, within=int(ends.max))
    assert starts.tolist() == [1, 0]
    assert found.tolist() == [2, 0]


def test_asof_refuses_a_key_that_does_not_exist() -> None:
    with pytest.raises(DataError, match="key 3 of 2 keys"):
        asof(np.array([1, 2]), np.array([0, 1, 2]), np.array([3]), np.array([9]))


def test_asof_of_no_events_is_empty() -> None:
    starts, ends = asof(np.array([], np.int64), np.array([0]), np.array([-1, -1]), np.array([1, 2]))
    assert starts.tolist() == ends.tolist() == [0, 0]
