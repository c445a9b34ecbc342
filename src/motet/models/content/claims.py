"""Whether a sentence says nothing of an item but what its columns hold."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from motet.models.content.english import VERBS

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SMALL = 400  # characters of a text that are told to the model
_STEM = 5  # letters: "romantic" is founded by "romance"
_PRAISE = re.compile(
    r"\b(an?|the)\s+(beloved|classic|famous|popular|timeless|well-known)\s+(?!and\b)(\w)", re.IGNORECASE
)

# Where a sentence may end early, what it must hold by then, and what it cannot end with.
_CLAUSE = re.compile(
    r",?\s(?=(?:about|and|based|because|but|by|directed|featuring|for|in|released|set|starring|that|where|which|who|"
    r"whose|with|written)\b)|[,;(:]"
)
_VERB = re.compile(rf"\b(?:{'|'.join(VERBS)})\b")
FEWEST = 4  # words behind the title: "is a crime" is short of one
_ENDS_OPEN = re.compile(r"(?:'s|\b(?:been|was|were)\s+\w+)$")
_DANGLING = frozenset(
    _WORD.findall(
        "a an and are as based be been called directed has have in is more named of offers or released set so "
        "starring the to very was were written"
    )
)

# Words that claim nothing of an item.
_NEUTRAL = frozenset(
    _WORD.findall(
        "a about all also an and another any are as at be been both but by can choice combines could elements "
        "enjoy enjoys every example fact facts fans feature features film films filled find fits for from full "
        "good great has have if in into is it its like look looking love loves made makes may mix more "
        "most movie movies not of offers on one or other pick piece recommend released should so some story such suits "
        "than that the their them there these they this those to two type up very viewers want was watch well were "
        "what when which who will with without work would you your"
    )
)


@dataclass(frozen=True)
class Facts:
    """One item: what it is called, and its columns by name as texts, numbers or lists of names."""

    title: str
    columns: Mapping[str, Any]

    def __str__(self) -> str:
        told = "; ".join(f"{name}: {_plain(value)}" for name, value in self.columns.items())
        return f"{self.title} ({told})" if told else self.title

    @property
    def template(self) -> str:
        """A sentence made of the facts alone."""
        said = ": ".join(filter(None, (self.title, ", ".join(_plain(value) for value in self.columns.values()))))
        return said if said.endswith((".", "!", "?")) else f"{said}."


def unfounded(sentence: str, facts: Facts, query: str, names: Collection[str]) -> list[str]:
    """What the sentence claims without the facts: numbers, names, labels that other items have, and other
    words of content.

    names: every name that a Category or Tags column of the items holds. Words of the query may be repeated, but no name
    and no number is true of an item because somebody asked for it.
    It knows words, not meaning, and errs towards refusing: a capitalised word inside a sentence is a name.
    """
    known = _words(str(facts))
    claims = [number for number in _NUMBER.findall(sentence) if number not in known]
    claims += [word for word in _inner_names(sentence) if not _founded(word, known)]
    said = _words(sentence)
    claims += [name for name in names if _founded(name, said) and not _founded(name, known)]
    stems = {word[:_STEM] for word in known | _words(query) | _NEUTRAL}
    return claims + sorted(word for word in said if word not in _NEUTRAL and word[:_STEM] not in stems)


def sober(sentence: str, facts: Facts) -> str:
    """The sentence without praise that the facts do not hold."""
    known = _words(str(facts))

    def without(praise: re.Match[str]) -> str:
        article, word, letter = praise.groups()
        if word.lower() in known:
            return praise[0]
        return f"{article if article.lower() == 'the' else 'an' if letter.lower() in 'aeiou' else 'a'} {letter}"

    return _PRAISE.sub(without, sentence)


def tells(sentence: str, facts: Facts) -> bool:
    """Whether it says anything of what the columns hold."""
    held = {word for value in facts.columns.values() for word in _words(_plain(value)) if word not in _NEUTRAL}
    return not held or any(word in held for word in _words(sentence))


def beginnings(sentence: str) -> Iterator[str]:
    """The sentence without its last clauses, the longest first: small models begin well and then go on inventing."""
    for opens in reversed(list(_CLAUSE.finditer(sentence))):
        kept = sentence[: opens.start()]
        words = [word.lower() for word in _WORD.findall(kept)]
        if _VERB.search(kept) and len(words) >= FEWEST and not _ENDS_OPEN.search(kept) and words[-1] not in _DANGLING:
            yield f"{kept}."


def goes_round(sentence: str) -> bool:
    """Whether it says three words twice, or one word of content, as small models do that have lost their thread."""
    said = [word.lower() for word in _WORD.findall(sentence)]
    content = [word for word in said if word not in _NEUTRAL]
    threes = list(zip(said, said[1:], said[2:], strict=False))
    return len(set(threes)) < len(threes) or len(set(content)) < len(content)


def _inner_names(sentence: str) -> list[str]:
    """Capitalised words that do not open a sentence."""
    found = [(match.start(), match.group()) for match in _WORD.finditer(sentence)]
    opens = re.compile(r"(^|[.!?:]\s+)[\"“']?$")
    return [word for at, word in found if word[0].isupper() and len(word) > 1 and not opens.search(sentence[:at])]


def _founded(name: str, known: Collection[str]) -> bool:
    return all(part in known for word in _WORD.findall(name) for part in word.lower().split("-"))


def _words(text: str) -> set[str]:
    whole = {word.lower() for word in _WORD.findall(text)}
    return whole | {part for word in whole for part in word.split("-")} | set(_NUMBER.findall(text))


def _plain(value: Any) -> str:
    if isinstance(value, list):
        names = cast("list[str]", value)
        return " and ".join(names) if len(names) < 3 else ", ".join(names)
    return str(value)[:_SMALL]
