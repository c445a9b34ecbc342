"""A conversation read into columns: what is wanted by its end, and which items fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from motet.apply import Pick, Whole
from motet.batch import Array, Batch, Codes, Ragged, Vocabulary, offsets_of
from motet.column import Category, Column, Flag, Number, Sequence, Tags, Text, column
from motet.errors import GraphError
from motet.model import Model, State
from motet.models.content.titles import Titles
from motet.models.content.wishes import INTENTS, Reader, Wishes
from motet.node import event_of, grain_name, item_of, name_of
from motet.record import Record, filled
from motet.turns import parted
from motet.windows import Windows

REMEMBERED = 64  # conversations whose reading is kept: a request needs it several times
MOST_NAMED = 3  # titles, liked or not known, are repeated
ANSWERS = {"thanks": "You are welcome.", "bye": "Goodbye."}


class Heard(Record):
    """What a conversation comes to.

    intent: of the last turn: find, like this, refine, about or smalltalk. query: the words that say what else is
    wanted, for search by meaning and words. liked: items named with liking; named: all that were named, by the
    assistant too. fits: per request and item, whether all that was asked for holds, and the item was not named yet;
    where the last turn asks about items, these alone. understood: what was asked for, as a sentence, which also says
    where nothing fits and what is no title; of small talk what there is to answer.
    """

    intent: Category
    query: Text
    liked: Sequence
    named: Sequence
    understood: Text
    fits: Flag


@dataclass(frozen=True)
class Dialogue(Model):
    """Reads what somebody said, turn by turn, against an entity's titles, tags and years: dialogue state tracking.

    By rules, in English, some 0.5 ms a turn, and nothing is fitted: titles are looked up whatever their number,
    a new item is known at once. Later turns refine earlier ones ("no horror", "newer", "more like the second one",
    "dramas instead") or take them back ("forget the year"). "The last five years" are those up to the newest item's.
    What is not understood stays in the query. A text with line breaks is a turn a line, the latest last, the
    assistant's behind "> "; of more than 8,000 characters the latest turns are read, of an endless turn its beginning
    and its end.

    also: words for tags besides their names: {"scary": "Horror"}.
    Call: heard = Dialogue()(Visit.said, Film.title, Film.genres, Film.year); tags and year may be left out. Gives a
        record of columns: see Heard. `heard.fits` is what mt.retrieve(..., where=heard.fits) keeps to.
    Source: Budzianowski et al. 2018 (arXiv 1810.00278) for the task.
    """

    also: Mapping[str, str] = field(default_factory=dict[str, str])

    reads_turns: ClassVar[bool] = True
    version: ClassVar[int] = 2

    def __str__(self) -> str:
        return "Dialogue()"

    def __call__(self, said: Text, title: Text, tags: Tags | None = None, year: Number | None = None) -> Heard:
        item = item_of(title.grain)
        own = [column for column in (title, tags, year) if column is not None]
        if item is None or any(column.grain != frozenset({item}) for column in own) or event_of(said.grain) is None:
            raise GraphError(
                f"{self} reads what an event says against an entity's own columns, and got {name_of(said)} of"
                f" {grain_name(said.grain)} and {', '.join(f'{name_of(c)} of {grain_name(c.grain)}' for c in own)}",
                help="mt.Dialogue()(Visit.said, Film.title, Film.genres, Film.year)",
            )
        about = {"title": title, "tags": tags, "year": year, "keys": item.key_column()}
        given: dict[str, Any] = {name: Whole(each) for name, each in about.items() if each is not None}
        catalogue = column(Hidden, Listed(dict(self.also)), **given)
        made = column(Hidden, self, catalogue=catalogue, said=said)
        heard = filled(Heard, made)
        lists = {name: Sequence.of(Mentioned(made, name, item)) for name in ("liked", "named")}
        fits = column(Flag, Fits(), catalogue=catalogue, said=said, items=item.key_column())
        vars(heard).update(lists, fits=fits)
        return heard

    def apply(self, state: State, batch: Batch) -> dict[str, Any]:
        catalogue: Catalogue = batch["catalogue"]
        texts = [text or "" for text in batch["said"].to_pylist()]
        read = [catalogue.read(text) for text in texts]
        intents = np.array([INTENTS.index(wishes.intent) for wishes in read], np.int32)
        return {
            "intent": Codes(intents, Vocabulary(pa.array(INTENTS, pa.large_string()))),
            "query": pa.array([wishes.query for wishes in read], pa.large_string()),
            "liked": _rows([wishes.liked for wishes in read], catalogue.keys),
            "named": _rows([wishes.named for wishes in read], catalogue.keys),
            "understood": pa.array([catalogue.told(text) for text in texts], pa.large_string()),
        }


class Hidden(Column):
    """The hidden columns: the catalogue that conversations are read against, and what was read, before it is parted."""


@dataclass(frozen=True, eq=False)
class Mentioned(Pick):
    """The items of an entity that a model found named."""

    entity: Any

    @property
    def holds(self) -> Any:
        return self.entity


@dataclass(frozen=True)
class Fits(Model):
    """Whether an item is what a conversation asks for."""

    crosses: ClassVar[bool] = True
    version: ClassVar[int] = 2

    def apply(self, state: State, batch: Batch) -> Fitting:
        return Fitting(batch["catalogue"], [text or "" for text in batch["said"].to_pylist()])


@dataclass(frozen=True)
class Fitting:
    """Which items fit each conversation, 1 or 0, computed when they are read."""

    catalogue: Catalogue
    texts: Several[str]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.texts), len(self.catalogue.keys)

    def dense(self, requests: slice) -> Array:
        rows = [self.catalogue.fits(text) for text in self.texts[requests]]
        return np.array(rows, np.float32).reshape(len(rows), self.shape[1])

    def at(self, requests: Array, items: Array) -> Array:
        made = np.full(len(items), np.nan, np.float32)
        for request in np.unique(requests).tolist():
            pairs = requests == request
            made[pairs] = self.catalogue.fits(self.texts[request])[items[pairs]]
        return made


@dataclass(frozen=True)
class Listed(Model):
    """The catalogue of a whole entity."""

    also: Mapping[str, str]

    def __str__(self) -> str:
        return "Listed()"

    def apply(self, state: State, batch: Batch) -> Catalogue:
        return Catalogue(batch["title"], batch.columns.get("tags"), batch.columns.get("year"), batch["keys"], self.also)


class Catalogue:
    """An entity's titles, tags and years, as far as conversations can ask for them."""

    def __init__(
        self, title: pa.Array, tags: Ragged | None, year: Array | None, keys: pa.Array, also: Mapping[str, str]
    ) -> None:
        n = len(title)
        self.keys, self._titles = Vocabulary(keys), title
        self._years = np.full(n, np.nan) if year is None else np.asarray(year, np.float64)
        self._tags = _Tags.of(tags, n)
        words = {name: code for code, name in enumerate(self._tags.names)}
        words |= {word: words[tag] for word, tag in also.items() if tag in words}
        common = {word for phrase in words for word in phrase.casefold().split()}
        self._names = titles = Titles(title.to_pylist(), self._years.tolist(), common)
        newest = max(self._years[np.isfinite(self._years)].tolist(), default=math.nan)
        self._reader = Reader(titles, words, lambda row: float(self._years[row]), newest)
        self.read = lru_cache(REMEMBERED)(self._read)
        self.fits = lru_cache(REMEMBERED)(self._fits)

    def _read(self, text: str) -> Wishes:
        return self._reader.read(parted(text))

    def _fits(self, text: str) -> Array:
        """Whether each item is what the conversation asks for, bool [items]."""
        wishes = self.read(text)
        if wishes.about:
            return self._among(wishes.about)
        fits = self._within(wishes) & ~self._among(wishes.named)
        fits.setflags(write=False)
        return fits

    def told(self, text: str) -> str:
        """What was asked for, as a sentence."""
        wishes = self.read(text)
        unknown = self._unknown(wishes.unknown)
        if wishes.about:
            return unknown
        if wishes.talk in ANSWERS:
            return ANSWERS[wishes.talk]
        if wishes.talk == "help":
            return self._help()
        asked = [" or ".join(self._tags.names[tag] for tag in sorted(group)) for group in wishes.tags]
        asked += [f"without {self._tags.names[tag]}" for tag in sorted(wishes.without)]
        asked += [str(wishes.period)] if wishes.period else []
        if asked and not self.fits(text).any():
            return " ".join([f"Nothing fits: {', '.join(asked)}.", *([unknown] if unknown else [])])
        liked = [str(self._titles[row].as_py()) for row in wishes.liked[-MOST_NAMED:]]
        more = f" and {len(wishes.liked) - MOST_NAMED} more" if len(wishes.liked) > MOST_NAMED else ""
        asked += [f"like {', '.join(liked)}{more}"] if liked else []
        if not asked and not unknown:
            return "What are you looking for?" if wishes.talk else ""
        return " ".join([*([f"Asked for: {', '.join(asked)}."] if asked else []), *([unknown] if unknown else [])])

    def _unknown(self, names: Several[str]) -> str:
        """That these are no titles, and what may be meant."""
        names = names[:MOST_NAMED]
        if not names:
            return ""
        near = dict.fromkeys(row for name in names if (row := self._names.nearest(name)) is not None)
        meant = " or ".join(str(self._titles[row].as_py()) for row in near)
        return f"No title known: {', '.join(names)}." + (f" Did you mean {meant}?" if meant else "")

    def _help(self) -> str:
        """What can be asked for, with what there is."""
        title = next((title for title in self._titles.to_pylist() if title), "a title")
        dated = self._years[np.isfinite(self._years)]
        wishes = [f'"{name}"' for name in self._tags.names[:1]]
        wishes += [f'"after {np.median(dated):.0f}"'] if len(dated) else []
        unwanted = "".join(f', and what you do not: "no {name}"' for name in self._tags.names[:1])
        wanted = ", ".join([*wishes, f'"like {title}"'])
        return f'Say what you like: {wanted}{unwanted}. Or ask: "tell me about {title}".'

    def _within(self, wishes: Wishes) -> Array:
        fits = np.ones(len(self.keys), np.bool_)
        for group in wishes.tags:
            fits &= self._tags.any_of(group)
        if wishes.without:
            fits &= ~self._tags.any_of(wishes.without)
        low, high, without = wishes.period
        with np.errstate(invalid="ignore"):
            if low is not None:
                fits &= self._years >= low
            if high is not None:
                fits &= self._years <= high
            for first, last in without:
                fits &= (self._years < first) | (self._years > last)
        return fits

    def _among(self, rows: Several[int]) -> Array:
        made = np.zeros(len(self.keys), np.bool_)
        made[list(rows)] = True
        return made


@dataclass(frozen=True)
class _Tags:
    """Which items have which tag: pairs of an item's row and a tag's code."""

    rows: Array
    codes: Array
    names: list[str]
    n: int

    @staticmethod
    def of(tags: Ragged | None, n: int) -> _Tags:
        if tags is None or tags.names is None:
            return _Tags(np.zeros(0, np.int64), np.zeros(0, np.int32), [], n)
        codes, offsets = tags.windows.flat()
        return _Tags(np.repeat(np.arange(n), np.diff(offsets)), codes, [str(name) for name in tags.names.tolist()], n)

    @cached_property
    def _by_tag(self) -> dict[int, Array]:
        return {tag: self.rows[self.codes == tag] for tag in range(len(self.names))}

    def any_of(self, tags: frozenset[int]) -> Array:
        """The items that have at least one of the tags: bool [items]."""
        made = np.zeros(self.n, np.bool_)
        for tag in tags:
            made[self._by_tag[tag]] = True
        return made


def _rows(lists: Several[tuple[int, ...]], keys: Vocabulary) -> Ragged:
    offsets = offsets_of(np.array([len(rows) for rows in lists], np.int64))
    return Ragged(Windows.of(np.array([row for rows in lists for row in rows], np.int32), offsets), keys)
