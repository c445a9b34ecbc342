"""What a person wants by the end of a conversation: later turns refine or take back earlier ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from motet.models.content import periods
from motet.models.content.english import BEING, FILLER, FINE, GREETING, JOINING, NEGATIVE, SEEN, WHOSE
from motet.models.content.periods import Period
from motet.models.content.titles import Named, Titles, Token, straight, tokens
from motet.turns import Turn

ANYTIME = Period()
INTENTS = ("find", "like this", "refine", "about", "smalltalk")
LONGEST = 64  # words of a query
REACH = 8  # words after a negative one that it still denies

_CLAUSE = re.compile(r"[.;!?,]|\b(?:but|though|although|however|because)\b", re.IGNORECASE)
_BUT = re.compile(r"\b(?:any|every)thing (?:but|except)\b", re.IGNORECASE)
_NON = re.compile(r"\bnon[- ]?(\w+)", re.IGNORECASE)
_AUXILIARIES = ("is", "are", "was", "were", "do", "does", "did", "ca", "wo", "have", "has", "had", "could", "would")
_INSTEAD = re.compile(r"\b(?:instead|rather|actually|(?:how|what) about)\b", re.IGNORECASE)
_ANEW = re.compile(
    r"\b(?:start (?:over|again|anew)|never ?mind|(?:forget|ignore) (?:all|everything|that|it|what i said)|new search|"
    r"something (?:completely|entirely|totally|else entirely) ?(?:different|else)?)\b",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"\b(?:tell me (?:more |something )?about|more about|describe|details (?:of|on|about)"
    r"|what(?:'s| is| was)\b.*\babout"
    r"|who (?:is|was|stars|starred|directed|plays)|what (?:year|genre|kind)|when (?:was|did))\b"
    r"|(?:^|[.!?,]\s*)(?:is|was) _+ [^.!?]{0,30}\?",
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
    about. All items are rows, all tags codes. query: the words that say what else is wanted."""

    intent: str = "find"
    query: str = ""
    tags: tuple[frozenset[int], ...] = ()
    without: frozenset[int] = frozenset()
    period: Period = ANYTIME
    liked: tuple[int, ...] = ()
    named: tuple[int, ...] = ()
    about: tuple[int, ...] = ()

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

    words: the code of the tag that each word or phrase stands for.
    """

    def __init__(self, titles: Titles, words: Mapping[str, int], year: Callable[[int], float]) -> None:
        self._titles, self._year = titles, year
        self._tags = {form: (tag, n > 0) for phrase, tag in words.items() for n, form in enumerate(_forms(phrase))}
        self._longest = max((form.count(" ") + 1 for form in self._tags), default=0)

    def read(self, turns: Sequence[Turn]) -> Wishes:
        wishes, shown, content = Wishes(), tuple[int, ...](), list[Word]()
        for turn in (Turn(straight(text), ours) for text, ours in turns):
            if turn.ours:
                shown = _once(row for one in self._titles.told(turn.text) for row in one.rows[:1])
                wishes = replace(wishes, named=_once((*wishes.named, *shown)))
            else:
                wishes, said, anew = self._heard(wishes, turn.text, shown)
                content = said if anew else [*content, *said]
        left = [word.text for word in content if word.tag not in wishes.without]
        return replace(wishes, query=" ".join(left[-LONGEST:]))

    def _heard(self, before: Wishes, text: str, shown: tuple[int, ...]) -> tuple[Wishes, list[Word], bool]:
        """What is wanted after one more turn of the person, the words in it that say what else, and whether what was
        wanted before is forgotten."""
        text = _NON.sub(self._alone, _BUT.sub("not", text))
        titles = self._titles.found(text)
        bare = _blanked(text, [(one.start, one.end) for one in titles])
        period, places, any_year = periods.read(bare)
        bare = _blanked(bare, places)
        words = tokens(bare)
        tags = self._tagged(words)
        scope = _Scope(bare, words, titles, tags)
        liked = [row for one in titles if scope.polarity(one.start) > 0 for row in one.rows]
        disliked = {row for one in titles if scope.polarity(one.start) < 0 for row in one.rows}
        pointed = _pointed(bare, shown)
        about = _ABOUT.search(bare) is not None
        asked = (_once(row for one in titles for row in one.rows) or pointed) if about else ()
        if not asked:
            liked += pointed
        anew, instead = _ANEW.search(bare) is not None, _INSTEAD.search(bare) is not None
        old = replace(Wishes(), named=before.named) if anew else before
        named = _once((*old.named, *(row for one in titles for row in one.rows)))
        if asked:
            return replace(old, intent="about", about=asked, named=named), [], anew
        period = period or self._relative(bare, shown)
        made = replace(
            old,
            tags=_groups(bare, tags, scope, () if instead and tags else old.tags),
            without=_without(tags, scope, old.without),
            period=(Period() if any_year else old.period).then(period),
            liked=_once(row for row in (*old.liked, *liked) if row not in disliked),
            named=named,
            about=(),
        )
        of = {word: tag.tag for tag in tags for word in words if tag.start <= word.start < tag.end}
        kept = [word for word in words if word.word not in FILLER and scope.polarity(word.start) >= 0]
        said = [Word(word.word, of.get(word, -1)) for word in kept]
        changed = made.conditions != old.conditions
        return replace(made, intent=_intent(words, bool(liked), changed, before)), said, anew

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


class _Scope:
    """What is denied in a text: from a negative word to the end of its clause, and in a list that goes on after it."""

    def __init__(self, text: str, words: list[Token], titles: list[Named], tags: list[Tagged]) -> None:
        ends = [*(found.start() for found in _CLAUSE.finditer(text)), len(text)]
        self._denied: list[tuple[int, int, int]] = []  # from, to, -1 denied, 0 neither
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
                self._denied.append((start, end, self._denied[-1][2]))
                found = self._denied[-1]
            going, start = found is not None, end

    def polarity(self, at: int) -> int:
        """-1 where it is denied, 0 where it is neither liked nor not (not seen, fine with it), else 1."""
        return next((sign for start, end, sign in self._denied if start <= at < end), 1)

    @staticmethod
    def _clause(inside: list[Token], own: list[tuple[int, int]], start: int, end: int) -> tuple[int, int, int] | None:
        words = [word.word for word in inside]
        negative = next((i for i, word in enumerate(words) if _is_negative(word)), None)
        if own and any(word in FINE for word in words):
            return start, end, 0
        if negative is None:
            return None
        sign = 0 if own and any(word in SEEN for word in words[negative:]) else -1
        at = inside[negative].start
        if _is_being(words, negative) and not any(thing[0] > at for thing in own):
            return start, end, sign
        beyond = inside[negative + REACH + 1 : negative + REACH + 2]
        return at, beyond[0].start if beyond else end, sign


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


def _intent(words: list[Token], liked: bool, changed: bool, before: Wishes) -> str:
    if liked:
        return "like this"
    if not changed and all(word.word in GREETING for word in words):
        return "smalltalk"
    earlier = before.intent != "smalltalk" and before != Wishes()
    return "refine" if earlier and changed else "find"


def _blanked(text: str, places: list[tuple[int, int]]) -> str:
    """The text with nothing at these places, every other character where it was."""
    for start, end in places:
        text = text[:start] + "_" * (end - start) + text[end:]
    return text


def _once(rows: Iterable[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(rows))
