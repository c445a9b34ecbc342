"""Times as sources write them, to microseconds since 1970 in UTC."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from motet.batch import NO_TIME, Array
from motet.rows.given import Given, Read, floats_of, is_number, is_text, missing, numpy, texts_of

DATE = r"^(\d{4}-\d\d-\d\d)$"
CLOCK = r"^(\d{4}-\d\d-\d\d)[T ](\d\d(?::\d\d(?::\d\d(?:\.\d{1,6})?)?)?)"
FINER = r"(\.\d{6})\d+"
ZONE = r" ?(Z|[+-]\d\d(?::?\d\d)?)$"
SECONDS = r"^-?\d+(\.\d+)?$"
HELP = 'a Time is a timestamp, "2001-02-03T04:05:06Z", or seconds since 1970'
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # the years 1 to 9999


def time(given: Given) -> Read:
    """A timestamp or date, without a zone in UTC; ISO 8601 as text; or a number of seconds since 1970."""
    kind = given.values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        stamps = _stamps(given)
    elif is_number(kind):
        stamps = _seconds(given, floats_of(given.values))
    elif is_text(kind):
        stamps = _written(given)
    else:
        given.refuse("times", HELP)
        stamps = np.full(len(given.values), NO_TIME)
    return stamps, stamps == NO_TIME


def _stamps(given: Given) -> Array:
    values = given.values
    kind = pa.timestamp("us", values.type.tz if pa.types.is_timestamp(values.type) else None)
    try:
        stamps = values.cast(options=pc.CastOptions(kind, allow_time_truncate=True))
    except pa.ArrowInvalid:  # some lie beyond what 64 bits of microseconds hold: far out of range
        return _in_range(given, _scaled(values), missing(values))
    return _in_range(given, numpy(stamps.cast(pa.int64()).fill_null(0)), missing(values))


def _scaled(values: pa.Array) -> Array:
    """Microseconds as floats, good enough to tell which are out of range."""
    if pa.types.is_date32(values.type):
        return floats_of(values.cast(pa.int32())) * 86_400e6
    seconds = pa.types.is_timestamp(values.type) and values.type.unit == "s"
    return floats_of(values.cast(pa.int64())) * (1e6 if seconds else 1e3)


def _seconds(given: Given, seconds: Array) -> Array:
    with np.errstate(over="ignore"):  # to infinity, which is out of range
        micros = np.round(seconds * 1e6)
    return _in_range(given, micros, np.isnan(seconds))


def _written(given: Given) -> Array:
    """Each text by itself: one request's way of writing a time is not its neighbour's."""
    texts = pc.utf8_trim_whitespace(texts_of(given.values))
    texts = pc.if_else(pc.equal(texts, ""), None, texts)
    counted = pc.match_substring_regex(texts, SECONDS).fill_null(False)
    if not numpy(counted).any():
        return _iso(given, texts)
    seconds = _seconds(given, floats_of(pc.if_else(counted, texts, None)))
    return np.where(numpy(counted), seconds, _iso(given, pc.if_else(counted, None, texts)))


def _iso(given: Given, texts: pa.Array) -> Array:
    stamps = _plain_iso(texts)
    if stamps is None:
        texts = pc.replace_substring_regex(texts, FINER, r"\1")
        texts = pc.replace_substring_regex(texts, DATE, r"\1T00:00:00Z")
        texts = pc.replace_substring_regex(texts, f"{CLOCK}$", r"\1T\2Z")
        texts = pc.replace_substring_regex(texts, CLOCK + ZONE, r"\1T\2\3")
        stamps = given.converted(texts, pa.timestamp("us", "UTC"), "not a time", HELP)
    return _in_range(given, numpy(stamps.cast(pa.int64()).fill_null(0)), missing(stamps))


def _plain_iso(texts: pa.Array) -> pa.Array | None:
    """Times that Arrow reads as they stand, since all of them or none have a zone: much the fastest."""
    for zone in ("UTC", None):
        try:
            return texts.cast(pa.timestamp("us", zone))
        except pa.ArrowInvalid:
            continue
    return None


def _in_range(given: Given, micros: Array, gone: Array) -> Array:
    wrong = ~gone & ((micros < FIRST) | (micros > LAST))
    given.note(wrong, "outside the years 1 to 9999", "a number is seconds since 1970: divide milliseconds by 1,000")
    gone = gone | wrong
    return np.where(gone, NO_TIME, np.where(gone, 0, micros).astype(np.int64))
