"""Every value that a column has had, by reference and in time order: what `past` looks up.

Offline and online ask the same object, so a feature is the same number in training and in serving.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from motet.batch import Array, Codes, Ragged, Vocabulary, offsets_of
from motet.windows import Windows, asof

SECOND = 1_000_000


class Since(NamedTuple):
    """What has been observed of one key, in the order in which it was. Never changed once made."""

    moments: Array
    times: Array
    values: Array


NOTHING = Since(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


class History:
    """One column's past values by key: a sorted array, and what has been observed since, per key.

    One thread may observe while others look up: what they see of a key is always whole.
    codes: int32 [n] the key of each event, -1 for none. times: int64 [n]. values: float64 [n] or Codes.
    """

    def __init__(self, codes: Array, times: Array, values: Array | Codes, keys: int) -> None:
        self.names: Vocabulary | None = values.names if isinstance(values, Codes) else None
        flat = values.codes if isinstance(values, Codes) else values
        order = np.lexsort((times, codes))
        order = order[codes[order] >= 0]
        self._values, self._times = flat[order], times[order]
        self._offsets = offsets_of(np.bincount(codes[order], minlength=keys))
        self._since: dict[int, Since] = {}
        self._moment: int | None = None

    def observe(self, codes: Array, times: Array, values: Array | Codes, moment: int = 0) -> None:
        """Adds events that have happened since; the next windows see them. moment: a number that never falls, which
        `upto` tells these events by."""
        flat = self._coded(values) if isinstance(values, Codes) else np.asarray(values, self._values.dtype)
        for code in np.unique(codes[codes >= 0]).tolist():
            rows = np.flatnonzero(codes == code)
            new = Since(np.full(len(rows), moment), times[rows], flat[rows])
            old = self._since.get(code)
            self._since[code] = new if old is None else Since(*map(np.concatenate, zip(old, new, strict=True)))

    def upto(self, moment: int) -> History:
        """This history as it was then: events that are observed at a later moment are not in it."""
        seen = copy.copy(self)
        seen._moment = moment
        return seen

    def _coded(self, values: Codes) -> Array:
        """The values as codes of this history's names. One by one: they are few, and the names may be many."""
        if self.names is None or values.names is self.names:
            return values.codes
        names = values.names.names.take(pa.array(values.codes, mask=values.codes < 0))
        return np.array([self.names.code(name) for name in names.to_pylist()], self._values.dtype)

    def windows(
        self, codes: Array, now: Array, delay: float = 0, within: float | None = None, last: int | None = None
    ) -> Ragged:
        """Per probe the values of its key strictly before now - delay, and no older than `within` seconds."""
        span = None if within is None else round(within * SECOND)
        late = round(delay * SECOND)
        values, times, offsets, probes = self._values, self._times, self._offsets, codes
        if self._since and any(code in self._since for code in codes.tolist()):
            values, times, offsets, probes = self._with_recent(codes)
        probes = np.where(probes < len(offsets) - 1, probes, -1)
        starts, ends = asof(times, offsets, probes, now, within=span, delay=late)
        if last is not None:
            starts = np.maximum(starts, ends - last)
        found, when = Windows(values, starts, ends), Windows(times, starts, ends)
        return Ragged(found, self.names, when, now, offsets)

    def _with_recent(self, codes: Array) -> tuple[Array, Array, Array, Array]:
        """The histories of just these keys, with what has been observed since: values, times, offsets, probes."""
        keys, probes = np.unique(codes, return_inverse=True)
        values: list[Array] = []
        times: list[Array] = []
        for key in keys.tolist():
            known = 0 <= key < len(self._offsets) - 1
            base = slice(*self._offsets[key : key + 2]) if known else slice(0, 0)
            since = self._since.get(key, NOTHING)
            seen = slice(None if self._moment is None else np.searchsorted(since.moments, self._moment, "right"))
            when = np.concatenate([self._times[base], since.times[seen]])
            order = np.argsort(when, kind="stable")
            values.append(np.concatenate([self._values[base], since.values[seen].astype(self._values.dtype)])[order])
            times.append(when[order])
        offsets = offsets_of(np.array([len(v) for v in values]))
        return np.concatenate(values), np.concatenate(times), offsets, np.where(codes < 0, -1, probes)
