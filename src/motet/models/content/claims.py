"""Whether a sentence says nothing of an item but what its columns hold."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SMALL = 400  # characters of a text that are told to the model
_STEM = 5  # letters: "romantic" is founded by "romance"
_LOOSE = 1  # words of content that a sentence may add without foundation

# Words that claim nothing of an item.
_NEUTRAL = frozenset(
    _WORD.findall(
        "a about all also an and another any are as at be been both but by can choice combines could elements "
        "enjoy enjoys every example fact facts fans feature features film films filled find fits for from full "
        "genre good great has have if in into is it its like look looking love loves made makes may mix more "
        "most movie movies not of offers on one or other pick piece recommend should so some story such suits "
        "than that the their them there these they this those to two type up very viewers want watch well were "
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
        told = ", ".join(_plain(value) for value in self.columns.values())
        return f"{self.title}: {told}." if told else f"{self.title}."


def unfounded(sentence: str, facts: Facts, query: str, names: Collection[str]) -> list[str]:
    """What the sentence claims without the facts: numbers, names, labels that other items have, and words of
    content where there is more than one.

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
    loose = sorted(word for word in said if word not in _NEUTRAL and word[:_STEM] not in stems)
    return claims + (loose if len(loose) > _LOOSE else [])


def goes_round(sentence: str) -> bool:
    """Whether it says three words twice, as small models do that have lost their thread."""
    said = [word.lower() for word in _WORD.findall(sentence)]
    threes = list(zip(said, said[1:], said[2:], strict=False))
    return len(set(threes)) < len(threes)


def _inner_names(sentence: str) -> list[str]:
    """Capitalised words that do not open a sentence."""
    found = [(match.start(), match.group()) for match in _WORD.finditer(sentence)]
    opens = re.compile(r"(^|[.!?:]\s+)[\"“']?$")
    return [word for at, word in found if word[0].isupper() and len(word) > 1 and not opens.search(sentence[:at])]


def _founded(name: str, known: Collection[str]) -> bool:
    return all(word.lower() in known for word in _WORD.findall(name))


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)} | set(_NUMBER.findall(text))


def _plain(value: Any) -> str:
    if isinstance(value, list):
        names = cast("list[str]", value)
        return " and ".join(names) if len(names) < 3 else ", ".join(names)
    return str(value)[:_SMALL]
