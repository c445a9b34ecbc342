"""Which titles a text names, found in one pass over its words however many titles there are."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Collection, Sequence
from typing import NamedTuple

from motet.models.content.english import COMMON, CUES, KINDS, VERBS
from motet.models.content.words import ACCENTS

_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*|&")
_BRACKET = re.compile(r"\s*\(([^()]*)\)\s*$")
_MOVED = re.compile(r"^(.*), (the|a|an|le|la|les|il|lo|el|los|las|der|die|das|un|une)$", re.IGNORECASE)
_YEAR = re.compile(r"(?:18|19|20)\d\d")
_YEAR_AFTER = re.compile(r"(?:,\s*(?:the|a|an))?[!?.]*\"?\s*\(?((?:18|19|20)\d\d)(\)?)", re.IGNORECASE)
_BEGINS = re.compile(r"(?:^|\n|[.!?]\s+)(?=(\w+))")
_TOLD = re.compile(rf":| (?:{'|'.join(VERBS)}) ")  # behind a title, where a sentence tells of it
_SENTENCE = re.compile(r"(^|[.!?:]\s*)$")
_ON = re.compile(r"[\s,&]*+(?:\b(?:and|or)\b[\s,&]*+)?(?:\b(?:the|a|an)\b)?\s*+")
_QUOTES = "\"'«»"
_TYPOS = 2  # letters that a mistyped title may have more or fewer
_LIKE = 0.85  # how like it is, of 1
_ARTICLES = frozenset({"the", "a", "an"})
_LINKS = frozenset({"at", "for", "from", "in", "of", "on", "the", "to"})  # small words inside a title


class Token(NamedTuple):
    word: str
    start: int
    end: int


class Named(NamedTuple):
    """A title in a text: the rows it may be, none where it is another item of that name, and where it stands."""

    rows: tuple[int, ...]
    start: int
    end: int


_STRAIGHT = str.maketrans("\u2018\u2019\u02bc\u201c\u201d\u201e", "'''\"\"\"")


def straight(text: str) -> str:
    """The text with straight quotes and apostrophes, every character where it was."""
    return text.translate(_STRAIGHT)


def tokens(text: str) -> list[Token]:
    """The words of a text as titles are compared: without case, accents and apostrophes, & as and."""
    return [Token(_fold(found.group()), found.start(), found.end()) for found in _TOKEN.finditer(text)]


class Titles:
    """Finds titles as people write them: without their year, articles in front or at the end, without subtitles.

    A title of one word, or of common words alone, counts only where something says that it is one: quotes, its year,
    capitals inside a sentence, or a word such as "like" before it; one common word ("It") needs both of these.
    common: further words that are no titles by themselves.
    """

    def __init__(self, titles: Sequence[str | None], years: Sequence[float], common: Collection[str] = ()) -> None:
        self._common = COMMON | set(common)
        self._rows: dict[str, list[int]] = {}
        self._begins: set[str] = set()
        self._years = [_year(title, year) for title, year in zip(titles, years, strict=True)]
        short: dict[str, list[int]] = {}
        self._titled: dict[str, int] = {}
        lengths: dict[str, set[int]] = {}
        for row, title in enumerate(straight(title or "") for title in titles):
            if first := re.match(r"\w+", title):
                self._titled[title] = row
                lengths.setdefault(first[0], set()).add(len(title))
            for name in _names(title):
                self._add(self._rows, name, row)
                head, mark, _ = name.partition(":")
                if mark and len(_key(head)) > 1:
                    self._add(short, head, row)
        self._written = {word: sorted(each, reverse=True) for word, each in lengths.items()}
        for key, rows in short.items():
            self._rows.setdefault(key, rows)
        for key in self._rows:
            words = key.split(" ")
            self._begins.update(" ".join(words[:n]) for n in range(1, len(words) + 1))

    def found(self, text: str) -> list[Named]:
        """The titles in the order in which they are named; the longest where several begin at one word.

        text: with straight quotes.
        """
        words = tokens(text)
        plain = _is_plain(text, words)
        named: list[Named] = []
        at = 0
        while at < len(words):
            one = next((n for n in self._at(text, words, at, plain, named)), None)
            if one is None:
                at += 1
                continue
            named.append(one)
            while at < len(words) and words[at].start < one.end:
                at += 1
        return named

    def unknown(self, text: str, named: Sequence[Named]) -> list[str]:
        """What stands where a title would and is none: a name after "like", or a title with the year of no item.

        text: with straight quotes. named: the titles that were found in it.
        """
        words = tokens(text)
        if not _is_plain(text, words):
            return []
        strange = [text[one.start : one.end] for one in named if not one.rows]
        for at in range(1, len(words)):
            if words[at - 1].word in CUES or _is_to(words, at) or _is_asked(words, at):
                end = _name_end(text, words, at)
                inside = words[at:end]
                taken = any(one.start < word.end and word.start < one.end for one in named for word in inside)
                if not taken and any(word.word not in self._common for word in inside):
                    strange.append(text[inside[0].start : inside[-1].end])
        return strange

    def nearest(self, name: str) -> int | None:
        """The item whose title is written most like a name that is none."""
        key = " ".join(_key(name))
        near = [known for known in self._rows if known[:1] == key[:1] and abs(len(known) - len(key)) <= _TYPOS]
        found = difflib.get_close_matches(key, near, n=1, cutoff=_LIKE)
        return self._rows[found[0]][0] if found else None

    def told(self, text: str) -> list[Named]:
        """What an answer tells of: the titles, as they are written, that its sentences begin with, however common their
        words are. In order; text: with straight quotes."""
        begun = (self._begun(text, at.end(), at[1]) for at in _BEGINS.finditer(text))
        return [one for one in begun if one is not None]

    def _begun(self, text: str, start: int, word: str) -> Named | None:
        """The longest title that a sentence begins with and tells of."""
        for length in self._written.get(word, ()):
            end = start + length
            row = self._titled.get(text[start:end]) if end <= len(text) else None
            if row is None:
                continue
            after = _TOLD.match(text, end)
            bare = text[start:end].casefold() in self._common
            moved = _MOVED.match(text[start:end]) is not None and not text[end : end + 1].isalnum()
            if moved or (after is not None and not (bare and after[0] != ":")):
                return Named((row,), start, end)
        return None

    def _add(self, to: dict[str, list[int]], name: str, row: int) -> None:
        key = " ".join(_key(name))
        if key and row not in to.setdefault(key, []):
            to[key].append(row)

    def _at(self, text: str, words: list[Token], at: int, plain: bool, before: list[Named]) -> list[Named]:
        """What may be named from this word on, the longest first."""
        key, hits = "", list[Named]()
        for end in range(at, len(words)):
            key = f"{key} {words[end].word}" if key else words[end].word
            if key not in self._begins:
                break
            if key in self._rows:
                made = self._one(text, words, at, end, tuple(self._rows[key]), plain, before)
                hits += [] if made is None else [made]
        return hits[::-1]

    def _one(
        self, text: str, words: list[Token], at: int, end: int, rows: tuple[int, ...], plain: bool, before: list[Named]
    ) -> Named | None:
        first = at - 1 if at and words[at - 1].word in _ARTICLES else at
        start, stop = words[first].start, words[end].end
        dated = _YEAR_AFTER.match(text, stop)
        if dated is not None:
            then = tuple(row for row in rows if self._years[row] == int(dated[1]))
            if then or dated[2]:
                return Named(then, start, dated.end())
        inside = [word.word for word in words[at : end + 1]]
        strange = [word for word in inside if word not in self._common and not word.isdigit()]
        if len(inside) > 1 and strange:
            return Named(rows, start, stop)
        cued = (first > 0 and words[first - 1].word in CUES) or _continues(text, start, before) or _is_to(words, first)
        kind = end + 1 < len(words) and words[end + 1].word in KINDS
        capital = plain and _has_capitals(text, words, at, end)
        numbers = all(word.isdigit() for word in inside)
        if numbers and cued and not kind:
            return Named(rows, start, stop)
        if len(inside) == 1 and not strange:
            return Named(rows, start, stop) if (capital and cued) or _is_quoted(text, start, stop) else None
        meant = capital or (cued and strange and not kind) or _is_quoted(text, start, stop)
        return Named(rows, start, stop) if meant else None


def _names(title: str) -> list[str]:
    """What an item may be called: its title without brackets, and what stands in those."""
    names: list[str] = []
    while (found := _BRACKET.search(title)) is not None:
        title = title[: found.start()]
        names += [found[1]] if found[1] and not _YEAR.fullmatch(found[1].strip()) else []
    return [_MOVED.sub(r"\2 \1", name.strip()) for name in (title, *names)]


def _key(name: str) -> list[str]:
    words = [token.word for token in tokens(straight(name))]
    return words[1:] if len(words) > 1 and words[0] in _ARTICLES else words


def _year(title: str | None, year: float) -> int:
    if year == year:
        return int(year)
    found = re.search(r"\(((?:18|19|20)\d\d)\)\s*$", title or "")
    return int(found[1]) if found else 0


def _fold(token: str) -> str:
    if token == "&":
        return "and"
    bare = token.casefold().replace("'", "")
    return bare if bare.isascii() else ACCENTS.sub("", unicodedata.normalize("NFKD", bare))


def _is_plain(text: str, words: list[Token]) -> bool:
    """Whether capitals mean anything in it: most of its words have none."""
    capital = sum(text[word.start].isupper() for word in words)
    return 2 * capital <= len(words) + 1


def _has_capitals(text: str, words: list[Token], at: int, end: int) -> bool:
    inside = words[at : end + 1]
    if not all(text[word.start].isupper() for word in inside):
        return False
    alone = len(inside) == 1
    return not (alone and (len(inside[0].word) == 1 or _SENTENCE.search(text[: words[at].start])))


def _name_end(text: str, words: list[Token], at: int) -> int:
    """Behind the last word of the capitalised name that begins here, none where it may only describe what follows."""

    def goes_on(i: int) -> bool:
        joined = i == at or text[words[i - 1].end : words[i].start].strip(":-,. ") == ""
        return joined and (text[words[i].start].isupper() or (i > at and words[i].word.isdigit()))

    end = at
    while end < len(words):
        linked = at < end < len(words) - 1 and words[end].word in _LINKS and goes_on(end + 1)
        if not linked and not goes_on(end):
            break
        end += 2 if linked else 1
    follows = text[words[end - 1].end : words[end].start].isspace() if at < end < len(words) else False
    return at if follows and words[end].word not in COMMON else end


def _is_quoted(text: str, start: int, end: int) -> bool:
    return start > 0 and end < len(text) and text[start - 1] in _QUOTES and text[end] in _QUOTES


def _continues(text: str, start: int, before: list[Named]) -> bool:
    """Whether it follows another title with nothing but a comma, and, or between them."""
    return bool(before) and _ON.fullmatch(text[before[-1].end : start]) is not None


def _is_to(words: list[Token], first: int) -> bool:
    return first > 1 and words[first - 1].word == "to" and words[first - 2].word in ("similar", "close")


def _is_asked(words: list[Token], first: int) -> bool:
    return first > 1 and words[first - 1].word == "about" and words[first - 2].word in ("me", "more", "what", "how")
