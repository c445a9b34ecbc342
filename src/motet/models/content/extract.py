"""A language model reads texts into a record's columns."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from threading import Event
from typing import Any, ClassVar, Generic, TypeVar, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from motet.batch import Batch, Value
from motet.clock import once
from motet.column import Category, Column, Tags, Text, column
from motet.errors import GraphError
from motet.llm import LLM, PACKAGED, Client, Prompt, Reply, carried
from motet.llm.account import uncharged
from motet.model import Model, State
from motet.models.behavior.outcome import outcome
from motet.models.content import fields as record_fields
from motet.models.content.fields import Wanted
from motet.record import Record, filled

R = TypeVar("R", bound=Record)

# Texts of many kinds: what a label scores after them on average is the model's habit, not a text's content.
VARIED = (
    "A family moves to another town.",
    "Two old friends meet again.",
    "A story of war and loss. History",
    "Jokes and music for all ages. Comedy",
    "A stranger comes at night. Horror, Mystery",
    "A chase through the city. Action",
    "Letters between two people in love. Romance",
    "How bread is made. Documentary",
    "A lamp for the desk, in green.",
    "He lost his card and asks for a new one.",
    "The match ended in a draw.",
    "A ship sails to an unknown island. Adventure",
)


SLACK = 1.1  # what a text may take is looked at text by text first, and then for all of them
NO_TEXT = Reply("", problem="there is no text")


class Read(dict[str, Any]):
    """A column per field, and per row why something of it is null (None where nothing is).

    passing: per row, whether that may be otherwise at the next try.
    """

    def __init__(
        self, columns: Mapping[str, Value], problems: Sequence[str | None], passing: Sequence[bool] = ()
    ) -> None:
        super().__init__(columns)
        self.problems = tuple(problems)
        self.passing = tuple(passing) or (False,) * len(self.problems)


@dataclass(frozen=True)
class Extract(Model, Generic[R]):
    """Fills a record's fields from a text: one column per field.

    A Category or Tags declared with mt.labels(...) is read by scoring its labels: how much likelier the text
    makes each of them as the answer than texts of many kinds do on average. That is one forward pass, needs no
    generation and is much more accurate with a small model. Everything else, and labels where the runtime
    gives no probabilities, is generated under a JSON schema made of the record.
    A field that cannot be read is null, and the reason is counted; the other texts stand.

    llm: which language model. record: what to fill.
    seconds: the most that one text may take; needed on the request path.
    tags_above: how many nats above the labels' mean a tag's score must be.
    characters: of a text that are read.
    typical: a dozen texts such as yours, of different content; what labels score after them is taken as the
        model's habit. Without them it is measured on texts that come with Motet, which is less accurate.
    Call: Extract(llm, Facets)(words).mood. among: the few candidates it is confined to, where words depend
        on the request. target: the outcome that an evaluation holds its only category against; nothing is learnt
        from it.
    Errors: RunError when the model or its endpoint cannot answer at all; `otherwise` then answers.
    Source: Zhao et al. 2021 (arXiv 2102.09690) for scores relative to a habit, there of content-free texts.
    """

    llm: LLM
    record: type[R]
    seconds: float | None = None
    tags_above: float = 1.0
    characters: int = 1500
    typical: tuple[str, ...] = ()

    version: ClassVar[int] = 2
    costly: ClassVar[bool] = True
    calls_llm: ClassVar[bool] = True
    deep: ClassVar[bool] = True
    packaged: ClassVar[tuple[str, ...]] = PACKAGED

    def __post_init__(self) -> None:
        given = cast(Any, self.record)
        if not (isinstance(given, type) and issubclass(given, Record)):
            raise GraphError(f"Extract fills a record, not {self.record!r}", help="mt.Extract(llm, Facets)")
        record_fields.wanted(self.record)

    def __call__(self, text: Text, among: Column | None = None, target: Category | None = None) -> R:
        came = None if target is None else outcome(self, target, (Category,))
        self._check_one_category(came)
        return filled(self.record, column(Column, self, among=among, held_against=came, text=text))

    def _check_one_category(self, target: Column | None) -> None:
        names = [field.name for field in record_fields.wanted(self.record) if field.kind is Category]
        if target is not None and len(names) != 1:
            raise GraphError(
                f"{self} fills {len(names)} categories, and has one target for them: {', '.join(names) or 'none'}",
                help="extract the one that has an outcome by a record of its own",
            )

    def apply(self, state: State, batch: Batch) -> Read:
        texts: pa.Array = batch["text"]
        seconds = self.seconds if batch.seconds is None else batch.seconds
        read = [text or "" for text in texts.to_pylist()]
        return self.read(read) if seconds is None else self._in_time(read, seconds, batch.left)

    def _in_time(self, texts: Sequence[str], seconds: float, left: Event | None) -> Read:
        """What is read by then; all of it is null where the model is late. Errors: it cannot be asked at all."""
        rounds = -(-len(texts) // self.llm.open().parallel)
        pool = ThreadPoolExecutor(1)
        try:
            return pool.submit(carried(self.read), texts, seconds, left).result(SLACK * seconds * rounds)
        except TimeoutError:
            why = f"not there within {seconds:g} s"
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        nothing = record_fields.columns(record_fields.wanted(self.record), [{} for _ in texts])
        return Read(nothing, [why] * len(texts), [True] * len(texts))

    def block(self) -> int:
        """As many texts as are worked on at once: a kill loses only the replies that were on their way."""
        return self.llm.open().parallel

    def identity(self) -> str:
        # A deadline changes no value. The record's name does not say what its fields and labels are.
        config = dataclasses.replace(self, seconds=None)
        return f"{super(Extract, config).identity()} {record_fields.wanted(self.record)}"

    def read(self, texts: Sequence[str], seconds: float | None = None, left: Event | None = None) -> Read:
        """The fields of each text, and why they are null where they are. left: set when nobody waits any more."""
        client, fields = self.llm.open(), record_fields.wanted(self.record)
        rows: list[dict[str, Any]] = [{} for _ in texts]
        failed = {i: NO_TEXT for i, text in enumerate(texts) if not text.strip()}
        asked = [i for i in range(len(texts)) if i not in failed]
        # As many texts at a time as the client works on: then each field's question finds its text already read.
        for start in range(0, len(asked), client.parallel):
            some = asked[start : start + client.parallel]
            self._score(client, fields, some, texts, rows)
            self._generate(client, fields, some, texts, rows, failed, seconds, left)
        problems = [failed[i].problem if i in failed else None for i in range(len(texts))]
        passing = [i in failed and failed[i].passing for i in range(len(texts))]
        return Read(record_fields.columns(fields, rows), problems, passing)

    def _score(
        self,
        client: Client,
        fields: Sequence[Wanted],
        some: list[int],
        texts: Sequence[str],
        rows: list[dict[str, Any]],
    ) -> None:
        for field in fields:
            habit = _habit(self, client, field) if field.labels else None
            if habit is None:
                continue
            scores = client.score([self._question(fields, field, texts[i]) for i in some], field.labels)
            if scores is None:
                continue
            for i, row in zip(some, scores - habit, strict=True):
                if np.isfinite(row).all():
                    rows[i][field.name] = self._chosen(field, row)

    def _chosen(self, field: Wanted, scores: NDArray[np.float32]) -> Any:
        best: list[int] = np.argsort(-scores, kind="stable").tolist()
        if field.kind is not Tags:
            return field.labels[best[0]]
        return [field.labels[i] for i in best if scores[i] - scores.mean() >= self.tags_above]

    def _generate(
        self,
        client: Client,
        fields: Sequence[Wanted],
        some: list[int],
        texts: Sequence[str],
        rows: list[dict[str, Any]],
        failed: dict[int, Reply],
        seconds: float | None,
        left: Event | None,
    ) -> None:
        """Fills what scoring left open, all of a text's fields by one reply."""
        by_fields: dict[tuple[Wanted, ...], list[int]] = {}
        for i in some:
            open_ones = tuple(field for field in fields if field.name not in rows[i])
            if open_ones:
                by_fields.setdefault(open_ones, []).append(i)
        for asked, those in by_fields.items():
            shape, most = record_fields.schema(asked), record_fields.most_tokens(asked)
            prompts = [self._request(asked, texts[i]) for i in those]
            replies = client.complete(prompts, max_tokens=most, schema=shape, seconds=seconds, left=left)
            for i, reply in zip(those, replies, strict=True):
                if reply.problem:
                    failed[i] = reply
                else:
                    rows[i].update(json.loads(reply.text))

    def _question(self, fields: Sequence[Wanted], field: Wanted, text: str) -> Prompt:
        # The reply is begun with the text, its field's name last: few tokens after the text, all fields' questions
        # share the text's reading, and a list of the labels in the prompt made the smallest model worse.
        asked = " and ".join(each.question for each in fields if each.labels)
        start = f"Text: {text[: self.characters]}\n{field.question.capitalize()}:"
        return Prompt(f"Name the {asked} of each text.", start=start)

    def _request(self, fields: Sequence[Wanted], text: str) -> Prompt:
        asked = ", ".join(field.question for field in fields)
        system = f"Read the text and give, as JSON, its {asked}. Schema: {json.dumps(record_fields.schema(fields))}"
        return Prompt(text[: self.characters], system)


@cache
@once()
@uncharged()
def _habit(extract: Extract[Any], client: Client, field: Wanted) -> NDArray[np.float32] | None:
    """What each label scores on average, whatever the text says; None where the client cannot score."""
    fields = record_fields.wanted(extract.record)
    prompts = [extract._question(fields, field, text) for text in extract.typical or VARIED]  # pyright: ignore[reportPrivateUsage]
    scores = client.score(prompts, field.labels)
    if scores is None or np.isnan(scores).any():
        return None
    return np.asarray(scores.mean(axis=0), np.float32)
