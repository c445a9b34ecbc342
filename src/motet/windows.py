"""Windows: the ragged value that histories are made of, and the search that finds them as of a time.

Many windows view one array sorted by key and time, so a history costs two integers a row until its
values are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.errors import DataError

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

BLOCK = 1 << 20
"""Elements that an aggregate gathers at a time: its memory stays near 30 MB however long the windows are."""

FEW = 16
"""Probes that are searched one by one: a lone request's past then takes 30 microseconds instead of 130."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Rows of unequal length over one array: row i is `values[starts[i]:ends[i]]`. Rows may overlap.

    values: array [N] (or [N, d]: a row is then a list of vectors).
    starts, ends: int64 [n], 0 <= start <= end <= N.

    The aggregates skip NaN. An empty window has count 0, sum 0, nunique 0 and NaN for all else. An
    aggregate depends on nothing but the values in its window, to the last bit: the same history gives
    the same number alone or among a million others.
    """

    values: NDArray[Any]
    starts: Rows
    ends: Rows

    def __post_init__(self) -> None:
        if self.starts.shape != self.ends.shape or self.starts.ndim != 1:
            raise DataError(
                f"windows have {self.starts.shape} starts and {self.ends.shape} ends",
                help="Windows(values, starts, ends) with one start and one end a row",
            )
        wrong = (self.starts < 0) | (self.starts > self.ends) | (self.ends > len(self.values))
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(
                f"{int(wrong.sum())} windows are no range of {len(self.values)} values; "
                f"the first is row {row}: {self.starts[row]} to {self.ends[row]}",
                help="0 <= start <= end <= len(values)",
            )

    @staticmethod
    def of(values: NDArray[Any], offsets: Rows) -> Windows:
        """Rows that lie one behind the other: row i is `values[offsets[i]:offsets[i + 1]]`."""
        return Windows(values, offsets[:-1], offsets[1:])

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> Rows:
        """Elements per row, int64 [n], NaN included."""
        return self.ends - self.starts

    def row(self, i: int) -> NDArray[Any]:
        return self.values[self.starts[i] : self.ends[i]]

    def take(self, rows: NDArray[np.integer[Any]]) -> Windows:
        """These rows in this order, over the same values. Row -1 is an empty one."""
        starts, ends = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        found = np.flatnonzero(rows >= 0)
        starts[found], ends[found] = self.starts[rows[found]], self.ends[rows[found]]
        return Windows(self.values, starts, ends)

    def last(self, n: int) -> Windows:
        """Every row narrowed to its last `n` elements."""
        return Windows(self.values, np.maximum(self.starts, self.ends - n), self.ends)

    def flat(self) -> tuple[NDArray[Any], Rows]:
        """The rows' values one behind the other, and their offsets int64 [n + 1]. A copy."""
        return _gathered(self.values, self.starts, self.lengths)

    def compact(self) -> Windows:
        """The same rows over values of their own, so that the large array behind can go."""
        return Windows.of(*self.flat())

    def count(self) -> Rows:
        """Elements per row that are not NaN, int64 [n]."""
        if self.values.dtype.kind != "f":
            return self.lengths
        counts = np.zeros(len(self), np.int64)
        for block, _, offsets in self._present():
            counts[block] = np.diff(offsets)
        return counts

    def sum(self) -> Floats:
        return self._reduced(np.add, 0.0)

    def mean(self) -> Floats:
        total, count = self.sum(), self.count()
        return np.divide(total, count, out=np.full(len(self), np.nan), where=count > 0)

    def min(self) -> Floats:
        return self._reduced(np.minimum, np.nan)

    def max(self) -> Floats:
        return self._reduced(np.maximum, np.nan)

    def nunique(self) -> Rows:
        """Distinct values per row, int64 [n]: its elements whose equal before them lies before the row."""
        low, high = int(self.starts.min(initial=len(self.values))), int(self.ends.max(initial=0))
        if high - low > int(self.lengths.sum()):
            return self.compact().nunique()
        previous = _previous(self.values[low:high])
        counts = np.zeros(len(self), np.int64)
        for block in _blocks(self.lengths):
            starts, lengths = self.starts[block] - low, self.lengths[block]
            before, offsets = _gathered(previous, starts, lengths)
            counts[block] = np.diff(_offsets(before < np.repeat(starts, lengths))[offsets])
        return counts

    def _reduced(self, ufunc: np.ufunc, empty: float) -> Floats:
        out = np.full(len(self), empty)
        for block, values, offsets in self._present():
            filled = np.flatnonzero(np.diff(offsets))
            if len(filled):
                # `+ 0.0`: which of 0.0 and -0.0 is the smaller one depends on the order of comparison.
                # reduceat reads each segment alone, so a sum's order depends on its length only.
                with np.errstate(invalid="ignore", over="ignore"):
                    reduced = ufunc.reduceat(values.astype(np.float64, copy=False), offsets[filled])
                    out[block.start + filled] = reduced + 0.0
        return out

    def _present(self) -> Iterator[tuple[slice, NDArray[Any], Rows]]:
        """Block by block: which rows, their values without NaN one behind the other, their offsets."""
        for block in _blocks(self.lengths):
            values, offsets = _gathered(self.values, self.starts[block], self.lengths[block])
            if values.dtype.kind == "f" and np.isnan(values).any():
                kept = ~np.isnan(values)
                offsets = _offsets(kept)[offsets]
                values = values[kept]
            yield block, values, offsets


def asof(
    times: Rows,
    offsets: Rows,
    keys: NDArray[np.integer[Any]],
    at: Rows,
    *,
    within: int | None = None,
    delay: int = 0,
) -> tuple[Rows, Rows]:
    """Where each probe's past lies among events sorted by (key, time): its starts and ends, int64 [n].

    An event is past when it has the probe's key and `time < at - delay` (equal times are not before
    each other), and with `within` also `time >= at - within`.

    times: int64 [N] of the events, ascending within a key; offsets: int64 [keys + 1] of each key's events.
    keys, at: [n], the probes; key -1 has no past. All times in one unit (microseconds elsewhere here).
    """
    if len(keys) and int(keys.max()) >= len(offsets) - 1:
        raise DataError(f"key {int(keys.max())} of {len(offsets) - 1} keys", help="-1: no events")
    of_key = Windows.of(times, offsets).take(keys)
    ends = _before(times, of_key.starts, of_key.ends, _earlier(at, delay))
    if within is None:
        return of_key.starts, ends
    return _before(times, of_key.starts, ends, _earlier(at, within)), ends


def _earlier(at: Rows, by: int) -> Rows:
    """`at - by`, held at the earliest time there is instead of wrapping round."""
    first = int(np.iinfo(np.int64).min)
    by = min(by, -(first + 1))
    return np.maximum(at, first + by) - by


def _before(times: Rows, low: Rows, high: Rows, at: Rows) -> Rows:
    """Per probe the first position in [low, high) whose time is not before `at`: all probes halve at once."""
    if len(at) < FEW:
        found = [a + np.searchsorted(times[a:b], int(t)) for a, b, t in zip(low, high, at, strict=True)]
        return np.array(found, np.int64)
    for _ in range(int((high - low).max(initial=0)).bit_length()):
        middle = (low + high) >> 1
        open_ = low < high
        earlier = open_ & (times[np.where(open_, middle, 0)] < at)
        low = np.where(earlier, middle + 1, low)
        high = np.where(open_ & ~earlier, middle, high)
    return low


def _offsets(lengths: NDArray[Any]) -> Rows:
    out = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=out[1:])
    return out


def _gathered(values: NDArray[Any], starts: Rows, lengths: Rows) -> tuple[NDArray[Any], Rows]:
    offsets = _offsets(lengths)
    positions = np.repeat(starts - offsets[:-1], lengths)
    positions += np.arange(len(positions))
    return values[positions], offsets


def _blocks(lengths: Rows) -> Iterator[slice]:
    """Consecutive rows that hold at most BLOCK elements together, or one row that holds more."""
    offsets = _offsets(lengths)
    start = 0
    while start < len(lengths):
        end = int(np.searchsorted(offsets, int(offsets[start]) + BLOCK, side="right")) - 1
        end = max(end, start + 1)
        yield slice(start, end)
        start = end


def _previous(values: NDArray[Any]) -> Rows:
    """For each element the position of the equal one before it, -1 if it is the first; NaN has no first."""
    order = np.argsort(values, kind="stable")
    before, after = order[:-1], order[1:]
    previous = np.full(len(values), -1, np.int64)
    previous[after] = np.where(values[before] == values[after], before, -1)
    if values.dtype.kind == "f":
        previous[np.isnan(values)] = len(values)
    return previous
