"""Who did what and in which order: what a sequence model learns from."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from motet.batch import Array, Codes, Ragged, offsets_of
from motet.errors import RunError, counted
from motet.windows import Windows


def sequences(history: Ragged, who: Codes, target: Any) -> tuple[Array, Array, Array]:
    """What each one did by the latest of their rows, oldest first: int32 codes, offsets per one, and when: int64.

    However short the windows are, all that lies before the latest is read; the rows' own items follow.
    Errors: nobody did anything.
    """
    assert history.names is not None
    windows, n = history.windows, len(who.names)
    mine = who.codes >= 0
    ends = np.where(windows.lengths > 0, windows.ends, 0)
    begin, end = np.full(n, len(windows.values)), np.zeros(n, np.int64)
    some = mine & (ends > 0)
    np.minimum.at(begin, who.codes[some], windows.starts[some])
    np.maximum.at(end, who.codes[some], ends[some])
    if history.lives is not None:
        known = history.lives[:-1][:n]
        begin[: len(known)] = np.minimum(begin[: len(known)], known)
    codes, offsets = Windows(windows.values, np.minimum(begin, end), end).flat()
    moments = windows.values * 0 if history.times is None else history.times.values
    times, _ = Windows(moments, np.minimum(begin, end), end).flat()
    whose = np.repeat(np.arange(len(end)), np.diff(offsets))
    if target is not None:
        own = np.flatnonzero(mine)
        own = own[ends[own] == end[who.codes[own]]]
        codes = np.concatenate([codes, cast(Codes, target).coded_by(history.names)[own]])
        whose = np.concatenate([whose, who.codes[own]])
        times = np.concatenate([times, np.zeros(len(own)) if history.now is None else history.now[own]])
    order = np.argsort(whose, kind="stable")
    order = order[codes[order] >= 0]
    if not len(order):
        raise RunError(
            f"there is nothing to learn from: {counted(len(who), 'event')}, and none of them names who and what",
            help="look at the references of the event: motet check",
        )
    return codes[order].astype(np.int32), offsets_of(np.bincount(whose[order])), times[order].astype(np.int64)
