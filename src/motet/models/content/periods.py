"""Which years a text asks for."""

from __future__ import annotations

import math
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
_PARTS = {"early": (0, 4), "mid": (3, 7), "late": (5, 9), "first half": (0, 4), "second half": (5, 9)}
_PART = r"(?:early|mid|late|(?:first|second) half of)"
_WHEN = (
    rf"(?:(?:the|year|years)[\s-]+)?(?:{_PART}(?:[\s-]*(?:to|or|and|/|-)[\s-]*{_PART})?[\s-]+)?(?:(?:the|year|years)[\s-]+)?"
    r"(?:(?:18|19|20)\d0(?:'?s|ies)|'?\d0(?:'?s|ies)|(?:18|19|20)\d\d|'\d\d|" + "|".join(_NAMED) + r")\b"
)
_SHORT = r"'?\d\d\b(?!')"  # the end of "1990-95"
_BETWEEN = (  # words that may stand between a "not" and the years that it denies
    r"(?:any|anything|are|be|film|films|from|is|it|like|made|me|movie|movies|necessarily|one|ones|really|show|stuff|"
    r"thing|things|to|too|want)"
)
_NO = r"(?:not|no|nothing|none|never|neither|without|except|excluding|isn'?t|aren'?t|don'?t)"
_NOT = rf"(?P<no>\b{_NO}\b(?:\s+{_BETWEEN}\b){{0,3}}?\s+)?"
_HOW = {
    "between": rf"(?:between\s+|from\s+)?(?P<a>{_WHEN})\s*(?:and|to|-|–|—|until|through)\s*(?P<b>{_WHEN})",
    "short": rf"(?:between\s+|from\s+)?(?P<a>(?:(?:18|19|20)\d\d|'\d\d))\s*(?:to|-|–|—)\s*(?P<b>{_SHORT})",
    "around": rf"(?:around|circa|roughly)\s+(?P<a>{_WHEN})",
    "least": rf"(?:>=|at least|no (?:earlier|older) than|not (?:earlier|older) than|not before)\s*(?P<a>{_WHEN})",
    "most": rf"(?:<=|at most|no (?:later|newer|more) than|not (?:later|newer|more) than|not after)\s*(?P<a>{_WHEN})",
    "on": rf"(?:from\s+|since\s+)?(?P<a>{_WHEN})\s*"
    r"(?:onwards?|on\b|(?:or|and) (?:later|newer)(?! than)|and up|\+|at least|at the earliest)",
    "back": rf"(?P<a>{_WHEN})\s*(?:(?:or|and) (?:earlier|older)(?! than)|at most|at the latest)",
    "after": rf"(?:>|after|newer than|later than|younger than|more recent than|past|post)[\s-]*(?P<a>{_WHEN})",
    "since": rf"(?:since|starting(?:\s+(?:in|from|with))?)\s+(?P<a>{_WHEN})",
    "before": rf"(?:<|before|older than|earlier than|prior to|pre)[\s-]*(?P<a>{_WHEN})",
    "until": rf"(?:until|till|up to)\s+(?P<a>{_WHEN})",
    "in": rf"(?<!set )(?<!half )(?:in|from|of|during|made in)\s+(?P<a>{_WHEN})",
    "bare": rf"(?<!my )(?P<a>{_WHEN})"
    r"(?=\s*(?:movie|film|one|comed|horror|thriller|action|drama|$|[,.!?/]|(?:or|and|nor)\b))",
}
_PATTERNS = {how: re.compile(_NOT + pattern) for how, pattern in _HOW.items()}
_STRETCHES = ("between", "short", "around", "in", "bare")  # alternatives, where there are several of them: "80s or 90s"
_AND = re.compile(r"\s*(?:,|/|&|\bor\b|\band\b|\bnor\b)+\s*(?:or\b|and\b)?\s*(?:in|from|of)?\s*")
_ABOUT = 2  # years to each side of "around 1960"
_NEAR = 12  # characters of what joins two of them, at most
_OR = re.compile(r"\s*,?\s*\bor\s+(?:else\s+)?")
_COUNTS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBERS = {name: n for n, name in enumerate(_COUNTS)} | {"fifteen": 15, "twenty": 20}
_LAST = re.compile(
    rf"\b(?:(?:in|from|of|over|within)\s+)?(?:the\s+)?(?:last|past)\s+(?:couple of\s+)?"
    rf"(?:(?P<n>\d{{1,3}}|{'|'.join(_NUMBERS)})\s+)?(?P<unit>years?|decades?)\b"
)
_AGED = re.compile(r"\b(?P<how>more|less|older|newer|younger) than (?P<n>\d{1,3}) years?(?: old)?\b")
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

    def and_(self, other: Period) -> Period:
        """The years that both hold, which may be none."""
        lows = [low for low in (self.low, other.low) if low is not None]
        highs = [high for high in (self.high, other.high) if high is not None]
        return Period(max(lows, default=None), min(highs, default=None), self.without + other.without)

    def __str__(self) -> str:
        said = [f"not from {low}" + (f" to {high}" if high > low else "") for low, high in self.without]
        match self.low, self.high:
            case None, None:
                pass
            case low, None:
                said.insert(0, f"from {low} on")
            case None, high:
                said.insert(0, f"until {high}")
            case low, high if low > high:
                said.insert(0, f"from {low} on and until {high}")
            case low, high:
                said.insert(0, f"from {low}" if low == high else f"from {low} to {high}")
        return ", ".join(said)


class _Said(NamedTuple):
    """One mention of years, and where it stands. no: whether it is denied."""

    start: int
    end: int
    how: str
    no: bool
    period: Period


def read(text: str, newest: float = math.nan) -> tuple[Period, list[tuple[int, int]], bool]:
    """The period that a text asks for, where it says so, and whether it takes back what was asked before.

    newest: the year from which "the last five years" are counted back.
    """
    lower = text.lower()
    said = _mentions(lower)
    places = [(each.start, each.end) for each in said]
    period = _all_of(said, lower)
    for found in () if newest != newest else _LAST.finditer(lower):
        places.append(found.span())
        period = period.and_(Period(int(newest) - _years(found) + 1, None))
    for found in () if newest != newest else _AGED.finditer(lower):
        places.append(found.span())
        year, old = int(newest) - int(found["n"]), found["how"] in ("more", "older")
        period = period.and_(Period(None, year) if old else Period(year, None))
    taken_back = _ANY.search(lower)
    places += [taken_back.span()] if taken_back else []
    return period, places, taken_back is not None


def _all_of(said: list[_Said], lower: str) -> Period:
    """What holds together: of stretches, and of what "or" joins, one; of all else, each."""
    groups, stretches, before = list[list[Period]](), list[Period](), list[Period]()
    for last, one in zip([None, *said], said, strict=False):
        if one.no:
            group: list[Period] = []
        elif last is not None and not last.no and _OR.fullmatch(lower[last.end : one.start]):
            group = before
        else:
            group = stretches if one.how in _STRETCHES else []
        group.append(one.period)
        groups += [] if any(group is each for each in groups) else [group]
        before = group
    period = Period()
    for group in groups:
        period = period.and_(group[0] if len(group) == 1 else _any_of(group))
    return period


def _mentions(lower: str) -> list[_Said]:
    """What is said of years, in order, each character read once."""
    said: list[_Said] = []
    left = lower
    for how, pattern in _PATTERNS.items():
        for found in pattern.finditer(left):
            before = _joined(lower, found.start("a"), said) if how == "bare" else None
            lone = how == "bare" and _is_a_year(found["a"]) and found.end() == len(lower) and found.start() > 0
            if lone and before is None and found["no"] is None:
                continue  # a lone year at the end of other words may be anything
            no = found["no"] is not None or (before is not None and before.no)
            said.append(_Said(*found.span(), how, no, _period(how, found, no)))
            left = left[: found.start()] + "_" * len(found[0]) + left[found.end() :]
    return sorted(said)


def _joined(lower: str, at: int, said: list[_Said]) -> _Said | None:
    """The mention that another one joins with "or", "and" or a comma."""
    near = (one for one in said if 0 <= at - one.end <= _NEAR)
    return next((one for one in near if _AND.fullmatch(lower[one.end : at])), None)


def _years(found: re.Match[str]) -> int:
    """How many years "the last five years" or "the past decade" are."""
    said = found["n"]
    unit = 10 if found["unit"].startswith("decade") else 1
    several = 2 if "couple" in found[0] else 3 if found["unit"].endswith("s") else 1
    return max(unit * (several if said is None else int(said) if said.isdigit() else _NUMBERS[said]), 1)


def _any_of(some: list[Period]) -> Period:
    """From the first to the last of them, without the years between them."""
    spans = sorted((-math.inf if p.low is None else p.low, math.inf if p.high is None else p.high) for p in some)
    gaps, last = list[tuple[int, int]](), spans[0][1]
    for low, high in spans[1:]:
        gaps += [(int(last) + 1, int(low) - 1)] if low > last + 1 else []
        last = max(last, high)
    first = spans[0][0]
    return Period(None if first == -math.inf else int(first), None if last == math.inf else int(last), tuple(gaps))


def _period(how: str, found: re.Match[str], no: bool) -> Period:
    low, high = _stretch(found["a"])
    match how:
        case "between" | "short":
            last = _stretch(found["b"])[1] if how == "between" else low - low % 100 + int(found["b"].strip("'"))
            return Period(None, None, ((low, last),)) if no else Period(min(low, last), max(low, last))
        case "around":
            low, high = low - _ABOUT, high + _ABOUT
            return Period(None, None, ((low, high),)) if no else Period(low, high)
        case "after":
            return Period(None, high) if no else Period(high + 1, None)
        case "since" | "on" | "least":
            return Period(None, low - 1) if no else Period(low, None)
        case "before":
            return Period(low, None) if no else Period(None, low - 1)
        case "until" | "back" | "most":
            return Period(high + 1, None) if no else Period(None, high)
        case _:
            return Period(None, None, ((low, high),)) if no else Period(low, high)


def _is_a_year(said: str) -> bool:
    return said.strip().isdigit()


def _stretch(said: str) -> tuple[int, int]:
    """The first and the last year of 1994, '94, 80s, the early 1990s, mid-to-late 90s, the nineties."""
    word = re.split(r"[\s-]+", said)[-1].strip("'").replace("'", "")
    if word.isdigit():
        year = int(word) if len(word) == 4 else _century(int(word)) + int(word)
        return year, year
    start = _NAMED.get(word)
    if start is None:
        digits = int(re.sub(r"\D", "", word))
        start = digits if digits > 99 else _century(digits) + digits
    parts = [_PARTS[part] for part in re.findall("|".join(_PARTS), said)] or [(0, 9)]
    return start + min(low for low, _ in parts), start + max(high for _, high in parts)


def _century(digits: int) -> int:
    return 1900 if digits >= 30 else 2000
