"""A language model phrases an answer about items that were chosen before."""

from __future__ import annotations

import re
import string
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from threading import Event
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import pyarrow as pa

from motet.apply import Whole
from motet.batch import Batch, Codes, Pairs, Ragged, take
from motet.candidates import Candidates, root_of
from motet.column import Category, Column, Late, Number, Tags, Text, Unready, column
from motet.errors import GraphError, listed
from motet.llm import LLM, PACKAGED, Client, Prompt, Reply
from motet.model import Model, State
from motet.models.content.claims import FEWEST, Facts, beginnings, goes_round, sober, tells, unfounded
from motet.record import Entity

# One sentence goes on from the item's name: no second name in quotes, no list, no line break.
_REST = r'root ::= " " [a-z] [^\n"“”*.!?]{10,150} "."'
_MOST_TOKENS = 48
_LONGEST = 400  # characters of a sentence that are looked at


@dataclass(frozen=True)
class Write(Model):
    """A text about candidates: the model phrases facts, it never chooses them.

    Every candidate gets one sentence. It begins with the item's own name, which the model cannot change,
    and it is written from this item's columns alone, so nothing leaks from one item to the next. A sentence
    that claims what the columns do not hold ends before it does, or is replaced by the facts themselves, and so
    is one that is not finished in time; the reason is counted. Where that is so of all its sentences, a
    request's text is missing, and what stands `otherwise` answers.

    llm: which language model.
    instruction: what to write, with the names of what is given in braces: "Answer {query} using {films}."
    Call: Write(llm, instruction)(query=Visit.query, films=score.top(3)): one Candidates, any number of other
        columns of the same event. Gives a Late Text: say .within(seconds=3, otherwise=mt.Template()(score.top(3))).
    Errors: GraphError for a name in braces that is not given, or given and not used; RunError when the model
        or its endpoint cannot answer at all.
    """

    llm: LLM
    instruction: str

    calls_llm: ClassVar[bool] = True
    deep: ClassVar[bool] = True
    packaged: ClassVar[tuple[str, ...]] = PACKAGED

    def __post_init__(self) -> None:
        if not names_in(self.instruction):
            raise GraphError(
                f"the instruction {self.instruction!r} uses nothing", help='"Answer {query} using only {films}."'
            )

    def __call__(self, **given: Column) -> Late[Text]:
        self._check(given)
        name, chosen = next((n, c) for n, c in given.items() if isinstance(c, Candidates))
        root = root_of(chosen)
        about = {f"{name}.{field}": Whole(own) for field, own in told_columns(root.entity).items()}
        others = {n: c for n, c in given.items() if n != name}
        # The event's time gives the answer its rows where nothing else of the event is given.
        rows = others or {"": root.event.time_column()}
        made = column(Unready, self, **rows, **{name: cast(Any, Whole(chosen))}, **cast(Any, about))
        return Late(Text, made)

    def apply(self, state: State, batch: Batch) -> pa.Array:
        until = None if batch.seconds is None else time.monotonic() + batch.seconds * 0.9
        name = next(n for n, value in batch.columns.items() if isinstance(value, Pairs))
        pairs: Pairs = batch[name]
        about = {n.partition(".")[2]: v for n, v in batch.columns.items() if n.startswith(f"{name}.")}
        facts = facts_of(about, pairs.items)
        queries = [self._asked(batch, name, row) for row in range(batch.rows)]
        asked = [queries[int(row)] for row in pairs.requests.tolist()]
        along = None if batch.said is None else Along(pairs, batch.said).take
        said = self.sentences(asked, facts, _labels(about), until, batch.note, batch.left, along)
        each = [said[a:b] for a, b in zip(pairs.offsets[:-1], pairs.offsets[1:], strict=True)]
        return pa.array([_text(sentences) for sentences in each], pa.large_string())

    def sentences(
        self,
        asked: Sequence[str],
        facts: Sequence[Facts],
        labels: Sequence[str],
        until: float | None = None,
        note: Callable[[str], None] = lambda problem: None,
        left: Event | None = None,
        told: Callable[[int, Sentence], None] | None = None,
    ) -> list[Sentence]:
        """One sentence for each of the facts, each the answer to what is asked beside it.

        until: when they are needed, as time.monotonic() tells it. note: told why, for every sentence that the
        facts stand in for. left: set when nobody needs them any more. told: called with the number of each sentence and
        the sentence, as soon as it is there.
        """
        client = self.llm.open()
        prompts = [_prompt(client, what, fact) for what, fact in zip(asked, facts, strict=True)]
        grammar = _REST if client.grammars else None

        def checked(number: int, reply: Reply) -> Sentence:
            if reply.problem:
                return Sentence(facts[number].template, reply.problem)
            return _checked(_sentence(reply.text, facts[number]), facts[number], asked[number], labels)

        replies = client.complete(
            prompts,
            max_tokens=_MOST_TOKENS,
            grammar=grammar,
            stop=("\n",),
            until=until,
            left=left,
            told=None if told is None else lambda number, reply: told(number, checked(number, reply)),
        )
        said = [checked(number, reply) for number, reply in enumerate(replies)]
        for sentence in said:
            if sentence.problem:
                note(f"{sentence.problem}, so the facts stand in for the sentence")
        return said

    def _check(self, given: Mapping[str, Column]) -> None:
        chosen = [name for name, each in given.items() if isinstance(each, Candidates)]
        if len(chosen) != 1:
            raise GraphError(
                f"{self} writes about one set of candidates, and got {len(chosen)}", help="films=score.top(3)"
            )
        for name in sorted(names_in(self.instruction) ^ set(given)):
            fault = "uses {%s}, which is not given" if name not in given else "does not use %s, which is given"
            raise GraphError(f"the instruction {fault % name}; {listed(given, name)}", help=f"{name}=Visit.{name}")

    def _asked(self, batch: Batch, items: str, row: int) -> str:
        """The instruction with what this row gives; the items follow by themselves."""
        values = {n: told(batch[n], row) for n in names_in(self.instruction) if n != items}
        return self.instruction.format(**values, **{items: "the facts"})


class Sentence(NamedTuple):
    """A sentence that stands. problem: why it is the facts' and not the model's own, empty where it is."""

    text: str
    problem: str = ""


def _text(sentences: Sequence[Sentence]) -> str | None:
    """A request's text: empty where it has no candidates, missing where nothing in it is the model's own."""
    if sentences and all(each.problem for each in sentences):
        return None
    return " ".join(each.text for each in sentences)


class Along:
    """Tells each request's text as it grows: a sentence once all before it are there, whichever is written first, and
    none before one is there that is the model's own."""

    def __init__(self, pairs: Pairs, said: Callable[[int, str], None]) -> None:
        self._requests, self._offsets, self._said = pairs.requests, pairs.offsets, said
        self._there: dict[int, Sentence] = {}
        self._lock = threading.Lock()

    def take(self, number: int, sentence: Sentence) -> None:
        row = int(self._requests[number])
        first, end = int(self._offsets[row]), int(self._offsets[row + 1])
        with self._lock:
            self._there[number] = sentence
            known = list(takewhile(self._there.__contains__, range(first, end)))
            text = _text([self._there[each] for each in known])
            if text and number <= known[-1]:
                self._said(row, text)


def facts_of(about: Mapping[str, Any], items: Any) -> list[Facts]:
    """What each of these items' columns hold: the first text is what it is called."""
    title, *others = about
    taken = {name: take(value, np.asarray(items)) for name, value in about.items()}
    found: list[Facts] = []
    for row in range(len(items)):
        shown = {name: told(taken[name], row) for name in others}
        found.append(Facts(told(taken[title], row) or "?", {n: v for n, v in shown.items() if v}))
    return found


def told_columns(entity: type[Entity]) -> dict[str, Column]:
    """The entity's columns that a text may be about, a text first: what it is called."""
    own = {
        name: entity.__dict__[name] for name, kind in entity.fields.items() if kind in (Text, Number, Category, Tags)
    }
    title = next((name for name, each in own.items() if isinstance(each, Text)), None)
    if title is None:
        raise GraphError(f"{entity.__name__} has no Text that it could be called by", help="title: mt.Text")
    return {title: own.pop(title), **own}


def _prompt(client: Client, asked: str, facts: Facts) -> Prompt:
    system = "You write one short sentence about an item. You use only the facts that are given."
    user = f"{asked}\nFacts: {facts}"
    return Prompt(user, system, facts.title if client.grammars else "")


def _sentence(text: str, facts: Facts) -> str:
    """What was said, under the item's own name."""
    said = " ".join(text.split())
    return said if said.startswith(facts.title) else f"{facts.title} {said}"


def _checked(written: str, facts: Facts, asked: str, labels: Sequence[str]) -> Sentence:
    """What was written, or the longest beginning of it that can stand, or the facts and why they stand in."""
    title = facts.title
    rest = sober(written[len(title) :][:_LONGEST], facts)
    problem = _wrong(rest, facts, asked, labels)
    for each in (rest, *beginnings(rest)):
        if not _wrong(each, facts, asked, labels):
            return Sentence(f"{title}{each}")
    return Sentence(facts.template, problem)


def _wrong(rest: str, facts: Facts, asked: str, labels: Sequence[str]) -> str:
    """Why what follows the item's name cannot stand, empty where it can."""
    if not rest.endswith((".", "!", "?")) or len(rest.split()) < FEWEST:
        return "it is no whole sentence"
    if goes_round(rest):
        return "it goes round in circles"
    if _reads_out(rest, facts):
        return "it reads out the columns' names"
    if unfounded(rest, facts, asked, labels):
        return "it claims what the columns do not hold"
    return "" if tells(rest, facts) else "it says nothing of the columns"


def _reads_out(rest: str, facts: Facts) -> bool:
    """Whether it repeats how the facts are laid out: "(genres: Comedy; year: 1980)", "is a comedy genre"."""
    names = "|".join(re.escape(name) for name in facts.columns)
    ones = "|".join(re.escape(name.removesuffix("s")) for name in facts.columns)
    laid_out = rf"\b(?:{names}):|\b(?:is|are|was|were) an? (?:[\w'-]+ )*(?:{ones})s?\b"
    return bool(facts.columns) and re.search(laid_out, rest, re.IGNORECASE) is not None


def _labels(about: Mapping[str, Any]) -> list[str]:
    coded = [v.names for v in about.values() if isinstance(v, (Codes, Ragged)) and v.names is not None]
    return [str(name) for names in coded for name in names.tolist()]


def told(value: Any, row: int) -> Any:
    """A value as a reader would write it, empty where it is missing."""
    if isinstance(value, Codes):
        return str(value.names.names[int(value.codes[row])]) if value.codes[row] >= 0 else ""
    if isinstance(value, Ragged):
        windows, names = value.windows, value.names
        codes = windows.values[windows.starts[row] : windows.ends[row]]
        return [str(names.names[int(code)]) for code in codes if code >= 0] if names is not None else []
    if isinstance(value, pa.Array):
        return value[row].as_py() or ""
    number = float(value[row])
    return "" if np.isnan(number) else f"{number:g}"


def names_in(instruction: str) -> set[str]:
    """The names in braces."""
    return {name for _, name, _, _ in string.Formatter().parse(instruction) if name}
