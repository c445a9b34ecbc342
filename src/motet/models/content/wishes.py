"""What a person wants by the end of a conversation: later turns refine or take back earlier ones."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from motet.models.content import periods
from motet.models.content.english import (
    BACK,
    BEING,
    DEGREE,
    FILLER,
    FINE,
    GREETING,
    JOINING,
    NEGATIVE,
    PARTING,
    SEEN,
    THANKS,
    WHOSE,
)
from motet.models.content.periods import Period
from motet.models.content.titles import Named, Titles, Token, straight, tokens
from motet.turns import Turn

ANYTIME = Period()
INTENTS = ("find", "like this", "refine", "about", "smalltalk")
LONGEST = 64  # words of a query
REACH = 8  # words after a negative one that it still denies

_CLAUSE = re.compile(r"[.;!?,]|\b(?:but|though|although|however|because)\b", re.IGNORECASE)
_BUT = re.compile(r"\b(?:any|every)thing (?:but|except)\b", re.IGNORECASE)
_TAKEN_BACK = re.compile(r"\b(?:tak(?:e|ing) back|leave out|get rid of|never ?mind(?= \w))\b", re.IGNORECASE)
_NOT_DENIED = re.compile(
    r"\b(?:not|no) (?:only|just|dislike|hate)\b|\b(?:don|doesn|didn)'?t (?:dislike|hate)\b", re.IGNORECASE
)
_NON = re.compile(r"\bnon[- ]?(\w+)", re.IGNORECASE)
_AUXILIARIES = ("is", "are", "was", "were", "do", "does", "did", "ca", "wo", "have", "has", "had", "could", "would")
_INSTEAD = re.compile(r"\b(?:instead|rather|actually|(?:how|what) about)\b", re.IGNORECASE)
_ANEW = re.compile(
    r"\b(?:start (?:over|again|anew)|new search|something else entirely|"
    r"something (?:completely|entirely|totally) ?(?:different|else)|"
    r"(?:never ?mind|(?:forget|ignore) (?:about )?(?:all|everything|that|it|what)(?: of (?:that|it))?"
    r"(?: i(?:'ve| have)? (?:said|told you|asked(?: for)?))?(?: before)?)"
    r"(?=\s*(?:[.!?,;]|$|and\b|please\b|so far\b|again\b)))",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"\b(?:tell me (?:more |something )?about|more about|describe|details (?:of|on|about)"
    r"|what(?:'s| is| was)\b.*\babout|what(?:'s| is| was) the (?:\w+ )?\w+ of\b"
    r"|who (?:is|was|stars|starred|directed|plays)|what (?:year|genre|kind)|when (?:was|is|did|does)"
    r"|how (?:long|old|good|scary|funny|popular) (?:is|was|are|were)|do you (?:have|know))\b"
    r"|\b(?:what|how) about _+\W*$"
    r"|(?:^|[.!?,]\s*)(?:is|was) (?:_+|it|this|that|that one|this one) [^.!?]{0,30}\?"
    r"|(?:have|did) i (?:ever |already )?(?:see|seen|watch|watched)\b",
    re.IGNORECASE,
)
_IT = re.compile(r"\b(?:it|its|that (?:film|movie|one)|this (?:film|movie|one)|the (?:film|movie))\b", re.IGNORECASE)
_HELP = re.compile(
    r"^\W*(?:(?:hi|hello|hey)\W+)?(?:(?:please\s+)?help(?: me)?(?: please)?|(?:who|what) are you|what(?:'s| is) this"
    r"|are you (?:an? )?(?:human|person|real|robot|bot|ai|machine)"
    r"|what(?:'s| is) your name|what (?:can|do) (?:you|i) (?:do|say|ask)(?: here| for me)?"
    r"|how (?:does|do) (?:this|it|you) works?)\W*$",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"\b(first|second|third|fourth|fifth|last)(?: one| film| movie| of (?:those|these|them)|$)|\b(?:that|this) one\b",
    re.IGNORECASE,
)
_PLACES = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "last": -1}
_NEWER = re.compile(r"\b(?:newer|more recent|more modern)\b(?! than)", re.IGNORECASE)
_OLDER = re.compile(r"\b(?:older|more classic)\b(?! than)", re.IGNORECASE)


@dataclass(frozen=True)
class Wishes:
    """tags: of each group at least one is wanted. without: tags that are not. liked: items that were named with
    liking, or by themselves; named: those and all others, the assistant's too. about: the items that the last turn asks
    about. All items are rows, all tags codes. query: the words that say what else is wanted. unknown: what the last
    turn names as a title, and is none. talk: of small talk, whether it says hello or bye, or asks for help."""

    intent: str = "find"
    query: str = ""
    tags: tuple[frozenset[int], ...] = ()
    without: frozenset[int] = frozenset()
    period: Period = ANYTIME
    liked: tuple[int, ...] = ()
    named: tuple[int, ...] = ()
    about: tuple[int, ...] = ()
    unknown: tuple[str, ...] = ()
    talk: str = ""

    @property
    def conditions(self) -> tuple[object, ...]:
        return self.tags, self.without, self.period


class Word(NamedTuple):
    """A word that says what is wanted, and the code of the tag that it stands for, -1 for none."""

    text: str
    tag: int


class Tagged(NamedTuple):
    """A tag in a text. several: whether it stands there in the plural."""

    tag: int
    start: int
    end: int
    several: bool


class Reader:
    """Reads conversations about items with these titles, years and tags.

    words: the code of the tag that each word or phrase stands for. newest: the year of the newest item.
    """

    def __init__(
        self, titles: Titles, words: Mapping[str, int], year: Callable[[int], float], newest: float = math.nan
    ) -> None:
        self._titles, self._year, self._newest = titles, year, newest
        self._tags = {form: (tag, n > 0) for phrase, tag in words.items() for n, form in enumerate(_forms(phrase))}
        self._longest = max((form.count(" ") + 1 for form in self._tags), default=0)

    def read(self, turns: Sequence[Turn]) -> Wishes:
        wishes, shown, content = Wishes(), tuple[int, ...](), list[Word]()
        for turn in (Turn(straight(text), ours) for text, ours in turns):
            if turn.ours:
                others = [row for one in self._titles.found(turn.text) for row in one.rows[:1]]
                shown = _once([row for one in self._titles.told(turn.text) for row in one.rows] or others)
                wishes = replace(wishes, named=_once((*wishes.named, *shown, *others)))
            else:
                before = wishes
                wishes, said, anew = self._heard(before, turn.text, shown)
                gone = frozenset[int]().union(*before.tags).difference(*wishes.tags)
                content = said if anew else [*(word for word in content if word.tag not in gone), *said]
        if not turns or turns[-1].ours:  # the person has said nothing
            wishes = replace(wishes, intent="smalltalk", talk="hello")
        left = [word.text for word in content if word.tag not in wishes.without]
        return replace(wishes, query=" ".join(left[-LONGEST:]))

    def _heard(self, before: Wishes, text: str, shown: tuple[int, ...]) -> tuple[Wishes, list[Word], bool]:
        """What is wanted after one more turn of the person, the words in it that say what else, and whether what was
        wanted before is forgotten."""
        text = _NON.sub(self._alone, _TAKEN_BACK.sub("forget", _NOT_DENIED.sub("like", _BUT.sub("not", text))))
        talk = _talk(text)
        if talk:
            return replace(before, intent="smalltalk", talk=talk, about=(), unknown=()), [], False
        titles = self._titles.found(text)
        unknown = tuple(self._titles.unknown(text, titles))
        bare = _blanked(text, [(one.start, one.end) for one in titles])
        period, places, any_year = periods.read(bare, self._newest)
        forgotten = [found.span() for found in _ANEW.finditer(bare)]
        bare = _blanked(bare, [*places, *forgotten])
        old = replace(Wishes(), named=before.named) if forgotten else before
        rows = _once(row for one in titles for row in one.rows)
        named, pointed = _once((*old.named, *rows)), _pointed(bare, shown)
        asked = (rows or pointed or _meant(bare, before, shown)) if _ABOUT.search(bare) else ()
        if asked:
            made = replace(old, intent="about", about=asked, named=named, unknown=unknown, talk="")
            return made, [], bool(forgotten)
        words = tokens(bare)
        tags = self._tagged(words)
        scope = _Scope(bare, words, titles, tags)
        tags = _settled(tags, words, scope, old)
        liked = _once(row for one in titles if scope.polarity(one.start) > 0 for row in one.rows) or pointed
        dropped = {row for one in titles if not scope.is_said(one.start) for row in one.rows}
        made = replace(
            old,
            tags=_groups(bare, tags, scope, () if tags and _INSTEAD.search(bare) else old.tags),
            without=_without(tags, scope, old.without),
            period=(Period() if any_year else old.period).then(period or self._relative(bare, shown)),
            liked=_once(row for row in (*old.liked, *liked) if row not in dropped),
            named=named,
            about=(),
            unknown=unknown,
            talk="",
        )
        of = {word: tag.tag for tag in tags for word in words if tag.start <= word.start < tag.end}
        kept = [word for word in words if not _is_filler(word.word) and scope.is_said(word.start)]
        said = [Word(word.word, of.get(word, -1)) for word in kept]
        intent = _intent(bool(liked), made.conditions != old.conditions, before)
        return replace(made, intent=intent), said, bool(forgotten)

    def _alone(self, non: re.Match[str]) -> str:
        """What "non-horror" means, of tags: nothing but the one word is not wanted."""
        return f"not {non[1]} but" if non[1].lower() in self._tags else non[0]

    def _tagged(self, words: list[Token]) -> list[Tagged]:
        found: list[Tagged] = []
        at = 0
        while at < len(words):
            for n in range(min(self._longest, len(words) - at), 0, -1):
                known = self._tags.get(" ".join(word.word for word in words[at : at + n]))
                if known is not None and not (at and words[at - 1].word in WHOSE):
                    found.append(Tagged(known[0], words[at].start, words[at + n - 1].end, known[1]))
                    at += n - 1
                    break
            at += 1
        return found

    def _relative(self, text: str, shown: tuple[int, ...]) -> Period:
        """Newer or older than what was shown last."""
        years = sorted(year for row in shown if (year := self._year(row)) == year)
        if not years:
            return Period()
        middle = int(years[len(years) // 2])
        if _NEWER.search(text):
            return Period(middle + 1, None)
        return Period(None, middle - 1) if _OLDER.search(text) else Period()


class _Denied(NamedTuple):
    """A stretch of a text. sign: -1 where it is denied, 0 where it is neither liked nor not. back: taken back."""

    start: int
    end: int
    sign: int
    back: bool = False


class _Scope:
    """What is denied in a text: from a negative word to the end of its clause, and in a list that goes on after it."""

    def __init__(self, text: str, words: list[Token], titles: list[Named], tags: list[Tagged]) -> None:
        ends = [*(found.start() for found in _CLAUSE.finditer(text)), len(text)]
        self._denied: list[_Denied] = []
        start, going = 0, False
        things = [(each.start, each.end) for each in (*titles, *tags)]
        for end in ends:
            inside = [word for word in words if start <= word.start < end]
            own = [thing for thing in things if start <= thing[0] < end]
            found = self._clause(inside, own, start, end)
            others = [word for word in inside if not any(a <= word.start < b for a, b in own)]
            bare = bool(own) and all(word.word in JOINING for word in others)
            ors = any(word.word in ("or", "nor") for word in others)
            if found is not None:
                self._denied.append(found)
            elif bare and going and (ors or not inside or not any(a <= w.start < b for a, b in own for w in inside)):
                found = self._denied[-1]._replace(start=start, end=end)
                self._denied.append(found)
            going, start = found is not None, end

    def polarity(self, at: int) -> int:
        """-1 where it is denied, 0 where it is neither liked nor not (not seen, fine with it), else 1."""
        return next((one.sign for one in self._denied if one.start <= at < one.end), 1)

    def is_said(self, at: int) -> bool:
        """Whether a word here says what is wanted: it is neither denied nor of what is taken back."""
        return not any(one.start <= at < one.end and (one.sign < 0 or one.back) for one in self._denied)

    @staticmethod
    def _clause(inside: list[Token], own: list[tuple[int, int]], start: int, end: int) -> _Denied | None:
        words = [word.word for word in inside]
        negative = next((i for i, word in enumerate(words) if _is_negative(word)), None)
        if own and (any(word in FINE for word in words) or (negative is not None and "mind" in words[negative:])):
            return _Denied(start, end, 0)
        back = next((i for i, word in enumerate(words) if word in BACK), None)
        if own and back is not None:
            return _Denied(inside[back].start, _end_of_things(inside[back + 1 :], own, end), 0, back=True)
        if negative is None:
            return None
        sign = 0 if own and any(word in SEEN for word in words[negative:]) else -1
        at = inside[negative].start
        if _is_being(words, negative) and not any(thing[0] > at for thing in own):
            return _Denied(start, end, sign)
        beyond = inside[negative + REACH + 1 : negative + REACH + 2]
        return _Denied(at, beyond[0].start if beyond else end, sign)


def _end_of_things(words: list[Token], things: list[tuple[int, int]], end: int) -> int:
    """Where a list of things ends: at an "and" that no other of them follows."""
    for i, word in enumerate(words):
        if word.word in ("and", "then"):
            beyond = next((other.start for other in words[i + 1 :] if other.word not in JOINING), end)
            if not any(word.end <= start <= beyond for start, _ in things):
                return word.start
    return end


def _is_negative(word: str) -> bool:
    return word in NEGATIVE or (word.endswith("nt") and word[:-2] in _AUXILIARIES)


def _is_being(words: list[str], negative: int) -> bool:
    return words[negative] in BEING or (negative > 0 and words[negative - 1] in BEING)


def _forms(phrase: str) -> list[str]:
    """A tag's name as it is written: one first, several after it."""
    words = [token.word for token in tokens(phrase.replace("-", " "))]
    if not words:
        return []
    one, last = " ".join(words), words[-1]
    plural = last[:-1] + "ies" if last.endswith("y") else last + "s"
    return [one, " ".join([*words[:-1], plural]), *(["".join(words)] if len(words) > 1 else [])]


def _settled(tags: list[Tagged], words: list[Token], scope: _Scope, old: Wishes) -> list[Tagged]:
    """The mentions that count: a tag that a turn denies is not wanted by another word of it; "not too scary" and "not
    romantic comedies" deny nothing that is wanted otherwise."""
    wanted = {tag.tag for tag in tags if scope.polarity(tag.start) > 0}.union(*old.tags)
    before = {word.start: previous.word for previous, word in pairwise(words)}
    pairs = [pair for pair in pairwise(tags) if all(scope.polarity(tag.start) < 0 for tag in pair)]
    compound = {tag for pair in pairs if pair[1].start - pair[0].end <= 1 for tag in pair}
    plain = [
        tag for tag in tags if not (tag.tag in wanted and (tag in compound or _is_denied_degree(tag, before, scope)))
    ]
    denied = {tag.tag for tag in plain if scope.polarity(tag.start) < 0}
    return [tag for tag in plain if tag.tag not in denied or scope.polarity(tag.start) < 0]


def _is_denied_degree(tag: Tagged, before: Mapping[int, str], scope: _Scope) -> bool:
    return scope.polarity(tag.start) < 0 and before.get(tag.start) in DEGREE


def _groups(
    text: str, tags: list[Tagged], scope: _Scope, before: tuple[frozenset[int], ...]
) -> tuple[frozenset[int], ...]:
    """Alternatives are one group ("a comedy or a drama", "comedies and dramas"); all else is wanted together."""
    wanted = [tag for tag in tags if scope.polarity(tag.start) > 0]
    gone = {tag.tag for tag in tags if scope.polarity(tag.start) <= 0}
    groups = [group - gone for group in before if group - gone]
    previous: Tagged | None = None
    fresh: list[set[int]] = []
    for tag in wanted:
        between = text[previous.end : tag.start].lower() if previous else ""
        either = previous is not None and (
            re.search(r"\bor\b", between) is not None
            or (tag.several and re.fullmatch(r"[\s,]*(?:,|and|&)\s*", between))
        )
        if either and fresh:
            fresh[-1].add(tag.tag)
        else:
            fresh.append({tag.tag})
        previous = tag
    return tuple(dict.fromkeys([*groups, *map(frozenset, fresh)]))


def _without(tags: list[Tagged], scope: _Scope, before: frozenset[int]) -> frozenset[int]:
    denied = {tag.tag for tag in tags if scope.polarity(tag.start) < 0}
    taken_back = {tag.tag for tag in tags if scope.polarity(tag.start) >= 0}
    return (before - taken_back) | denied


def _pointed(text: str, shown: tuple[int, ...]) -> tuple[int, ...]:
    """What "the second one" is, of what was shown last."""
    found = _PLACE.search(text)
    if found is None or not shown:
        return ()
    place = _PLACES[found[1].lower()] if found[1] else 0
    return shown[place : place + 1] if place >= 0 else shown[-1:]


def _meant(text: str, before: Wishes, shown: tuple[int, ...]) -> tuple[int, ...]:
    """What "it" is: what was asked about, else the best of what was shown, else what was named with liking last."""
    return (before.about or shown[:1] or before.liked[-1:]) if _IT.search(text) else ()


def _talk(text: str) -> str:
    """hello, thanks, bye or help, where a turn is nothing else."""
    if _HELP.match(text):
        return "help"
    words = [token.word for token in tokens(text)]
    if '"' in text or _PLACE.search(text) or not all(word in GREETING for word in words):
        return ""
    parting = [word for word in words if word in PARTING]
    return "hello" if not parting else "thanks" if any(word in THANKS for word in parting) else "bye"


def _is_filler(word: str) -> bool:
    """Whether a word says nothing of what is wanted; nor does how many of them are."""
    return word in FILLER or (word.isdigit() and len(word) < len("1990"))


def _intent(liked: bool, changed: bool, before: Wishes) -> str:
    if liked:
        return "like this"
    earlier = before.intent != "smalltalk" and before != Wishes()
    return "refine" if earlier and changed else "find"


def _blanked(text: str, places: list[tuple[int, int]]) -> str:
    """The text with nothing at these places, every other character where it was."""
    for start, end in places:
        text = text[:start] + "_" * (end - start) + text[end:]
    return text


def _once(rows: Iterable[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(rows))
