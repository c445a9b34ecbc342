"""BM25: the words of a query found in texts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import pyarrow as pa

from motet.apply import Whole
from motet.batch import Array, Batch
from motet.clock import library
from motet.column import Column, Number, Text, column
from motet.errors import GraphError, an
from motet.model import Model, State
from motet.models.content.words import words
from motet.node import event_of, grain_name, item_of, name_of


class Index(Column):
    """The hidden column that holds an index of all texts."""


@dataclass(frozen=True)
class BM25(Model):
    """How well each text matches the words of a query.

    Nothing is fitted: the index follows the table, so a new text is found at once. Words are compared in
    lower case without accents; Chinese, Japanese, Thai and their like by pairs of characters.

    k1: how soon a repeated word stops to count. b: how much a long text is discounted, 0 to 1.
    Call: BM25()(Film.title + ". " + Film.plot, Visit.query). Returns a Number per request and item; NaN where
        no word of the query occurs, and for a query that is empty or missing.
    Source: Robertson & Zaragoza 2009; computed by the library bm25s (Lucene's variant, arXiv 2407.03618).
    """

    k1: float = 1.2
    b: float = 0.75
    crosses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (self.k1 >= 0 and 0 <= self.b <= 1):
            raise GraphError(f"{self}: k1 is at least 0, and b between 0 and 1", help="BM25(k1=1.2, b=0.75)")

    def __call__(self, documents: Text, query: Text) -> Number:
        for each in (documents, query):
            if not isinstance(cast(Any, each), Text):
                raise GraphError(
                    f"BM25 reads words, and {name_of(each)} is {an(each.kind)}",
                    help="mt.BM25()(Film.plot, Visit.query)",
                )
        item = item_of(documents.grain)
        if item is None or event_of(documents.grain) is not None or event_of(query.grain) is None:
            raise GraphError(
                f"BM25 finds an entity's texts by an event's query, and got {name_of(documents)} of"
                f" {grain_name(documents.grain)} and {name_of(query)} of {grain_name(query.grain)}",
                help="mt.BM25()(Film.plot, Visit.query)",
            )
        index = column(Index, Indexed(self.k1, self.b), documents=Whole(documents))
        return column(Number, self, index=index, query=query, items=item.key_column())

    def apply(self, state: State, batch: Batch) -> Matches:
        return Matches(batch["index"], [words(q or "") for q in batch["query"].to_pylist()], len(batch["items"]))


@dataclass(frozen=True)
class Indexed(Model):
    """The index over a whole table of texts; None where there is no word at all."""

    k1: float
    b: float

    def apply(self, state: State, batch: Batch) -> Any:
        texts: pa.Array = batch["documents"]
        documents = [words(text or "") for text in texts.to_pylist()]
        if not any(documents):
            return None
        os.environ.setdefault("DISABLE_TQDM", "1")  # its bars, shown or not, start a thread that watches them
        index = library("bm25s").BM25(method="lucene", k1=self.k1, b=self.b)
        index.index(documents, show_progress=False)
        return index


@dataclass(frozen=True)
class Matches:
    """Scores of every text for some queries, computed when they are read."""

    index: Any
    queries: Sequence[list[str]]
    texts: int

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.queries), self.texts

    def dense(self, requests: slice) -> Array:
        asked = self.queries[requests]
        made = np.full((len(asked), self.texts), np.nan, np.float32)
        for row, query in zip(made, asked, strict=True):
            if self.index is not None and query:
                scores = self.index.get_scores(query)
                row[:] = np.where(scores > 0, scores, np.nan)
        return made

    def at(self, requests: Array, items: Array) -> Array:
        made = np.full(len(requests), np.nan, np.float32)
        order = np.argsort(requests, kind="stable")
        asked, starts = np.unique(requests[order], return_index=True)
        ends = np.append(starts[1:], len(order)) if len(order) else starts
        for request, start, end in zip(asked.tolist(), starts, ends, strict=True):
            pairs = order[start:end]
            made[pairs] = self.dense(slice(request, request + 1))[0, items[pairs]]
        return made
