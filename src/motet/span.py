"""Lengths of time as people write them: "7d", "90 minutes", 30."""

from __future__ import annotations

import re

from motet.errors import GraphError

SECONDS = {
    "s": 1,
    "second": 1,
    "m": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86400,
    "day": 86400,
    "w": 604800,
    "week": 604800,
}


def seconds_of(span: str | float) -> float:
    """Seconds from a number of them, or from a text such as "7d". Errors: anything else, or below zero."""
    if isinstance(span, (int, float)) and span >= 0:
        return float(span)
    parts = re.fullmatch(r"(\d+(?:\.\d+)?) *(s|[a-z]+?)s?", str(span).strip())
    if parts is None or parts[2] not in SECONDS:
        raise GraphError(f"{span!r} is no length of time", help='write seconds, or "90s", "15m", "6h", "7d", "2w"')
    return float(parts[1]) * SECONDS[parts[2]]
