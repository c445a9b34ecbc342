"""Which years a text asks for."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAMED = {
    "twenties": 1920,
    "thirties": 1930,
    "forties": 1940,
    "fifties": 1950,
    "sixties": 1960,
    "seventies": 1970,
    "eighties": 1980,
    "nineties": 1990,
}
_WHEN = (
    r"(?:(?:the|year|years|early|mid|late)[\s-]+)*(?:(?:18|19|20)\d0'?s|'?\d0'?s|(?:18|19|20)\d\d|"
    + "|".join(_NAMED)
    + r")\b"
)
_NOT = r"(?P<no>\b(?:not|no|nothing|none|never|without|isn'?t|aren'?t|don'?t)\b(?:\s+[a-z]+){0,2}?\s+)?"
_HOW = {
    "between": rf"(?:between\s+|from\s+)?(?P<a>{_WHEN})\s*(?:and|to|-|–|until|through)\s*(?P<b>{_WHEN})",
    "on": rf"(?:from\s+|since\s+)?(?P<a>{_WHEN})\s*(?:onwards?|on\b|or later|or newer|and later|and newer|and up|\+)",
    "back": rf"(?P<a>{_WHEN})\s*(?:or earlier|or older|and earlier|and older)",
    "after": rf"(?:after|newer than|later than|younger than|more recent than|past|post)[\s-]+(?P<a>{_WHEN})",
    "since": rf"(?:since|starting(?:\s+(?:in|from|with))?)\s+(?P<a>{_WHEN})",
    "before": rf"(?:before|older than|earlier than|prior to|pre)[\s-]+(?P<a>{_WHEN})",
    "until": rf"(?:until|till|up to|no later than)\s+(?P<a>{_WHEN})",
    "in": rf"(?<!set )(?:in|from|of|during|made in)\s+(?P<a>{_WHEN})",
    "bare": rf"(?P<a>{_WHEN})(?=\s*(?:movie|film|one|comed|horror|thriller|action|drama|$|[,.!?]|or\b|and\b))",
}
_PATTERNS = {how: re.compile(_NOT + pattern) for how, pattern in _HOW.items()}
_ANY = re.compile(r"\b(?:any (?:year|time|decade|age|era)|(?:forget|ignore|drop|never mind)(?: about)? the years?|"
                  r"(?:the )?years? (?:doesn'?t|do not|does not|don'?t) matter|whatever year)\b")  # fmt: skip


class Period(NamedTuple):
    """Years from low to high, both included, less some stretches; None is open."""

    low: int | None = None
    high: int | None = None
    without: tuple[tuple[int, int], ...] = ()

    def __bool__(self) -> bool:
        return self != Period()

    def then(self, later: Period) -> Period:
        """What is asked for once something else is said: a bound replaces its like, and one that contradicts it."""
        if later.low is not None and later.high is not None:
            return Period(later.low, later.high, self.without + later.without)
        low, high = self.low if later.low is None else later.low, self.high if later.high is None else later.high
        if low is not None and high is not None and low > high:
            low, high = later.low, later.high
        return Period(low, high, self.without + later.without)

    def __str__(self) -> str:
        said = [f"not from {low} to {high}" for low, high in self.without]
        match self.low, self.high:
            case None, None:
                pass
            case low, None:
                said.insert(0, f"from {low} on")
            case None, high:
                said.insert(0, f"until {high}")
            case low, high:
                said.insert(0, f"from {low}" if low == high else f"from {low} to {high}")
        return ", ".join(said)


def read(text: str) -> tuple[Period, list[tuple[int, int]], bool]:
    """The period that a text asks for, where it says so, and whether it takes back what was asked before."""
    lower, places = text.lower(), list[tuple[int, int]]()
    period, spans = Period(), list[tuple[int, int]]()
    for how, pattern in _PATTERNS.items():
        for found in pattern.finditer(lower):
            if any(found.start() < end and start < found.end() for start, end in places):
                continue
            if how == "bare" and _is_a_year(found["a"]) and found.end() == len(lower) and found.start() > 0:
                continue  # a lone year at the end of other words may be anything
            places.append(found.span())
            one = _period(how, found)
            if how in ("in", "bare", "between") and one.low is not None and one.high is not None:
                spans.append((one.low, one.high))
            else:
                period = period.then(one)
    if spans:
        period = period.then(Period(min(low for low, _ in spans), max(high for _, high in spans)))
    return period, places, _ANY.search(lower) is not None


def _period(how: str, found: re.Match[str]) -> Period:
    low, high = _stretch(found["a"])
    no = found["no"] is not None
    match how:
        case "between":
            last = _stretch(found["b"])[1]
            return Period(None, None, ((low, last),)) if no else Period(min(low, last), max(low, last))
        case "after":
            return Period(None, high) if no else Period(high + 1, None)
        case "since" | "on":
            return Period(None, low - 1) if no else Period(low, None)
        case "before":
            return Period(low, None) if no else Period(None, low - 1)
        case "until" | "back":
            return Period(high + 1, None) if no else Period(None, high)
        case _:
            return Period(None, None, ((low, high),)) if no else Period(low, high)


def _is_a_year(said: str) -> bool:
    return said.strip().isdigit()


def _stretch(said: str) -> tuple[int, int]:
    """The first and the last year of 1994, 80s, the early 1990s, the nineties."""
    word = re.sub(r"\b(?:the|years?)\b", " ", said).split()[-1].replace("'", "")
    if word.isdigit() and len(word) == 4:
        return int(word), int(word)
    start = _NAMED.get(word)
    if start is None:
        digits = int(word.removesuffix("s"))
        start = digits if digits > 99 else (1900 if digits >= 30 else 2000) + digits
    part = next((name for name in ("early", "mid", "late") if name in said), "")
    low, high = {"early": (0, 4), "mid": (3, 7), "late": (5, 9), "": (0, 9)}[part]
    return start + low, start + high
