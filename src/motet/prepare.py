"""Computes ahead what the grain allows: columns that no request is part of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from motet import search
from motet.apply import Apply, Within, column_of
from motet.candidates import Retrieve
from motet.model import digest
from motet.node import Column, Otherwise, event_of, upstream
from motet.operators import Dot
from motet.outline import Outline
from motet.progress import Progress
from motet.record import Field
from motet.run.context import Context, index_name
from motet.search import Index
from motet.store import Store


@dataclass(frozen=True)
class Prepared:
    """What a prepare did. rows, new: of all columns that are kept row by row, and those that had to be computed.

    problems: why values are missing, counted, by column. values: where every prepared column is kept; cells: where
    the rows of costly ones are; indexes: where the indexes over item vectors are.
    """

    rows: int
    new: int
    problems: Mapping[str, Mapping[str, int]]
    values: Mapping[str, str]
    cells: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    version: int | None = None

    def as_version(self, version: int) -> Prepared:
        return replace(self, version=version)

    def __str__(self) -> str:
        said = f"version {self.version}: " if self.version else ""
        lines = [f"{said}{len(self.values)} columns prepared; {self.new:,} of {self.rows:,} costly rows computed"]
        lines += [f"  {name}: {n} x {why}" for name, found in self.problems.items() for why, n in found.items()]
        return "\n".join(lines)


def prepared_columns(outline: Outline) -> list[Column]:
    """The entity columns that a request reads: those that something asked by an event, or an output, needs.

    Item vectors that are searched are among them, declared ones too: their index goes by where they are kept.
    """
    readers = [c for c in outline.answering if event_of(c.grain) is not None]
    read = {*outline.outputs.values(), *(i for c in readers for i in c.node.inputs)}
    made = {c for c in outline.answering if isinstance(c.node, Apply) and (c in read or _costly(c))}
    wanted = made | set(searched_columns(outline))
    return [c for c in outline.answering if c in wanted and _ahead(c)]


def searched_columns(outline: Outline) -> list[Column]:
    """The item vectors that retrieval searches: those of every dot product that it may find items by."""
    scorers = [c for column in outline.answering if isinstance(column.node, Retrieve) for c in column.node.by]
    dots = [c.node for scorer in scorers for c in _choices(scorer) if isinstance(c.node, Apply)]
    items = [column_of(dot.args["items"]) for dot in dots if isinstance(dot.model, Dot)]
    return [c for column in items for c in _choices(column) if isinstance(c.node, (Apply, Field))]


def _choices(column: Column) -> Iterator[Column]:
    """The columns of which one gives this column its value."""
    if not isinstance(column.node, (Otherwise, Within)):
        yield column
        return
    for choice in column.node.inputs:
        yield from _choices(choice)


def _ahead(column: Column) -> bool:
    return event_of(column.grain) is None and bool(column.grain)


def _costly(column: Column) -> bool:
    return isinstance(column.node, Apply) and column.node.model.costly


def prepare(outline: Outline, context: Context, progress: Progress) -> Prepared:
    """Computes and keeps them all; a killed run loses at most the block, or the index, it was in."""
    rows, problems = 0, dict[str, Mapping[str, int]]()
    values: dict[str, str] = {}
    cells: list[str] = []
    indexes: list[str] = []
    gaps: dict[str, bytes] = {}  # which rows of a costly column are there, where some are missing
    searched = set(searched_columns(outline))
    for column in prepared_columns(outline):
        name, value = context.value_name(column), context.shared(column)
        if _costly(column):
            known, why = context.rows_kept(column)
            gaps |= {} if known.all() else {column.fingerprint: known.tobytes()}
            cells.append(context.made(column))
            rows += len(known)
            problems |= {outline.name(column): why} if why else {}
        missing = [gaps[c.fingerprint] for c in upstream((column,)) if c.fingerprint in gaps]
        name = digest(name, *missing) if missing else name
        context.store.keep_value(name, value)
        values[column.fingerprint] = name
        if column in searched:
            indexes += _indexed(context.store, name, outline.name(column), progress)
    return Prepared(rows, sum(context.computed.values()), problems, values, tuple(cells), tuple(indexes))


def _indexed(store: Store, vectors: str, label: str, progress: Progress) -> list[str]:
    """Keeps the index over kept item vectors, built once; its name, or none where they are searched exactly."""
    items = np.asarray(store.value(vectors))
    if len(items) <= search.EXACT_UP_TO:
        return []
    name = index_name(vectors)
    if store.value(name) is None:
        with progress.bar(f"index {label}") as tick:
            store.keep_value(name, Index.build(items, progress=tick).data())
    return [name]
