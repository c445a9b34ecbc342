"""Which rows a split asks."""

from __future__ import annotations

from datetime import date
from typing import Any, cast

import numpy as np

from motet.batch import Array, Vocabulary
from motet.errors import DataError, counted
from motet.rows.found import array_of
from motet.rows.given import Given
from motet.rows.keys import as_keys
from motet.rows.problems import Problem, few, refuse, shown
from motet.rows.times import time


def last_of(codes: Array, times: Array, last: int) -> Array:
    """Positions of the last events of each code that has more than `last`; of equal times the later is last.

    Code -1 is nobody and has no last event.
    """
    order = np.lexsort((times, codes))
    sorted_codes = codes[order]
    starts = np.searchsorted(sorted_codes, sorted_codes, side="left")
    ends = np.searchsorted(sorted_codes, sorted_codes, side="right")
    final = (np.arange(len(order)) >= ends - last) & (ends - starts > last) & (sorted_codes >= 0)
    return order[final]


def where(rows: Array, marked: Array) -> Array:
    """Those rows whose place in the table is marked."""
    return rows[marked[rows]]


def instant(at: Any) -> int:
    """Microseconds since 1970 from a text, a datetime, a date, or microseconds."""
    if isinstance(at, (int, np.integer)) and not isinstance(at, bool):
        return int(cast(int, at))
    if not isinstance(at, (str, date)):
        raise DataError(f"{shown(at)} is no instant", help='at="2001-01-01", a datetime, or microseconds since 1970')
    problems: list[Problem] = []
    stamps = cast(Array, time(Given("at", array_of([at]), problems))[0])
    refuse(problems)
    return int(stamps[0])


def chosen(names: Vocabulary, keys: list[Any], label: str) -> Array:
    """The entity's rows with these keys. Errors: none are given, or a key that it does not have."""
    if not keys:
        raise DataError("there are no keys to hold out", help=f"hold_out({label}, [the keys])")
    given = Given(label, array_of([key.item() if isinstance(key, np.generic) else key for key in keys]), [])
    rows = names.codes(as_keys(given, names))
    lost = [key for key, row in zip(keys, rows, strict=True) if row < 0]
    if lost:
        text = f"{label}: {counted(len(lost), 'key')} of nothing: {few(map(shown, lost), len(lost))}"
        raise DataError(text, help="give keys that are in the data")
    return rows
