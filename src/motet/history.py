"""Every value that a column has had, by reference and in time order: what `past` looks up.

Offline and online ask the same object, so a feature is the same number in training and in serving.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from motet.batch import Array, Codes, Ragged, Vocabulary, offsets_of
from motet.windows import Windows, asof

SECOND = 1_000_000


class History:
    """One column's past values by key: a sorted array, and what has been observed since, per key.

    codes: int32 [n] the key of each event, -1 for none. times: int64 [n]. values: float64 [n] or Codes.
    """

    def __init__(self, codes: Array, times: Array, values: Array | Codes, keys: int) -> None:
        self.names: Vocabulary | None = values.names if isinstance(values, Codes) else None
        flat = values.codes if isinstance(values, Codes) else values
        order = np.lexsort((times, codes))
        order = order[codes[order] >= 0]
        self._values, self._times = flat[order], times[order]
        self._offsets = offsets_of(np.bincount(codes[order], minlength=keys))
        self._since: dict[int, list[tuple[int, Any]]] = {}

    def observe(self, codes: Array, times: Array, values: Array | Codes) -> None:
        """Adds events that have happened since; the next windows see them."""
        flat = values.coded_by(self.names) if isinstance(values, Codes) and self.names else values
        for code, time, value in zip(codes.tolist(), times.tolist(), np.asarray(flat), strict=True):
            if code >= 0:
                self._since.setdefault(code, []).append((time, value))

    def windows(
        self, codes: Array, now: Array, delay: float = 0, within: float | None = None, last: int | None = None
    ) -> Ragged:
        """Per probe the values of its key strictly before now - delay, and no older than `within` seconds."""
        span = None if within is None else round(within * SECOND)
        late = round(delay * SECOND)
        new = np.isin(codes, list(self._since)) if self._since else np.zeros(len(codes), bool)
        values, times, offsets, probes = self._values, self._times, self._offsets, codes
        if new.any():
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
            since = self._since.get(key, [])
            when = np.concatenate([self._times[base], np.array([t for t, _ in since], np.int64)])
            order = np.argsort(when, kind="stable")
            recent = np.array([v for _, v in since], self._values.dtype)
            values.append(np.concatenate([self._values[base], recent])[order])
            times.append(when[order])
        offsets = offsets_of(np.array([len(v) for v in values]))
        return np.concatenate(values), np.concatenate(times), offsets, np.where(codes < 0, -1, probes)
