"""A history answers alike whether its events were there from the start or observed one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from motet.history import SECOND, History

events = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), st.floats(-1e6, 1e6)), min_size=0, max_size=30)


def history(rows: list[tuple[int, int, float]]) -> History:
    codes = np.array([r[0] for r in rows], np.int32)
    times = np.array([r[1] * SECOND for r in rows], np.int64)
    return History(codes, times, np.array([r[2] for r in rows], np.float64), keys=4)


def observed(rows: list[tuple[int, int, float]], at_once: int) -> History:
    made = history(rows[:at_once])
    for code, time, value in rows[at_once:]:
        made.observe(np.array([code]), np.array([time * SECOND]), np.array([value]))
    return made


@given(events, st.integers(0, 30), st.sampled_from([None, 2.0]), st.sampled_from([None, 3]))
def test_offline_and_online_are_equal_to_the_bit(rows, at_once, within, last) -> None:
    probes = np.repeat(np.arange(-1, 4), 8).astype(np.int32)
    now = np.tile(np.arange(8), 5) * SECOND
    whole = history(rows).windows(probes, now, within=within, last=last)
    grown = observed(rows, at_once).windows(probes, now, within=within, last=last)
    for how in ("count", "sum", "mean", "max", "min", "nunique"):
        left, right = getattr(whole.windows, how)(), getattr(grown.windows, how)()
        assert left.tobytes() == right.tobytes(), how


@given(events, st.integers(0, 3), st.integers(0, 7), st.floats(0, 3))
def test_only_strictly_earlier_events_that_have_arrived_are_seen(rows, key, second, delay) -> None:
    asked = np.array([key], np.int32), np.array([second * SECOND], np.int64)
    seen = history(rows).windows(*asked, delay=delay)
    expected = sorted(
        (t, i) for i, (k, t, _) in enumerate(rows) if k == key and t * SECOND < asked[1][0] - round(delay * SECOND)
    )
    assert seen.windows.row(0).tolist() == [rows[i][2] for _, i in expected]


def test_a_key_that_only_an_event_has_named_has_a_past_from_then_on() -> None:
    made = history([(0, 1, 5.0)])
    made.observe(np.array([9]), np.array([2 * SECOND]), np.array([7.0]))
    windows = made.windows(np.array([9, 0, 8]), np.array([3 * SECOND] * 3))
    assert [windows.windows.row(i).tolist() for i in range(3)] == [[7.0], [5.0], []]


def test_a_history_as_of_a_moment_does_not_see_what_is_observed_later() -> None:
    made = history([(0, 1, 5.0)])
    made.observe(np.array([0]), np.array([2 * SECOND]), np.array([6.0]), 1)
    then = made.upto(1)
    made.observe(np.array([0, 2]), np.array([3 * SECOND] * 2), np.array([7.0, 8.0]), 2)
    asked = np.array([0, 2], np.int32), np.array([9 * SECOND] * 2)
    assert [then.windows(*asked).windows.row(i).tolist() for i in range(2)] == [[5.0, 6.0], []]
    assert [made.windows(*asked).windows.row(i).tolist() for i in range(2)] == [[5.0, 6.0, 7.0], [8.0]]
